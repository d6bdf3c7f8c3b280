//! The faithful tree of a file: what was written, where, in the spelling it was written in. Nothing is resolved.
//!
//! Comments and blank lines are not in the tree; the parser's list of comments and the source text give them to the printer by place.
//! Equality ignores places: two texts that differ only in layout have equal trees.

use crate::event::TimeSpan;
use crate::language::span::{Span, Spanned};

/// A name as written, back quotes taken off.
pub type Name = Spanned<String>;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// Those that could be read whole, in the order written.
    pub items: Vec<Item>,
    /// What the other items declare, where that much could be read. Nothing should be said of these names: what they mean is not known.
    pub unread: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Stream(Stream),
    List(List),
    Define(Define),
    Pattern(Pattern),
    Test(Test),
    Table(Table),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub span: Span,
    pub name: Name,
    pub fields: Vec<Field>,
    /// `time f [, late after D]`, with its place; the checker refuses a second one.
    pub times: Vec<TimeClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TimeClause {
    pub span: Span,
    pub field: Name,
    pub late_after: Option<Spanned<TimeSpan>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: Name,
    pub r#type: Type,
    pub nullable: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    pub span: Span,
    pub kind: TypeKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `bool`, `int`, … or an unknown word, for the checker to refuse.
    Named(String),
    List(Box<Type>),
    Record(Vec<Field>),
}

/// `list name = [ … ]`.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    pub span: Span,
    pub name: Name,
    pub items: Vec<Expression>,
}

/// `define name = stream [where E]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Define {
    pub span: Span,
    pub name: Name,
    pub events: EventSet,
}

/// `S [where E]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSet {
    pub stream: Name,
    pub condition: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub span: Span,
    pub name: Name,
    /// Where the clause `from` stands.
    pub from_span: Span,
    /// `from S, …`
    pub from: Vec<Name>,
    /// `by E, …`; empty where left out.
    pub by: Vec<Expression>,
    /// Its place begins at `match`.
    pub body: Sequence,
    /// The other clauses in the order written; the checker refuses a second one of a kind.
    pub clauses: Vec<Clause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    pub span: Span,
    pub kind: ClauseKind,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a pattern has a handful of clauses")]
