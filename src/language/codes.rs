//! The one registry of diagnostic codes. A code keeps its meaning for ever and is never given to another finding.
//!
//! `E00xx` are the parser's, `E01xx` and above the checker's; warnings count from `W`.

use std::fmt;

/// What kind of finding a diagnostic is. `motif explain CODE` shows its page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Code {
    /// A character that begins nothing in the language.
    UnknownCharacter,
    /// A text, or a name in back quotes, that is not closed on its line.
    Unclosed,
    /// A backslash in a text that is followed by nothing JSON knows.
    BadEscape,
    /// A number that is not whole digits or digits, a point, digits; or one too large for its place.
    BadNumber,
    /// A duration without whole numbers and known units from large to small, or of nothing, or too long.
    BadDuration,
    /// A sign or word of another language, for which Motif has its own.
    ForeignSpelling,
    /// Something else was expected here.
    Unexpected,
    /// A word of the language stands where a name is meant.
    ReservedWord,
    /// A bracket without its partner.
    UnbalancedBracket,
    /// More brackets or signs inside one another than the parser follows.
    TooDeep,
    /// `a < b < c`.
    ChainedComparison,
    /// `and` beside `or` without parentheses.
    MixedAndOr,
    /// A quantifier that can mean nothing: `{0}`, `{3,2}`, `{,3}`, `x+?`.
    BadQuantifier,
    /// Words after a quantifier, or after `then`, twice or in the wrong order.
    WordOrder,
    /// A step that begins as a step in its place cannot: `then` before the first one, none before the others.
    StepStart,
    /// A value that is not written out, where only literals are taken.
    NotLiteral,
    /// A source text larger than the compiler takes.
    TextTooLarge,
    /// More findings in one text than are shown.
    TooManyErrors,
}

impl Code {
    /// As shown to users: `E0007`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownCharacter => "E0001",
            Self::Unclosed => "E0002",
            Self::BadEscape => "E0003",
            Self::BadNumber => "E0004",
            Self::BadDuration => "E0005",
            Self::ForeignSpelling => "E0006",
            Self::Unexpected => "E0007",
            Self::ReservedWord => "E0008",
            Self::UnbalancedBracket => "E0009",
            Self::TooDeep => "E0010",
            Self::ChainedComparison => "E0011",
            Self::MixedAndOr => "E0012",
            Self::BadQuantifier => "E0013",
            Self::WordOrder => "E0014",
            Self::StepStart => "E0015",
            Self::NotLiteral => "E0016",
            Self::TextTooLarge => "E0017",
            Self::TooManyErrors => "E0018",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
