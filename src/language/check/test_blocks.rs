//! `test` blocks: the events that arrive, typed and timed, and what is expected of the pattern.

use std::collections::BTreeMap;

use crate::event::{Event, EventTime, Field, Schema, StreamId, TimeSpan, Type, Value};
use crate::language::ast::{self, Expected, Name, RecordLiteral, TestLineKind};
use crate::language::check::declarations::{Declarations, ONE_OF_THEM, twice};
use crate::language::check::findings::Findings;
use crate::language::check::pattern::Checked;
use crate::language::check::test_values::{For, of_type, record};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::language::spelling::{listed, named};
use crate::language::{Arrival, Expectation, ExpectationKind, ExpectedField, Test};
use crate::pattern::{EmitField, EmitValue, OnTimeout, Pattern};

/// Where a test starts that does not say.
const START: &str = "2000-01-01T00:00:00Z";

/// The patterns that tests can be of, in the order of their names, which is the program's. `None`: there is something wrong with it, which has been said.
pub(super) type Patterns<'a> = [(&'a str, Option<Checked>)];

/// What a field of a match is.
struct Emitted {
    name: String,
    r#type: Type,
}

/// Resolves one test; whether it is of use the findings tell.
pub(super) fn resolve(test: &ast::Test, patterns: &Patterns<'_>, declarations: &Declarations<'_>, schema: &Schema, findings: &mut Findings) -> Option<Test> {
    let start = start(test, findings);
    let found = patterns.binary_search_by_key(&test.pattern.node.as_str(), |(name, _)| *name).ok();
    let names = || patterns.iter().map(|(name, _)| *name);
    if found.is_none() && !declarations.may_be_unread(&test.pattern.node, names()) {
        let message = format!("unknown pattern `{}`", test.pattern.node);
        let diagnostic = Diagnostic::new(Code::UnknownPattern, test.pattern.span, message, "no pattern of this name");
        let diagnostic = diagnostic.help_nearest(findings, &test.pattern.node, names(), || match listed(names()) {
            none if none.is_empty() => "write the pattern, as in `pattern p { from S match a: S }`".to_owned(),
            names => format!("there are {names}"),
        });
        findings.add(diagnostic);
    }
    let checked = found.and_then(|place| patterns[place].1.as_ref());
    let mut lines = Lines {
        start,
        checked,
        declarations,
        schema,
        findings,
        offsets: BTreeMap::new(),
        watermarks: BTreeMap::new(),
        arrivals: Vec::new(),
        expectations: Vec::new(),
        nothing_else: None,
    };
    for line in &test.lines {
        lines.line(line);
    }
    let Lines { arrivals, expectations, nothing_else, .. } = lines;
    let name = test.name.node.clone();
    Some(Test { name, span: test.span, pattern: found?, start, arrivals, expectations, nothing_else: nothing_else.is_some() })
}

fn start(test: &ast::Test, findings: &mut Findings) -> EventTime {
    let standard = EventTime::parse_rfc3339(START).expect("a time");
    let Some(from) = &test.from else { return standard };
    EventTime::parse_rfc3339(&from.node).unwrap_or_else(|| {
        let diagnostic = Diagnostic::new(Code::BadStart, from.span, "the test does not start at a time", "not a time");
        findings.add(diagnostic.help("write it as in `from \"2026-01-31T08:00:00Z\"`"));
        standard
    })
}

struct Lines<'l, 'a> {
    start: EventTime,
    checked: Option<&'l Checked>,
    declarations: &'l Declarations<'a>,
    schema: &'l Schema,
    findings: &'l mut Findings,
    /// By stream: the offset of its next event.
    offsets: BTreeMap<StreamId, u64>,
    /// By stream: the watermark that a line said last, and where.
    watermarks: BTreeMap<StreamId, (EventTime, Span)>,
    arrivals: Vec<Arrival>,
    expectations: Vec<Expectation>,
    /// The place of `expect none`.
    nothing_else: Option<Span>,
}

