//! Arguments that are one of a few names, where the function itself makes something of the name.

/// A string that completion and help know the names of: `names! { /// What. pub struct EncoderName: list_of_names() }`.
#[macro_export]
macro_rules! names {
    ($( $(#[$meta:meta])* $vis:vis struct $name:ident: $names:expr; )*) => {$(
        $(#[$meta])*
        $vis struct $name(pub String);

        impl $crate::options::Arg for $name {
            const KIND: &'static str = "string";
            const WANTED: &'static str = "a string";
            fn choices() -> Vec<&'static str> {
                $names
            }
            fn convert(value: &dyn $crate::options::Source) -> Option<Self> {
                <String as $crate::options::Arg>::convert(value).map($name)
            }
            fn literal(&self) -> Option<String> {
                Some(format!("{:?}", self.0))
            }
        }
    )*};
}
