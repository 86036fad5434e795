//! The macros that turn declarations into table entries.

/// Entries of the function table; see the module documentation of [`crate::script`] for the grammar.
#[macro_export]
macro_rules! entries {
    (@text) => { None };
    (@text $default:expr) => { Some($crate::script::table::Param::default_text(stringify!($default))) };
    (@default $type:ty;) => { None };
    (@default $type:ty; $default:expr) => { Some(|| -> $type { $default }) };
    (@returns) => { () };
    (@returns $returns:ty) => { $returns };
    (@params $( $(#[doc = $doc:literal])* $param:ident : $type:ty $(= $default:expr)? ),*) => {
        vec![$(
            $crate::script::table::Param {
                name: stringify!($param),
                doc: concat!($($doc, "\n",)* ""),
                kind: <$type as $crate::script::values::Arg>::kind(),
                options: <$type as $crate::script::values::Arg>::options,
                takes_map: <$type as $crate::script::values::Arg>::TAKES_MAP,
                default: $crate::entries!(@text $($default)?),
            }
        ),*]
    };
    ($(
        $(#[doc = $doc:literal])*
        $kind:ident $name:ident (
            $ctx:ident
            $(, $(#[doc = $param_doc:literal])* $param:ident : $type:ty $(= $default:expr)? )*
            $(, ..$shared:ident : $shared_type:ty)? $(,)?
        ) $(-> $returns:ty)? $body:block
    )*) => {
        vec![$(
            $crate::script::table::Entry {
                kind: $crate::script::table::Kind::of(stringify!($kind)),
                name: stringify!($name),
                namespace: "",
                receiver: "",
                doc: concat!($($doc, "\n",)* ""),
                params: {
                    let own: Vec<$crate::script::table::Param> =
                        $crate::entries!(@params $( $(#[doc = $param_doc])* $param : $type $(= $default)? ),*);
                    $( let own = [own, <$shared_type as $crate::script::values::Shared>::params()].concat(); )?
                    own
                },
                returns: <$crate::entries!(@returns $($returns)?) as $crate::script::values::Reply>::kind(),
                body: Some(|$ctx: &$crate::script::context::Call<'_>, values: &mut $crate::script::values::Values<'_>| {
                    let _ = &values;
                    $( let $param: $type = values.take::<$type>($crate::entries!(@default $type; $($default)?))?; )*
                    $( let $shared = <$shared_type as $crate::script::values::Shared>::take(values)?; )?
                    $crate::script::values::answer::<$crate::entries!(@returns $($returns)?)>($ctx, || $body)
                }),
                receiver_type: None,
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
                namespace: "",
                receiver: "",
                doc: concat!($($doc, "\n",)* ""),
                params: $crate::entries!(@params $( $(#[doc = $param_doc])* $param : $type $(= $default)? ),*),
                returns: <$crate::entries!(@returns $($returns)?) as $crate::script::values::Reply>::kind(),
                body: None,
                receiver_type: None,
            }
        ),*]
    };
}

/// A struct of options that several functions share, its fields declared as parameters are; `..settings: Settings` behind a
/// function's own parameters takes them all.
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
            fn params() -> Vec<$crate::script::table::Param> {
                $crate::entries!(@params $( $(#[doc = $field_doc])* $field : $type $(= $default)? ),*)
            }
            fn take(values: &mut $crate::script::values::Values<'_>) -> $crate::error::Result<Self> {
                Ok($name {
                    $( $field: values.take::<$type>($crate::entries!(@default $type; $($default)?))?, )*
                })
            }
        }
    };
}
