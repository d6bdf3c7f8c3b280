//! The one registry of diagnostic codes. A code keeps its meaning for ever and is never given to another finding.
//!
//! `E00xx` are the parser's; the checker's are `E01xx` (names), `E02xx` (types), `E03xx` (the shape of patterns), `E04xx` (tests); warnings are `W`.

use std::fmt;

use crate::language::diagnostic::Severity;

/// What kind of finding a diagnostic is.
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
    /// Bytes that are no text.
    NotUtf8,

    /// A name where a stream or define is meant, and there is none of that name.
    UnknownStream,
    /// A field that the stream or record does not have.
    UnknownField,
    /// A bare name that is neither a field nor a list, or a step that the pattern does not have.
    UnknownName,
    /// A function that there is not.
    UnknownFunction,
    /// A word that names no type.
    UnknownType,
    /// A test of a pattern that there is not.
    UnknownPattern,
    /// Two of the same name where names must differ.
    DuplicateName,
    /// One name that could mean two things: a step like a record field, a key part like a step.
    NameClash,
    /// A define that is, by way of others, defined from itself.
    DefineCycle,
    /// In the language, and not built yet.
    NotBuilt,
    /// A name of the wrong sort: a list where a stream is meant, a stream where a value is.
    WrongSort,
    /// More of something than the compiler takes.
    TooMany,
    /// A window where no key is at hand.
    WindowPlace,
    /// What a window cannot be over.
    WindowArgument,
    /// A function that is not of windows.
    WindowFunction,

    /// Two types that cannot be compared, calculated with one another, or stand for one value.
    TypeMismatch,
    /// `float` beside `decimal`, which do not mix by themselves.
    FloatWithDecimal,
    /// `== null`.
    ComparedWithNull,
    /// A bare number beside a duration.
    MissingUnit,
    /// A time written out, which the language does not have.
    TimeLiteral,
    /// A condition that is neither true nor false.
    NotCondition,
    /// A function with too few or too many arguments.
    ArgumentCount,
    /// An argument of a type that the function does not take.
    ArgumentType,
    /// An argument that must be written out.
    ArgumentNotLiteral,
    /// A regular expression that cannot be read.
    BadRegex,
    /// A text that is no network.
    BadNetwork,
    /// A text that is no time zone.
    BadZone,
    /// A number written out that its type cannot hold, or a calculation of such that has no result.
    NumberRange,
    /// A list whose items have no type in common, or one with `null`.
    ListItems,
    /// A key that is no scalar, or of another type than the same part of another stream's.
    KeyType,
    /// A step, or a whole event, where a value is meant.
    StepAsValue,
    /// `time f` where `f` is no timestamp, or may be null.
    TimeField,
    /// A regular expression that takes more room than one may.
    RegexTooLarge,

    /// A clause that stands twice.
    RepeatedClause,
    /// A condition that names a step which stands after it.
    LaterStep,
    /// A field of what must not come.
    AbsentStep,
    /// A condition that names a step of another branch.
    OtherBranch,
    /// A step's condition that names the step itself, which takes one event only.
    OwnStep,
    /// A loop's condition that no first event can fit, since it compares with the events before it.
    NeverFirst,
    /// A step over a stream that does not stand in the pattern's line.
    OutsideFrom,
    /// Keys that are qualified for some streams only, or differ in number.
    KeyParts,
    /// A group or branch that ends in `not`.
    EndsInNot,
    /// A `not` without a step before it that is certain to have been taken.
    NotWithoutStep,
    /// `for` where it cannot stand.
    MisplacedFor,
    /// A trailing `not` that is never decided.
    NeverDecided,
    /// An `all` of something else than two or more single steps.
    BadAll,
    /// A word of a quantifier that cannot stand there: `greedy` on a group, `until` on a single event.
    MisplacedLoopWord,
    /// A `without` whose span is empty or runs backwards.
    EmptySpan,
    /// A pattern that unrolls to more states than an automaton may have.
    PatternTooLarge,
    /// An emitted expression that needs a name.
    NeedsName,
    /// A name in `emit` that no single event is said for.
    WhichEvent,
    /// A limit of no partial matches.
    BadLimit,
    /// A pattern whose text is longer than one may be.
    PatternTooLong,
    /// A pattern of more steps than one may have.
    TooManySteps,

    /// An event of a test without a field that it must have.
    MissingField,
    /// A value in a test that does not fit the field.
    FieldValue,
    /// A test that starts at what is no time.
    BadStart,
    /// A timeout expected of a pattern that reports none.
    NoTimeouts,
    /// Something expected after `expect none`.
    AfterExpectNone,
    /// A case of a table with more or fewer values than the table has columns.
    CaseLength,

    /// Partial matches of a key can wait for ever.
    UnboundedState,
    /// `on timeout` where nothing can run out of time.
    NoDeadline,
    /// Partial matches can double with each event.
    ManyRuns,
    /// A trailing `next not` that is never decided if nothing follows.
    TrailingNextNot,
    /// A negation that is true of what is absent.
    TrueOfAbsent,
    /// A list without items.
    EmptyList,
    /// A step that a greedy loop before it never leaves anything for.
    Unreachable,
    /// A step whose words hold, or do not, for the next one when it is left out.
    LeftOut,
    /// A step of `all` that need not have come yet.
    MayNotHaveCome,
    /// A word that says nothing here.
    SaysNothing,
    /// An event of a test that the pattern does not read.
    NotRead,
    /// `suppress … by` something that the key does not determine: it is remembered per task.
    SuppressAcrossKeys,
    /// Conditions joined by `and` that can never all hold.
    Contradiction,
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
            Self::NotUtf8 => "E0019",

            Self::UnknownStream => "E0101",
            Self::UnknownField => "E0102",
            Self::UnknownName => "E0103",
            Self::UnknownFunction => "E0104",
            Self::UnknownType => "E0105",
            Self::UnknownPattern => "E0106",
            Self::DuplicateName => "E0107",
            Self::NameClash => "E0108",
            Self::DefineCycle => "E0109",
            Self::NotBuilt => "E0110",
            Self::WrongSort => "E0111",
            Self::TooMany => "E0112",
            Self::WindowPlace => "E0113",
            Self::WindowArgument => "E0114",
            Self::WindowFunction => "E0115",

            Self::TypeMismatch => "E0201",
            Self::FloatWithDecimal => "E0202",
            Self::ComparedWithNull => "E0203",
            Self::MissingUnit => "E0204",
            Self::TimeLiteral => "E0205",
            Self::NotCondition => "E0206",
            Self::ArgumentCount => "E0207",
            Self::ArgumentType => "E0208",
            Self::ArgumentNotLiteral => "E0209",
            Self::BadRegex => "E0210",
            Self::BadNetwork => "E0211",
            Self::BadZone => "E0212",
            Self::NumberRange => "E0213",
            Self::ListItems => "E0214",
            Self::KeyType => "E0215",
            Self::StepAsValue => "E0216",
            Self::TimeField => "E0217",
            Self::RegexTooLarge => "E0218",

            Self::RepeatedClause => "E0301",
            Self::LaterStep => "E0302",
            Self::AbsentStep => "E0303",
            Self::OtherBranch => "E0304",
            Self::OwnStep => "E0305",
            Self::NeverFirst => "E0306",
            Self::OutsideFrom => "E0307",
            Self::KeyParts => "E0308",
            Self::EndsInNot => "E0309",
            Self::NotWithoutStep => "E0310",
            Self::MisplacedFor => "E0311",
            Self::NeverDecided => "E0312",
            Self::BadAll => "E0313",
            Self::MisplacedLoopWord => "E0314",
            Self::EmptySpan => "E0315",
            Self::PatternTooLarge => "E0316",
            Self::NeedsName => "E0317",
            Self::WhichEvent => "E0318",
            Self::BadLimit => "E0319",
            Self::PatternTooLong => "E0320",
            Self::TooManySteps => "E0321",

            Self::MissingField => "E0401",
            Self::FieldValue => "E0402",
            Self::BadStart => "E0403",
            Self::NoTimeouts => "E0404",
            Self::AfterExpectNone => "E0405",
            Self::CaseLength => "E0406",

            Self::UnboundedState => "W0001",
            Self::NoDeadline => "W0002",
            Self::ManyRuns => "W0003",
            Self::TrailingNextNot => "W0004",
            Self::TrueOfAbsent => "W0005",
            Self::EmptyList => "W0006",
            Self::Unreachable => "W0007",
            Self::LeftOut => "W0008",
            Self::MayNotHaveCome => "W0009",
            Self::SaysNothing => "W0010",
            Self::NotRead => "W0011",
            Self::SuppressAcrossKeys => "W0012",
            Self::Contradiction => "W0013",
        }
    }

    /// Errors are `E`, warnings `W`.
    pub const fn severity(self) -> Severity {
        if self.text().as_bytes()[0] == b'W' { Severity::Warning } else { Severity::Error }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
