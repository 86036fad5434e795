//! The macro that turns declarations into table entries.

/// Entries of the function table; see the module documentation of [`crate::script`] for the grammar.
#[macro_export]
macro_rules! entries {
    (@text) => { None };
    (@text $default:expr) => { Some($crate::script::table::Param::default_text(stringify!($default))) };
    (@default $type:ty;) => { None };
    (@default $type:ty; $default:expr) => { Some(|| -> $type { $default }) };
    (@returns) => { () };
    (@returns $returns:ty) => { $returns };
    ($(
        $(#[doc = $doc:literal])*
        $kind:ident $name:ident (
            $ctx:ident
            $(, $(#[doc = $param_doc:literal])* $param:ident : $type:ty $(= $default:expr)? )* $(,)?
        ) $(-> $returns:ty)? $body:block
    )*) => {
        vec![$(
            $crate::script::table::Entry {
                kind: $crate::script::table::Kind::of(stringify!($kind)),
                name: stringify!($name),
                namespace: "",
                receiver: "",
                doc: concat!($($doc, "\n",)* ""),
                params: vec![$(
                    $crate::script::table::Param {
                        name: stringify!($param),
                        doc: concat!($($param_doc, "\n",)* ""),
                        kind: <$type as $crate::script::values::Arg>::kind(),
                        takes_map: <$type as $crate::script::values::Arg>::TAKES_MAP,
                        default: $crate::entries!(@text $($default)?),
                    }
                ),*],
                returns: <$crate::entries!(@returns $($returns)?) as $crate::script::values::Reply>::kind(),
                body: Some(|$ctx: &$crate::script::context::Call<'_>, values: &mut $crate::script::values::Values<'_>| {
                    let _ = &values;
                    $( let $param: $type = values.take::<$type>($crate::entries!(@default $type; $($default)?))?; )*
                    $crate::script::values::answer::<$crate::entries!(@returns $($returns)?)>($ctx, || $body)
                }),
                receiver_type: None,
            }
        ),*]
    };
}