pub enum ClauseKind {
    Without {
        name: Name,
        events: EventSet,
        between: Option<(Name, Name)>,
    },
    Within(Spanned<TimeSpan>),
    Skip(Skip),
    Emit(Vec<EmitField>),
    /// Empty: `on timeout emit` alone, the same fields as a match.
    OnTimeout(Vec<EmitField>),
    Suppress {
        span: Spanned<TimeSpan>,
        by: Vec<Expression>,
    },
    LimitRuns(Spanned<u64>),
    Meta(Vec<MetaField>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Skip {
    None,
    ToNext,
    PastLast,
    ToFirst(Name),
    ToLast(Name),
}

#[derive(Clone, Debug, PartialEq)]
pub struct EmitField {
    pub value: Expression,
    pub name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetaField {
    pub name: Name,
    pub value: Expression,
}

/// Steps one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    pub span: Span,
    pub steps: Vec<Step>,
}

/// One `[then …] what`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub span: Span,
    /// `None` for the first of a sequence.
    pub connective: Option<Connective>,
    pub what: StepKind,
}

/// `then [next | any] [within D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Connective {
    pub span: Span,
    pub how: How,
    pub within: Option<Spanned<TimeSpan>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Then,
    Next,
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// `x{2,}… : S where E until E`.
    Event { name: Name, quantifier: Option<Quantifier>, events: EventSet, until: Option<Expression> },
    /// `not n: S where E [for D]`; `then next not` has [`How::Next`] in its connective.
    Not { name: Name, events: EventSet, hold: Option<Spanned<TimeSpan>> },
    /// `( … | … ){2}`; one branch: a group.
    Group { branches: Vec<Sequence>, quantifier: Option<Quantifier> },
    /// `all ( j: S, k: S )`: steps of kind [`StepKind::Event`] (anything else is for the checker to refuse).
    All { steps: Vec<Step>, quantifier: Option<Quantifier> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Quantifier {
    pub span: Span,
    pub count: Count,
    /// A `?` after braces.
    pub optional: bool,
    pub greedy: Option<Span>,
    pub inside: Option<Spanned<Inside>>,
    pub each_within: Option<Spanned<TimeSpan>>,
}

/// As written; equality of trees is equality of spelling here. Never `{0}`, and never more at least than at most: the parser refuses these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// No mark, but words follow (`x greedy`): for the checker to judge.
    Unsaid,
    /// `?`
    Optional,
    /// `+`
    Plus,
    /// `*`
    Star,
    /// `{n}`
    Exactly(u32),
    /// `{n,m}`; `{,m}` is a syntax error.
    Between(u32, u32),
    /// `{n,}`
    AtLeast(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Consecutive,
    Combinations,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub span: Span,
    pub kind: ExpressionKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    Text(String),
    /// Digits as written, without sign; a `.` makes it a decimal or float.
    Number(String),
    Bool(bool),
    Null,
    Duration(TimeSpan),
    List(Vec<Expression>),
    Name(String),
    /// `base.field`.
    Member {
        base: Box<Expression>,
        field: Name,
    },
    /// `base[place]`.
    Index {
        base: Box<Expression>,
        place: Spanned<i64>,
    },
    Call {
        function: Name,
        arguments: Vec<Expression>,
    },
    /// `count(payments over 10m)`, `sum(payments.amount over tumbling 1h)`.
    Window {
        function: Name,
        argument: Box<Expression>,
        window: Window,
    },
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary {
        operator: Spanned<Operator>,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// `is null`, `is not null`.
    IsNull {
        operand: Box<Expression>,
        negated: bool,
    },
    /// `( E )`: kept so that printing gives back what was written.
    Parenthesized(Box<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    Sliding(Spanned<TimeSpan>),
    Tumbling(Spanned<TimeSpan>),
    Session(Spanned<TimeSpan>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// `test "…" of p [from "…"] { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub span: Span,
    pub name: Spanned<String>,
    pub pattern: Name,
    /// An RFC 3339 time.
    pub from: Option<Spanned<String>>,
    pub lines: Vec<TestLine>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestLine {
    pub span: Span,
    pub kind: TestLineKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestLineKind {
    /// `5s payments { field: value, … }`; values are literals, lists, or records.
    Event { at: Spanned<TimeSpan>, stream: Name, fields: RecordLiteral },
    /// `30s watermark payments`.
    Watermark { at: Spanned<TimeSpan>, stream: Name },
    /// `expect match|timeout [at D] [{ … }]`.
    Expect { what: Expected, at: Option<Spanned<TimeSpan>>, fields: Option<RecordLiteral> },
    /// `expect late at D`.
    ExpectLate { at: Spanned<TimeSpan> },
    /// `expect none`.
    ExpectNone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Match,
    Timeout,
}

/// `table "…" of p [from "…"] { columns … }`: what arrives in every case, with columns in the place of times and values; then the cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub span: Span,
    pub name: Spanned<String>,
    pub pattern: Name,
    /// An RFC 3339 time.
    pub from: Option<Spanned<String>>,
    /// Where `columns` stands.
    pub columns_span: Span,
    pub columns: Vec<Name>,
    pub lines: Vec<TableLine>,
    pub cases: Vec<Case>,
}

/// `5s payments { amount: large }`, `soon payments { … }`, `soon watermark payments`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableLine {
    pub span: Span,
    pub at: When,
    pub stream: Name,
    /// `None`: the line is about the stream's watermark.
    pub fields: Option<RecordLiteral>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum When {
    Said(Spanned<TimeSpan>),
    Column(Name),
}

/// `case "…": value, … expect …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub span: Span,
    pub name: Spanned<String>,
    pub cells: Vec<Cell>,
    /// Lines that expect something, one at least.
    pub expected: Vec<TestLine>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// `none`: the line whose time it is does not come.
    None(Span),
    Value(RecordValue),
}

/// `{ name: value, … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordLiteral {
    pub span: Span,
    pub fields: Vec<(Name, RecordValue)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecordValue {
    Expression(Expression),
    Record(RecordLiteral),
    List(Span, Vec<RecordValue>),
    /// What a case has in the column of this name; in tables only.
    Column(Name),
}

impl RecordValue {
    pub fn span(&self) -> Span {
        match self {
            Self::Expression(expression) => expression.span,
            Self::Record(record) => record.span,
            Self::List(span, _) => *span,
            Self::Column(name) => name.span,
        }
    }
}

impl Cell {
    pub fn span(&self) -> Span {
        match self {
            Self::None(span) => *span,
            Self::Value(value) => value.span(),
        }
    }
}
