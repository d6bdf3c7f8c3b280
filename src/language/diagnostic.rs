//! What is wrong with a text, where, why, and what to write instead.

use crate::language::codes::Code;
use crate::language::span::Span;

/// One finding about a text. Shown by `render` with the place marked.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// What was found, in one sentence without a full stop: "unknown field `amout` on `payments`".
    pub message: String,
    /// Where, and what is wrong right there ("not a field of `payments`").
    pub primary: Label,
    /// Other places that matter ("`payments` is declared here").
    pub secondary: Vec<Label>,
    /// What to write instead: "did you mean `amount`?".
    pub help: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    Error,
    Warning,
}
