//! What is wrong with a text, gathered up to a bound.

use crate::language::codes::Code;
use crate::language::diagnostic::{Diagnostic, Label, Severity};
use crate::language::parse::token::TokenState;
use crate::language::span::Span;

/// Errors of one text that are reported; a last one says that there are more.
pub(super) const ERRORS_MAX: usize = 100;

/// Something wrong whose place is not known yet.
pub(super) struct Fault {
    pub(super) code: Code,
    /// What the token it stands on is good for.
    pub(super) state: TokenState,
    message: String,
    label: String,
    help: Option<String>,
}

impl Fault {
    pub(super) fn broken(code: Code, message: impl Into<String>) -> Self {
        Self { code, state: TokenState::Broken, message: message.into(), label: String::new(), help: None }
    }

    pub(super) fn repaired(code: Code, message: impl Into<String>) -> Self {
        Self { state: TokenState::Repaired, ..Self::broken(code, message) }
    }

    pub(super) fn endless(message: impl Into<String>) -> Self {
        Self { state: TokenState::Endless, ..Self::broken(Code::Unclosed, message) }
    }

    /// What is wrong right at the place.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// What to write instead.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(super) fn at(self, span: Span) -> Diagnostic {
        Diagnostic {
            code: self.code,
            severity: Severity::Error,
            message: self.message,
            primary: Label { span, text: self.label },
            secondary: Vec::new(),
            help: self.help,
        }
    }
}

/// The errors of one text, and how many there would be.
#[derive(Default)]
pub(super) struct Findings {
    diagnostics: Vec<Diagnostic>,
    /// Those beyond [`ERRORS_MAX`] too.
    count: usize,
    /// How many more are kept.
    room: usize,
}

/// How many errors there were.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    kept: usize,
    count: usize,
}

impl Findings {
    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.count += 1;
        if self.room > 0 {
            self.room -= 1;
            self.diagnostics.push(diagnostic);
        }
    }

    /// Makes room for what another reader of the text finds: which are shown is chosen by place, at the end. Twice the bound, since an
    /// error may be found after others that stand behind it.
    pub(super) fn make_room(&mut self) {
        self.room = 2 * ERRORS_MAX;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What has been found so far, to go back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { kept: self.diagnostics.len(), count: self.count }
    }

    /// Forgets what was found since.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.room += self.diagnostics.len() - mark.kept;
        self.diagnostics.truncate(mark.kept);
        self.count = mark.count;
    }

    /// By place, the first [`ERRORS_MAX`].
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.primary.span.start, diagnostic.primary.span.end));
        if self.count > ERRORS_MAX {
            self.diagnostics.truncate(ERRORS_MAX);
            let last = self.diagnostics.last().expect("there are ERRORS_MAX").primary.span;
            let hidden = self.count - ERRORS_MAX;
            let fault = Fault::broken(Code::TooManyErrors, format!("{hidden} more errors are not shown"))
                .label(format!("the last of the first {ERRORS_MAX}"))
                .help("mend these first");
            self.diagnostics.push(fault.at(last));
        }
        self.diagnostics
    }
}