impl Lines<'_, '_> {
    fn line(&mut self, line: &ast::TestLine) {
        match &line.kind {
            TestLineKind::Event { at, stream, fields } => self.event(at.node, stream, fields),
            TestLineKind::Watermark { at, stream } => self.watermark(at, stream),
            TestLineKind::Expect { what, at, fields } => {
                self.expected_after_none(line.span);
                self.expected(*what, at.map(|at| at.node), fields.as_ref(), line.span);
            }
            TestLineKind::ExpectLate { at } => {
                self.expected_after_none(line.span);
                let at = Some(self.start.plus(at.node));
                self.expectations.push(Expectation { span: line.span, kind: ExpectationKind::Late, at, fields: Vec::new() });
            }
            TestLineKind::ExpectNone => {
                self.expected_after_none(line.span);
                self.nothing_else = Some(line.span);
            }
        }
    }

    fn expected_after_none(&mut self, span: Span) {
        if let Some(none) = self.nothing_else {
            let diagnostic = Diagnostic::new(Code::AfterExpectNone, span, "`expect none` is the last expectation", "expected after it");
            self.findings
                .add(diagnostic.also(none, "says that nothing else comes out").help("move it to the end: it means nothing besides the lines before it"));
        }
    }

    // What arrives.

    /// The stream that something arrives in.
    fn stream(&mut self, name: &Name) -> Option<StreamId> {
        let events = self.declarations.events(name, self.findings)?;
        let stream = self.declarations.stream(events.stream);
        if events.lineage.len() > 1 {
            let message = format!("`{}` is a define: events arrive in a stream", name.node);
            let diagnostic = Diagnostic::new(Code::WrongSort, name.span, message, "not a stream");
            self.findings.add(diagnostic.help(format!("write {}", named(&stream.name.node))));
        }
        Some(events.stream)
    }

    fn watermark(&mut self, at: &Spanned<TimeSpan>, name: &Name) {
        let Some(stream) = self.stream(name) else { return };
        self.warn_if_not_read(stream, name);
        let watermark = self.start.plus(at.node);
        if let Some((before, span)) = self.watermarks.get(&stream).filter(|(before, _)| *before >= watermark) {
            let message = format!("the watermark of `{}` is at {} already", name.node, before.since(self.start));
            let diagnostic = Diagnostic::new(Code::SaysNothing, at.span, message, "changes nothing").also(*span, "said here");
            self.findings.add(diagnostic.help("a watermark never goes back: move the line up, or leave it out"));
            return;
        }
        self.watermarks.insert(stream, (watermark, at.span));
        self.arrivals.push(Arrival::Watermark { stream, watermark });
    }

    fn event(&mut self, at: TimeSpan, name: &Name, fields: &RecordLiteral) {
        let Some(id) = self.stream(name) else { return };
        let stream = self.declarations.stream(id);
        if stream.has_unknown_type() {
            return;
        }
        let time_field = stream.time_field();
        let owner = format!("`{}`", stream.name.node);
        let errors = self.findings.error_count();
        let mut values = record(fields, &self.schema.stream(id).fields, &owner, time_field, For::Arrival, self.findings);
        let mut time = self.start.plus(at);
        if let Some(value) = time_field.and_then(|field| values.get_mut(field)) {
            match value {
                Value::Timestamp(given) => time = *given,
                _ => *value = Value::Timestamp(time),
            }
        }
        if self.findings.error_count() > errors {
            return;
        }
        self.warn_if_not_read(id, name);
        let offset = self.offsets.entry(id).or_default();
        self.arrivals.push(Arrival::Event(Event { stream: id, partition: 0, offset: *offset, time, fields: values.into() }));
        *offset += 1;
    }

    fn warn_if_not_read(&mut self, stream: StreamId, name: &Name) {
        let Some(Checked { pattern, .. }) = self.checked else { return };
        if !pattern.sources.iter().any(|source| source.stream == stream) && !self.offsets.contains_key(&stream) && !self.watermarks.contains_key(&stream) {
            let message = format!("`{}` does not read `{}`", pattern.name, name.node);
            let diagnostic = Diagnostic::new(Code::NotRead, name.span, message, "not in its `from`");
            self.findings.add(diagnostic.help("leave the line out, or add the stream to `from`"));
        }
    }

