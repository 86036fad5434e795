//! Functions without a namespace: the session, help, assertions, tables.

use crate::script::help;
use crate::script::prelude::*;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.global(entries! {
        /// Start the session's random state anew from `n`.
        /// ```
        /// seed(7);
        /// let a = tensor::randn([3]);
        /// seed(7);
        /// assert_eq(a, tensor::randn([3]));
        /// ```
        fn seed(ctx, n: u64) {
            ctx.session().set_seed(n);
            Ok(())
        }

        /// Show the help on a function, a namespace or a type; without a name, the overview.
        /// ```
        /// help("seed");
        /// ```
        fn help(ctx, name: String = String::new()) {
            ctx.session().print(&help::help(ctx.table(), &name));
            Ok(())
        }

        /// List the functions whose name or text contains `text`.
        /// ```
        /// apropos("random");
        /// ```
        fn apropos(ctx, text: String) {
            ctx.session().print(&help::apropos(ctx.table(), &text));
            Ok(())
        }
    });
}
