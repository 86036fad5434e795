//! The macros that turn declarations into table entries.

/// Entries of the function table; see the module documentation of [`crate::script`] for the grammar.
#[macro_export]
macro_rules! entries {
    (@text $type:ty;) => { None };
    (@text $type:ty; $default:expr) => {{
        let default: $type = $default;
        Some($crate::options::Arg::literal(&default).unwrap_or_else(|| "..".into()))
    }};
    (@base) => { Default::default() };
    (@base $base:expr) => { $base };
    (@default $type:ty;) => { None };
    (@default $type:ty; $default:expr) => { Some(|| -> $type { $default }) };
    (@returns) => { () };
    (@returns $returns:ty) => { $returns };
    (@params $( $(#[doc = $doc:literal])* $param:ident : $type:ty $(= $default:expr)? ),*) => {
        vec![$(
            $crate::script::table::Param {
                name: stringify!($param),
                doc: concat!($($doc, "\n",)* ""),
                kind: <$type as $crate::options::Arg>::kind(),
                owner: "",
                choices: <$type as $crate::options::Arg>::choices(),
                inside: <$type as $crate::options::Arg>::inside,
                takes_map: <$type as $crate::options::Arg>::TAKES_MAP,
                default: $crate::entries!(@text $type; $($default)?),
            }
        ),*]
    };
    ($(
        $(#[doc = $doc:literal])*
        $kind:ident $name:ident (
            $ctx:ident
            $(, $(#[doc = $param_doc:literal])* $param:ident : $type:ty $(= $default:expr)? )*
            $(
                , ..$shared:ident $(without($($left_out:ident),*))? : $shared_type:ty $(= $base:expr)?
                $(, $(#[doc = $later_doc:literal])* $later:ident : $later_type:ty $(= $later_default:expr)? )*
            )*
            $(,)?
        ) $(-> $returns:ty)? $body:block
    )*) => {
        vec![$(
            $crate::script::table::Entry {
                kind: $crate::script::table::Kind::of(stringify!($kind)),
                name: stringify!($name),
                doc: concat!($($doc, "\n",)* ""),
                params: {
                    let own: Vec<$crate::script::table::Param> =
                        $crate::entries!(@params $( $(#[doc = $param_doc])* $param : $type $(= $default)? ),*);
                    $(
                        let shared = <$shared_type as $crate::script::values::Shared>::params(&$crate::entries!(@base $($base)?));
                        let left_out: &[&str] = &[$($(stringify!($left_out)),*)?];
                        let own = $crate::script::table::joined(own, shared, left_out);
                        let own = $crate::script::table::joined(
                            own,
                            $crate::entries!(@params $( $(#[doc = $later_doc])* $later : $later_type $(= $later_default)? ),*),
                            &[],
                        );
                    )*
                    own
                },
                returns: <$crate::entries!(@returns $($returns)?) as $crate::script::values::Reply>::kind(),
                body: Some(|$ctx: &$crate::script::Call<'_>, values: &mut $crate::script::values::Values<'_>| {
                    let _ = &values;
                    $( let $param: $type = values.take::<$type>(stringify!($param), $crate::entries!(@default $type; $($default)?))?; )*
                    $(
                        let $shared = <$shared_type as $crate::script::values::Shared>::take(values)?;
                        $( let $later: $later_type = values.take::<$later_type>(
                            stringify!($later),
                            $crate::entries!(@default $later_type; $($later_default)?),
                        )?; )*
                    )*
                    $crate::script::values::answer::<$crate::entries!(@returns $($returns)?)>($ctx, || $body)
                }),
                ..Default::default()
            }
        ),*]
    };
}

/// Entries for what the language brings itself: `fn name(parameters) -> type;` or `get ..`, the receiver first. They are described, not
/// registered.
#[macro_export]
macro_rules! described {
    ($(
        $(#[doc = $doc:literal])*
        $kind:ident $name:ident (
            $( $(#[doc = $param_doc:literal])* $param:ident : $type:ty $(= $default:expr)? ),* $(,)?
        ) $(-> $returns:ty)? ;
    )*) => {
        vec![$(
            $crate::script::table::Entry {
                kind: $crate::script::table::Kind::of(stringify!($kind)),
                name: stringify!($name),
                doc: concat!($($doc, "\n",)* ""),
                params: $crate::entries!(@params $( $(#[doc = $param_doc])* $param : $type $(= $default)? ),*),
                returns: <$crate::entries!(@returns $($returns)?) as $crate::script::values::Reply>::kind(),
                ..Default::default()
            }
        ),*]
    };
}

/// A struct of options that several functions share and whose values only scripts have (closures, names of colours), its fields declared as
/// parameters are; `..callbacks: Callbacks` behind a function's own parameters takes them all. Options of plain values are declared with
/// [`options!`](crate::options!).
#[macro_export]
macro_rules! shared_options {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        $vis struct $name {
            $( $(#[doc = $field_doc])* $vis $field: $type, )*
        }

        impl $crate::script::values::Shared for $name {
            type Base = ();
            fn params((): &()) -> Vec<$crate::script::table::Param> {
                $crate::entries!(@params $( $(#[doc = $field_doc])* $field : $type $(= $default)? ),*)
            }
            fn take(values: &mut $crate::script::values::Values<'_>) -> $crate::error::Result<Self> {
                Ok($name {
                    $( $field: values.take::<$type>(stringify!($field), $crate::entries!(@default $type; $($default)?))?, )*
                })
            }
        }
    };
}