    // What is expected.

    fn expected(&mut self, what: Expected, at: Option<TimeSpan>, fields: Option<&RecordLiteral>, span: Span) {
        let kind = match what {
            Expected::Match => ExpectationKind::Match,
            Expected::Timeout => ExpectationKind::Timeout,
        };
        let Some(checked) = self.checked else { return };
        if kind == ExpectationKind::Timeout && matches!(checked.pattern.on_timeout, OnTimeout::Silent) {
            let message = format!("`{}` reports no timeouts", checked.pattern.name);
            self.findings.add(Diagnostic::new(Code::NoTimeouts, span, message, "never comes out").help("add `on timeout emit` to the pattern"));
            return;
        }
        let emitted = emitted(checked, kind, self.schema);
        let mut expected = Vec::new();
        for (place, (name, value)) in fields.iter().flat_map(|literal| literal.fields.iter().enumerate()) {
            let before = fields.map(|literal| &literal.fields[..place]).unwrap_or_default();
            if let Some((first, _)) = before.iter().find(|(first, _)| first.node == name.node) {
                self.findings.add(twice(&name.node, name.span, first.span).help(ONE_OF_THEM));
                continue;
            }
            match emitted.iter().find(|emitted| emitted.name == name.node) {
                Some(Emitted { r#type, .. }) => {
                    let value = of_type(value, &format!("`{}`", name.node), r#type, For::Expectation, self.findings);
                    expected.push(ExpectedField { name: name.node.clone(), value, r#type: r#type.clone() });
                }
                None => {
                    let diagnostic = not_emitted(name, &checked.pattern, &emitted, self.findings);
                    self.findings.add(diagnostic);
                }
            }
        }
        self.expectations.push(Expectation { span, kind, at: at.map(|at| self.start.plus(at)), fields: expected });
    }
}

fn not_emitted(name: &Name, pattern: &Pattern, emitted: &[Emitted], findings: &Findings) -> Diagnostic {
    let message = format!("`{}` emits no field `{}`", pattern.name, name.node);
    let diagnostic = Diagnostic::new(Code::UnknownField, name.span, message, "not a field of the match");
    let names = || emitted.iter().map(|emitted| emitted.name.as_str());
    diagnostic.help_nearest(findings, &name.node, names(), || format!("it emits {}", listed(names())))
}

/// The fields of a match or timeout.
fn emitted(checked: &Checked, kind: ExpectationKind, schema: &Schema) -> Vec<Emitted> {
    let pattern = &checked.pattern;
    let fields = match (kind, &pattern.on_timeout) {
        (ExpectationKind::Timeout, OnTimeout::Emit(fields)) => Some(fields),
        _ => pattern.emit.as_ref(),
    };
    if let Some(fields) = fields {
        return fields.iter().map(|field| Emitted { name: field.name.clone(), r#type: field_type(field, checked, schema) }).collect();
    }
    let key = pattern.key_names.iter().zip(&checked.key_types).map(|(name, r#type)| Emitted { name: name.clone(), r#type: r#type.clone() });
    let steps = pattern.steps.iter().map(|step| Emitted { name: step.name.clone(), r#type: events_type(step.repeats, &schema.stream(step.stream).fields) });
    key.chain(steps).collect()
}

fn field_type(field: &EmitField, checked: &Checked, schema: &Schema) -> Type {
    match &field.value {
        EmitValue::Expression { r#type, .. } => r#type.clone(),
        EmitValue::Key(place) => checked.key_types[*place].clone(),
        EmitValue::Events(step) => {
            let step = checked.pattern.step(*step);
            events_type(step.repeats, &schema.stream(step.stream).fields)
        }
    }
}

/// A whole event is a record; those of a step that may take several, a list.
fn events_type(repeats: bool, fields: &[Field]) -> Type {
    let event = Type::Record(fields.to_vec());
    if repeats { Type::List(Box::new(event)) } else { event }
}
