//! A page for each code: what the finding means, what is wrong, what is right. They stand in `grammar/diagnostics/` and are part of the program.

use crate::language::codes::Code;

/// All codes, each with its page; one that is left out does not compile.
macro_rules! pages {
    ($($code:ident $text:literal)*) => {
        impl Code {
            /// In the order of the registry.
            pub const ALL: &[Self] = &[$(Self::$code),*];
        }

        /// What there is to say about a finding: Markdown, beginning with `# E0101: unknown stream`.
        ///
        /// Blocks marked `motif wrong` are found wrong with this code, those marked `motif` are right; both stand beside the streams of
        /// `grammar/diagnostics/streams.motif`. In the page of E0019 `�` stands for a byte that is no text.
        pub const fn page(code: Code) -> &'static str {
            match code {
                $(Code::$code => include_str!(concat!("../../grammar/diagnostics/", $text, ".md")),)*
            }
        }
    };
}

pages! {
    UnknownCharacter "E0001"
    Unclosed "E0002"
    BadEscape "E0003"
    BadNumber "E0004"
    BadDuration "E0005"
    ForeignSpelling "E0006"
    Unexpected "E0007"
    ReservedWord "E0008"
    UnbalancedBracket "E0009"
    TooDeep "E0010"
    ChainedComparison "E0011"
    MixedAndOr "E0012"
    BadQuantifier "E0013"
    WordOrder "E0014"
    StepStart "E0015"
    NotLiteral "E0016"
    TextTooLarge "E0017"
    TooManyErrors "E0018"
    NotUtf8 "E0019"

    UnknownStream "E0101"
    UnknownField "E0102"
    UnknownName "E0103"
    UnknownFunction "E0104"
    UnknownType "E0105"
    UnknownPattern "E0106"
    DuplicateName "E0107"
    NameClash "E0108"
    DefineCycle "E0109"
    NotBuilt "E0110"
    WrongSort "E0111"
    TooMany "E0112"
    WindowPlace "E0113"
    WindowArgument "E0114"
    WindowFunction "E0115"

    TypeMismatch "E0201"
    FloatWithDecimal "E0202"
    ComparedWithNull "E0203"
    MissingUnit "E0204"
    TimeLiteral "E0205"
    NotCondition "E0206"
    ArgumentCount "E0207"
    ArgumentType "E0208"
    ArgumentNotLiteral "E0209"
    BadRegex "E0210"
    BadNetwork "E0211"
    BadZone "E0212"
    NumberRange "E0213"
    ListItems "E0214"
    KeyType "E0215"
    StepAsValue "E0216"
    TimeField "E0217"
    RegexTooLarge "E0218"

    RepeatedClause "E0301"
    LaterStep "E0302"
    AbsentStep "E0303"
    OtherBranch "E0304"
    OwnStep "E0305"
    NeverFirst "E0306"
    OutsideFrom "E0307"
    KeyParts "E0308"
    EndsInNot "E0309"
    NotWithoutStep "E0310"
    MisplacedFor "E0311"
    NeverDecided "E0312"
    BadAll "E0313"
    MisplacedLoopWord "E0314"
    EmptySpan "E0315"
    PatternTooLarge "E0316"
    NeedsName "E0317"
    WhichEvent "E0318"
    BadLimit "E0319"
    PatternTooLong "E0320"
    TooManySteps "E0321"

    MissingField "E0401"
    FieldValue "E0402"
    BadStart "E0403"
    NoTimeouts "E0404"
    AfterExpectNone "E0405"
    CaseLength "E0406"

    UnboundedState "W0001"
    NoDeadline "W0002"
    ManyRuns "W0003"
    TrailingNextNot "W0004"
    TrueOfAbsent "W0005"
    EmptyList "W0006"
    Unreachable "W0007"
    LeftOut "W0008"
    MayNotHaveCome "W0009"
    SaysNothing "W0010"
    NotRead "W0011"
    SuppressAcrossKeys "W0012"
    Contradiction "W0013"
}

impl Code {
    /// The code that is written like this, in small letters or large.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text().eq_ignore_ascii_case(text))
    }
}
