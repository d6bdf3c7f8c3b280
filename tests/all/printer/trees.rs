//! Random trees: every shape that the parser can make, without places.

use motif::event::TimeSpan;
use motif::language::ast::{
    Case, Cell, Clause, ClauseKind, Connective, Count, Define, EmitField, EventSet, Expected, Expression, ExpressionKind, Field, File, How, Inside, Item, List,
    MetaField, Name, Operator, Pattern, Quantifier, RecordLiteral, RecordValue, Sequence, Skip, Step, StepKind, Stream, Table, TableLine, Test, TestLine,
    TestLineKind, TimeClause, Type, TypeKind, When, Window,
};
use motif::language::{DURATION_MAX, Span, Spanned};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

const NAMES: [&str; 20] = [
    "a",
    "b",
    "payments",
    "amount",
    "card_id",
    "_x1",
    "count",
    "from",
    "within",
    "match",
    "list",
    "time",
    "late",
    "stream",
    "watermark",
    "case",
    "a b",
    "@time",
    "日本",
    "a_name_that_is_longer_than_any_column",
];

const NUMBERS: [&str; 6] = ["0", "1", "007", "12.50", "99999999999999999999999", "0.000001"];

const CHARACTERS: [char; 16] = ['a', 'b', ' ', '"', '\\', '/', '#', '`', '\n', '\r', '\t', '\u{0}', '\u{7f}', 'é', '日', '\u{1f600}'];

const COMPARISONS: [Operator; 8] =
    [Operator::Equal, Operator::NotEqual, Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual, Operator::In, Operator::NotIn];

pub struct Trees<'a> {
    random: &'a mut ChaCha8Rng,
    /// Parts that may still be made before everything becomes as short as it can be.
    parts: usize,
}

/// A file of some items, `parts` large or a little more.
pub fn file(random: &mut ChaCha8Rng, parts: usize) -> File {
    let mut trees = Trees { random, parts };
    let mut items = Vec::new();
    while trees.parts > 0 {
        items.push(trees.item());
    }
    File { items, unread: Vec::new() }
}

fn spanned<T>(node: T) -> Spanned<T> {
    Spanned { node, span: Span::default() }
}

fn expression(kind: ExpressionKind) -> Expression {
    Expression { span: Span::default(), kind }
}

