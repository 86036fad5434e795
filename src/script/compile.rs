//! From the text of a script to what runs: every `try` guarded, and where a method's value is asked for.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Engine, Expr, ParseError, Position, Scope, Stmt};

use super::catch;
use super::context::Context;

/// Parse `text` as it is run, and remember it for reports under the name `source`.
pub(super) fn compile(
    engine: &Engine,
    context: &Context,
    source: &str,
    text: &str,
    scope: &Scope,
) -> Result<AST, ParseError> {
    let (guarded, insertions) = catch::guarded(text);
    context.sources().remember(source, text, insertions);
    let mut ast = engine.compile_with_scope(scope, guarded)?;
    ast.set_source(source);
    context.sources().set_asked(source, asked(&ast));
    for (message, hint, position) in super::check::slips(&ast) {
        let line = position.line().unwrap_or_default();
        context
            .session()
            .warn(&format!("{source}, line {line}: {message}; {hint}"));
    }
    Ok(ast)
}

/// Where in a script the value of a method call is asked for: it is an argument, an operand, what a variable gets, or has something
/// called on it. Elsewhere the call is a statement.
fn asked(ast: &AST) -> BTreeSet<Position> {
    let mut found = BTreeSet::new();
    ast.walk(&mut |path| {
        let Some((ASTNode::Expr(call @ Expr::MethodCall(..)), above)) = path.split_last() else {
            return true;
        };
        let mut inner: &Expr = call;
        for node in above.iter().rev() {
            match node {
                ASTNode::Expr(outer @ (Expr::Dot(x, ..) | Expr::Index(x, ..))) if std::ptr::eq(&x.rhs, inner) => {
                    inner = outer
                }
                ASTNode::Expr(Expr::Stmt(..) | Expr::Custom(..)) | ASTNode::Stmt(Stmt::Expr(..) | Stmt::Switch(..)) => {
                    break;
                }
                _ => {
                    found.insert(call.position());
                    break;
                }
            }
        }
        true
    });
    found
}
