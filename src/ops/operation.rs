//! One declaration of an operation for both places where a result may be recorded.

/// An operation, `pub fn name(graph, arguments) -> result { .. }`, as the method `name` of [`Graph`](super::Graph) and as a free function
/// that records in candle's graph; `graph` stands for the graph in the body.
macro_rules! operation {
    (
        $(#[$meta:meta])*
        pub fn $name:ident($graph:ident $(, $argument:ident: $type:ty)* $(,)?) -> $result:ty $body:block
    ) => {
        $(#[$meta])*
        pub fn $name($($argument: $type),*) -> $result {
            $crate::ops::Graph::default().$name($($argument),*)
        }

        impl $crate::ops::Graph<'_> {
            #[doc = concat!("[`", stringify!($name), "()`], recorded in this graph.")]
            pub fn $name(self, $($argument: $type),*) -> $result {
                let $graph = self;
                $body
            }
        }
    };
}
pub(crate) use operation;