impl Trees<'_> {
    fn maybe(&mut self, probability: f64) -> bool {
        self.parts = self.parts.saturating_sub(1);
        self.parts > 0 && self.random.random_bool(probability)
    }

    fn below(&mut self, bound: usize) -> usize {
        if self.parts == 0 { 0 } else { self.random.random_range(0..bound) }
    }

    fn some<T>(&mut self, least: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut made: Vec<T> = (0..least).map(|_| make(self)).collect();
        while self.maybe(0.5) {
            made.push(make(self));
        }
        made
    }

    fn optional<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.maybe(0.3).then(|| make(self))
    }

    fn name(&mut self) -> Name {
        spanned((*NAMES.choose(self.random).expect("not empty")).to_owned())
    }

    fn text(&mut self) -> String {
        self.some(0, |trees| *CHARACTERS.choose(trees.random).expect("not empty")).into_iter().collect()
    }

    fn span(&mut self) -> Spanned<TimeSpan> {
        let most: i64 = *[2, 1_000, 1_000_000, 90_000_000_000, DURATION_MAX.micros() + 1].choose(self.random).expect("not empty");
        spanned(TimeSpan::from_micros(self.random.random_range(1..most)))
    }

    /// A duration, perhaps of nothing.
    fn offset(&mut self) -> Spanned<TimeSpan> {
        if self.maybe(0.2) { spanned(TimeSpan::ZERO) } else { self.span() }
    }

    // Items.

    fn item(&mut self) -> Item {
        match self.below(7) {
            0 => Item::Define(Define { span: Span::default(), name: self.name(), events: self.events() }),
            1 => Item::Stream(self.stream()),
            2 => Item::List(List { span: Span::default(), name: self.name(), items: self.some(0, Self::literal) }),
            3 => Item::Test(self.test()),
            4 => Item::Table(self.table()),
            _ => Item::Pattern(self.pattern()),
        }
    }

    fn stream(&mut self) -> Stream {
        let fields = self.some(0, |trees| trees.field(3));
        let time = |trees: &mut Self| TimeClause { span: Span::default(), field: trees.name(), late_after: trees.optional(Self::span) };
        Stream { span: Span::default(), name: self.name(), fields, times: self.some(0, time) }
    }

    fn field(&mut self, depth: usize) -> Field {
        Field { name: self.name(), r#type: self.r#type(depth), nullable: self.maybe(0.3) }
    }

    fn r#type(&mut self, depth: usize) -> Type {
        let kind = match self.below(4) {
            1 if depth > 0 => TypeKind::List(Box::new(self.r#type(depth - 1))),
            2 if depth > 0 => TypeKind::Record(self.some(0, |trees| trees.field(depth - 1))),
            _ => TypeKind::Named(self.name().node),
        };
        Type { span: Span::default(), kind }
    }

    fn events(&mut self) -> EventSet {
        EventSet { stream: self.name(), condition: self.optional(Self::expression) }
    }

    // Patterns.

    fn pattern(&mut self) -> Pattern {
        Pattern {
            span: Span::default(),
            name: self.name(),
            from_span: Span::default(),
            from: self.some(1, Self::name),
            by: self.some(0, Self::expression),
            body: self.sequence(3),
            clauses: self.some(0, |trees| Clause { span: Span::default(), kind: trees.clause() }),
        }
    }

    fn clause(&mut self) -> ClauseKind {
        match self.below(8) {
            0 => ClauseKind::Within(self.span()),
            1 => ClauseKind::Without { name: self.name(), events: self.events(), between: self.optional(|trees| (trees.name(), trees.name())) },
            2 => ClauseKind::Skip(match self.below(5) {
                0 => Skip::None,
                1 => Skip::ToNext,
                2 => Skip::PastLast,
                3 => Skip::ToFirst(self.name()),
                _ => Skip::ToLast(self.name()),
            }),
            3 => ClauseKind::Emit(self.some(1, Self::emitted)),
            4 => ClauseKind::OnTimeout(self.some(0, Self::emitted)),
            5 => ClauseKind::Suppress { span: self.span(), by: self.some(1, Self::expression) },
            6 => ClauseKind::LimitRuns(spanned(self.random.random())),
            _ => ClauseKind::Meta(self.some(0, |trees| MetaField { name: trees.name(), value: trees.literal() })),
        }
    }

    fn emitted(&mut self) -> EmitField {
        EmitField { value: self.expression(), name: self.optional(Self::name) }
    }

    fn sequence(&mut self, depth: usize) -> Sequence {
        let mut steps = vec![Step { span: Span::default(), connective: None, what: self.step(depth) }];
        while self.maybe(0.6) {
            steps.push(self.later_step(depth));
        }
        Sequence { span: Span::default(), steps }
    }

    fn later_step(&mut self, depth: usize) -> Step {
        let not = self.maybe(0.25);
        let how = *[How::Then, How::Then, How::Next, How::Any][..if not { 3 } else { 4 }].choose(self.random).expect("not empty");
        let within = if not { None } else { self.optional(Self::span) };
        let what = if not { StepKind::Not { name: self.name(), events: self.events(), hold: self.optional(Self::span) } } else { self.step(depth) };
        Step { span: Span::default(), connective: Some(Connective { span: Span::default(), how, within }), what }
    }

    fn step(&mut self, depth: usize) -> StepKind {
        match self.below(6) {
            4 if depth > 0 => StepKind::Group { branches: self.some(1, |trees| trees.sequence(depth - 1)), quantifier: self.quantifier() },
            5 if depth > 0 => {
                let alone = |trees: &mut Self| Step { span: Span::default(), connective: None, what: trees.step(depth - 1) };
                StepKind::All { steps: self.some(1, alone), quantifier: self.quantifier() }
            }
            _ => StepKind::Event { name: self.name(), quantifier: self.quantifier(), events: self.events(), until: self.optional(Self::expression) },
        }
    }

    fn quantifier(&mut self) -> Option<Quantifier> {
        let number = self.random.random_range(1..6);
        let count = match self.below(8) {
            1 => Count::Optional,
            2 => Count::Plus,
            3 => Count::Star,
            4 => Count::Exactly(number),
            5 => Count::Between(self.random.random_range(0..=number), number),
            6 => Count::AtLeast(number - 1),
            _ => Count::Unsaid,
        };
        let in_braces = matches!(count, Count::Exactly(_) | Count::Between(..) | Count::AtLeast(_));
        let quantifier = Quantifier {
            span: Span::default(),
            count,
            optional: in_braces && self.maybe(0.3),
            greedy: self.optional(|_| Span::default()),
            inside: self.optional(|trees| spanned(*[Inside::Consecutive, Inside::Combinations].choose(trees.random).expect("not empty"))),
            each_within: self.optional(Self::span),
        };
        let says_nothing = quantifier.greedy.is_none() && quantifier.inside.is_none() && quantifier.each_within.is_none();
        if count == Count::Unsaid && says_nothing { None } else { Some(quantifier) }
    }

    // Expressions, from weakest to strongest.

    fn expression(&mut self) -> Expression {
        let operator = if self.below(2) == 0 { Operator::And } else { Operator::Or };
        self.chain(&[operator], Self::negation)
    }

    /// Operands of one strength, the leftmost innermost.
    fn chain(&mut self, operators: &[Operator], operand: fn(&mut Self) -> Expression) -> Expression {
        let mut left = operand(self);
        while self.maybe(0.2) {
            let operator = spanned(*operators.choose(self.random).expect("not empty"));
            left = expression(ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(operand(self)) });
        }
        left
    }

    fn negation(&mut self) -> Expression {
        if self.maybe(0.1) { expression(ExpressionKind::Not(Box::new(self.negation()))) } else { self.comparison() }
    }

    fn comparison(&mut self) -> Expression {
        let left = self.sum();
        match self.below(4) {
            1 => expression(ExpressionKind::IsNull { operand: Box::new(left), negated: self.maybe(0.5) }),
            2 => {
                let operator = spanned(*COMPARISONS.choose(self.random).expect("not empty"));
                expression(ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(self.sum()) })
            }
            _ => left,
        }
    }

    fn sum(&mut self) -> Expression {
        self.chain(&[Operator::Add, Operator::Subtract], |trees| trees.chain(&[Operator::Multiply, Operator::Divide, Operator::Remainder], Self::unary))
    }

    fn unary(&mut self) -> Expression {
        if self.maybe(0.1) { expression(ExpressionKind::Negate(Box::new(self.unary()))) } else { self.postfix() }
    }

    fn postfix(&mut self) -> Expression {
        let mut base = self.primary();
        while self.maybe(0.2) {
            let inner = Box::new(base);
            base = expression(if self.below(2) == 0 {
                ExpressionKind::Member { base: inner, field: self.name() }
            } else {
                ExpressionKind::Index { base: inner, place: spanned(*[0, 7, -1, i64::MAX, -i64::MAX].choose(self.random).expect("not empty")) }
            });
        }
        base
    }

    fn primary(&mut self) -> Expression {
        let kind = match self.below(10) {
            1 | 2 => return self.scalar(),
            3 => ExpressionKind::List(self.some(0, Self::expression)),
            4 => ExpressionKind::Parenthesized(Box::new(self.expression())),
            5 => ExpressionKind::Call { function: self.name(), arguments: self.some(0, Self::expression) },
            6 => {
                let kind = *[Window::Sliding, Window::Tumbling, Window::Session].choose(self.random).expect("not empty");
                let (argument, window) = (Box::new(self.expression()), kind(self.span()));
                ExpressionKind::Window { function: self.name(), argument, window }
            }
            _ => ExpressionKind::Name(self.name().node),
        };
        expression(kind)
    }

    fn scalar(&mut self) -> Expression {
        expression(match self.below(6) {
            0 => ExpressionKind::Null,
            1 => ExpressionKind::Bool(true),
            2 => ExpressionKind::Bool(false),
            3 => ExpressionKind::Duration(self.span().node),
            4 => ExpressionKind::Text(self.text()),
            _ => self.number().kind,
        })
    }

    fn number(&mut self) -> Expression {
        expression(ExpressionKind::Number((*NUMBERS.choose(self.random).expect("not empty")).to_owned()))
    }

    fn signed(&mut self) -> Expression {
        if self.maybe(0.2) { expression(ExpressionKind::Negate(Box::new(self.number()))) } else { self.scalar() }
    }

    fn literal(&mut self) -> Expression {
        if self.maybe(0.2) { expression(ExpressionKind::List(self.some(0, Self::literal))) } else { self.signed() }
    }

    // Tests.

    fn test(&mut self) -> Test {
        Test {
            span: Span::default(),
            name: spanned(self.text()),
            pattern: self.name(),
            from: self.optional(|trees| spanned(trees.text())),
            lines: self.some(0, |trees| if trees.below(2) == 0 { trees.expect_line() } else { trees.arrival() }),
        }
    }

    fn arrival(&mut self) -> TestLine {
        let (at, stream) = (self.offset(), self.name());
        let kind = if self.below(4) == 1 {
            TestLineKind::Watermark { at, stream }
        } else {
            TestLineKind::Event { at, stream, fields: self.record(2, Self::signed_value) }
        };
        TestLine { span: Span::default(), kind }
    }

    fn expect_line(&mut self) -> TestLine {
        let kind = match self.below(4) {
            0 => TestLineKind::ExpectNone,
            1 => TestLineKind::ExpectLate { at: self.offset() },
            _ => {
                let what = *[Expected::Match, Expected::Timeout].choose(self.random).expect("not empty");
                TestLineKind::Expect { what, at: self.optional(Self::offset), fields: self.optional(|trees| trees.record(2, Self::signed_value)) }
            }
        };
        TestLine { span: Span::default(), kind }
    }

    fn table(&mut self) -> Table {
        let case = |trees: &mut Self| Case {
            span: Span::default(),
            name: spanned(trees.text()),
            cells: trees.some(1, |trees| if trees.maybe(0.2) { Cell::None(Span::default()) } else { Cell::Value(trees.value(2, Self::signed_value)) }),
            expected: trees.some(1, Self::expect_line),
        };
        Table {
            span: Span::default(),
            name: spanned(self.text()),
            pattern: self.name(),
            from: self.optional(|trees| spanned(trees.text())),
            columns_span: Span::default(),
            columns: self.some(1, Self::name),
            lines: self.some(0, Self::table_line),
            cases: self.some(1, case),
        }
    }

    fn table_line(&mut self) -> TableLine {
        let at = if self.maybe(0.3) { When::Column(self.name()) } else { When::Said(self.offset()) };
        let stream = self.name();
        let fields = if self.maybe(0.2) { None } else { Some(self.record(2, Self::signed_or_column)) };
        TableLine { span: Span::default(), at, stream, fields }
    }

    fn record(&mut self, depth: usize, scalar: fn(&mut Self) -> RecordValue) -> RecordLiteral {
        RecordLiteral { span: Span::default(), fields: self.some(0, |trees| (trees.name(), trees.value(depth, scalar))) }
    }

    fn value(&mut self, depth: usize, scalar: fn(&mut Self) -> RecordValue) -> RecordValue {
        match self.below(4) {
            1 if depth > 0 => RecordValue::Record(self.record(depth - 1, scalar)),
            2 if depth > 0 => RecordValue::List(Span::default(), self.some(0, |trees| trees.value(depth - 1, scalar))),
            _ => scalar(self),
        }
    }

    fn signed_value(&mut self) -> RecordValue {
        RecordValue::Expression(self.signed())
    }

    fn signed_or_column(&mut self) -> RecordValue {
        if self.maybe(0.3) { RecordValue::Column(self.name()) } else { self.signed_value() }
    }
}
