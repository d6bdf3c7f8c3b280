//! A pattern's normal form: one text for all spellings of the same pattern. Its hash is the pattern's version.
//!
//! Names of files, comments, layout, and how defines and lists are spread do not count; everything that can change which matches come out,
//! or what they hold, does: the streams' types, conditions, steps, clauses, `emit`, `meta`.

use std::collections::BTreeMap;
use std::fmt::Write;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::event::{Schema, Stream, StreamId, TimeSpan};
use crate::pattern::display::{Names, write_value};
use crate::pattern::{
    Absence, Body, ConditionId, Connective, ContinuityInside, Element, EmitField, EmitValue, Expression, Measure, OnTimeout, Part, Pattern, Quantifier,
    Sequence, Skip, Source, StepId, Window,
};

/// What a normal form begins with.
const HEAD: &str = "motif pattern 1\n";

/// The versions of one program's patterns: the hashes of their normal forms.
///
/// A normal form begins with the streams, and these may have thousands of fields and stand in as many patterns: their text is made once for each stream, and hashed
/// once for each set of streams. From there the hash goes on by what the pattern itself says.
pub struct Versions<'a> {
    schema: &'a Schema,
    texts: BTreeMap<StreamId, String>,
    /// By the streams of patterns, the hash of the normal form as far as behind them.
    begun: BTreeMap<Vec<StreamId>, Xxh3>,
}

impl<'a> Versions<'a> {
    pub fn new(schema: &'a Schema) -> Self {
        Self { schema, texts: BTreeMap::new(), begun: BTreeMap::new() }
    }

    /// The hash of the pattern's normal form.
    pub fn of(&mut self, pattern: &Pattern) -> u128 {
        let Self { schema, texts, begun } = self;
        let begun = begun.entry(streams_of(pattern)).or_insert_with_key(|streams| {
            let mut hash = Xxh3::new();
            hash.update(HEAD.as_bytes());
            for id in streams {
                hash.update(texts.entry(*id).or_insert_with(|| stream_text(schema.stream(*id))).as_bytes());
            }
            hash
        });
        let mut hash = begun.clone();
        let mut writer = Writer { pattern, schema, out: String::new() };
        writer.pattern();
        hash.update(writer.out.as_bytes());
        hash.digest128()
    }
}

/// The text that is hashed.
pub fn normal_form(pattern: &Pattern, schema: &Schema) -> String {
    let mut writer = Writer { pattern, schema, out: HEAD.to_owned() };
    writer.streams();
    writer.pattern();
    writer.out
}

/// The streams that the pattern reads, each once, in their order.
fn streams_of(pattern: &Pattern) -> Vec<StreamId> {
    let mut ids: Vec<StreamId> = pattern.sources.iter().map(|source| source.stream).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A stream with all of its fields, since whole events may be shown: one line.
fn stream_text(stream: &Stream) -> String {
    let mut text = format!("stream {:?}", stream.name);
    for field in &stream.fields {
        let mark = if field.nullable { "?" } else { "" };
        write!(text, " {:?}: {}{mark},", field.name, field.r#type).expect("text takes all");
    }
    let time = stream.time_field.map(|place| stream.fields[place].name.as_str()).unwrap_or_default();
    writeln!(text, " time {time:?} late after {}", span(stream.lateness)).expect("text takes all");
    text
}

/// The hash of what tells the events that a window counts, and what is kept of each, from those of other windows, whatever the window's length and what it asks of them. `sources`: as one of which they
/// stand in the lines of the pattern. `ends_silently`, `since`: what else keeps them apart.
pub fn log_version(pattern: &Pattern, schema: &Schema, window: &Window, sources: &[&Source], ends_silently: bool, since: u64) -> u128 {
    let mut writer = Writer { pattern, schema, out: "motif window log 1\n".to_owned() };
    writer.streams();
    let mut lines: Vec<String> = pattern.sources.iter().map(|source| writer.line_of(source)).collect();
    lines.sort_unstable();
    lines.dedup();
    writer.line(&format!("silent {ends_silently} since {since}, of {}", lines.join(", ")));
    let mut counted: Vec<String> = sources.iter().map(|source| format!("{} where {}", writer.line_of(source), writer.filter(source))).collect();
    counted.sort_unstable();
    writer.line(&format!("from {}", counted.join(", ")));
    let names = writer.names(Some(window.events.stream));
    let condition = window.events.expression.as_ref().map(|expression| expression.text(&names)).unwrap_or_default();
    let measured = match &window.measure {
        Measure::Count => String::new(),
        Measure::Aggregate { path, .. } => Expression::Field(path.clone()).text(&names),
    };
    writer.line(&format!("where {condition} of {measured}"));
    xxh3_128(writer.out.as_bytes())
}

struct Writer<'a> {
    pattern: &'a Pattern,
    schema: &'a Schema,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn pattern(&mut self) {
        let pattern = self.pattern;
        self.line(&format!("pattern {:?} key {:?}", pattern.name, pattern.key_names));
        for source in &pattern.sources {
            let (name, filter, key) = (&self.schema.stream(source.stream).name, self.filter(source), self.key(source));
            self.line(&format!("from {name} where {filter} by {key}"));
        }
        self.sequence(&pattern.body);
        for without in &pattern.without {
            let ends = format!("{} and {}", self.step(without.from), self.step(without.to));
            self.line(&format!("without {} between {ends}", self.condition(without.condition)));
        }
        self.line(&format!("within {}", span(pattern.within)));
        let skip = match pattern.skip {
            Skip::None => "none".to_owned(),
            Skip::ToNext => "to next".to_owned(),
            Skip::PastLast => "past last".to_owned(),
            Skip::ToFirst(step) => format!("to first {}", self.step(Some(step))),
            Skip::ToLast(step) => format!("to last {}", self.step(Some(step))),
        };
        self.line(&format!("skip {skip}"));
        if let Some(emit) = &pattern.emit {
            self.emit("emit", emit);
        }
        match &pattern.on_timeout {
            OnTimeout::Silent => {}
            OnTimeout::EmitAsMatch => self.line("on timeout emit"),
            OnTimeout::Emit(emit) => self.emit("on timeout emit", emit),
        }
        self.line(&format!("limit runs {:?}", pattern.runs_max));
        if let Some(suppress) = &pattern.suppress {
            let by: Vec<String> = suppress.by.iter().map(|by| self.emitted(by)).collect();
            self.line(&format!("suppress {} by {}", span(Some(suppress.span)), by.join(", ")));
        }
        for (name, value) in &pattern.meta {
            let mut text = format!("meta {name:?}: ");
            write_value(value, &mut text);
            self.line(&text);
        }
    }

    fn filter(&self, source: &Source) -> String {
        source.filter.as_ref().map(|filter| filter.text(&self.names(Some(source.stream)))).unwrap_or_default()
    }

    fn key(&self, source: &Source) -> String {
        let names = self.names(Some(source.stream));
        let parts: Vec<String> = source.key.iter().map(|part| part.text(&names)).collect();
        parts.join(", ")
    }

    /// The events of the source in their line, whatever its filter.
    fn line_of(&self, source: &Source) -> String {
        format!("{:?} by {}", self.schema.stream(source.stream).name, self.key(source))
    }

    fn streams(&mut self) {
        for id in streams_of(self.pattern) {
            self.out += &stream_text(self.schema.stream(id));
        }
    }

    fn sequence(&mut self, sequence: &Sequence) {
        self.line("(");
        for part in &sequence.0 {
            match part {
                Part::Element(element) => self.element(element),
                Part::Absence(Absence::Not { condition, hold }) => self.line(&format!("not {} for {}", self.condition(*condition), span(*hold))),
                Part::Absence(Absence::NextNot { condition }) => self.line(&format!("next not {}", self.condition(*condition))),
            }
        }
        self.line(")");
    }

    fn element(&mut self, element: &Element) {
        let connective = match element.connective {
            Connective::Begin => "begin",
            Connective::Then => "then",
            Connective::ThenNext => "next",
            Connective::ThenAny => "any",
        };
        self.line(&format!("{connective} within {} {}", span(element.within), self.quantifier(&element.quantifier)));
        match &element.body {
            Body::Step { step, condition } => self.line(&format!("{}: {}", self.step(Some(*step)), self.condition(*condition))),
            Body::Group(sequence) => self.sequence(sequence),
            Body::Choice(branches) => {
                self.line("choice");
                for branch in branches {
                    self.sequence(branch);
                }
            }
            Body::All(steps) => {
                for (step, condition) in steps {
                    self.line(&format!("all {}: {}", self.step(Some(*step)), self.condition(*condition)));
                }
            }
        }
    }

    fn quantifier(&self, quantifier: &Quantifier) -> String {
        let inside = match quantifier.inside {
            ContinuityInside::Then => "then",
            ContinuityInside::Consecutive => "consecutive",
            ContinuityInside::Combinations => "combinations",
        };
        let until = quantifier.until.map(|condition| self.condition(condition)).unwrap_or_default();
        let Quantifier { least, most, optional, greedy, each_within, .. } = quantifier;
        format!("{{{least},{most:?}}} optional {optional} greedy {greedy} {inside} each {} until {until}", span(*each_within))
    }

    fn emit(&mut self, word: &str, fields: &[EmitField]) {
        for field in fields {
            self.line(&format!("{word} {} as {:?}", self.emitted(&field.value), field.name));
        }
    }

    fn emitted(&self, value: &EmitValue) -> String {
        match value {
            EmitValue::Expression { expression, .. } => expression.text(&self.names(None)),
            EmitValue::Events(step) => format!("events {}", self.step(Some(*step))),
            EmitValue::Key(place) => format!("key {place}"),
        }
    }

    fn names(&self, stream: Option<StreamId>) -> Names<'_> {
        Names { schema: self.schema, pattern: self.pattern, stream }
    }

    fn condition(&self, id: ConditionId) -> String {
        self.pattern.condition(id).text(self.schema, self.pattern)
    }

    fn step(&self, id: Option<StepId>) -> String {
        id.map(|id| format!("{:?}", self.pattern.step(id).name)).unwrap_or_default()
    }
}

fn span(span: Option<TimeSpan>) -> String {
    span.map(|span| span.micros().to_string()).unwrap_or_default()
}
