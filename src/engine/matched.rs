//! What comes out: a decided choice of events with its fields, its id, and its place in the order of the output.
//!
//! The id is the xxh3-128 hash of these bytes, where text is its length (a varint) and then UTF-8, and numbers are varints:
//!
//! ```text
//! pattern name, version (16 bytes, the highest first), kind (one byte: 0 match, 1 timeout),
//! for each chosen event in order: step name, stream name, partition, offset
//! ```

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use xxhash_rust::xxh3::xxh3_128;

use crate::automaton::{Choice, Decided, DecidedBy, DecidedKind, push_made};
use crate::engine::compiled::key_values;
use crate::engine::index::number;
use crate::event::binary::{write_bytes, write_unsigned};
use crate::event::{EventTime, Fields, Key, Place, Schema, SharedEvent, StreamId, Type, Value};
use crate::pattern::{Chosen, EmitField, EmitValue, Expression, Moment, OnTimeout, Pattern, Scope, StepId, Suppress};

/// What a match has as text beside its fields, about, and the place of each of its events.
const FRAME_BYTES: usize = 200;
const PLACE_BYTES: usize = 12;

/// A match, or a partial match that ran out of time.
#[derive(Clone, Debug)]
pub struct Match {
    pub pattern: Arc<Pattern>,
    pub kind: DecidedKind,
    /// The key's bytes; see [`crate::event::Key`].
    pub key: SmallVec<[u8; 16]>,
    /// As the first chosen event spells them, under the names of [`Pattern::key_names`].
    pub key_values: SmallVec<[Value; 1]>,
    /// The time of its last event, or of the deadline that decided it.
    pub at: EventTime,
    /// In line order.
    pub chosen: Choice,
    /// Of the expressions that `emit` names, in its order; see [`Match::fields`].
    pub values: Vec<Value>,
    /// Partial matches that the key has lost to its limit so far.
    pub runs_dropped: u64,
    /// Matches that were suppressed since the last one delivered with equal `suppress … by`: this one stands for them.
    pub suppressed: u64,
    /// The bytes of `suppress … by`; `None`: the pattern suppresses nothing, or a part is null.
    pub(super) suppress_by: Option<Vec<u8>>,
    /// The same match has the same id in every replay.
    pub id: u128,
    decided_by: Decider,
}

/// A field of a match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatchField<'a> {
    /// The type names the fields of records.
    Value(&'a Value, &'a Type),
    /// The events that the step has chosen, whole.
    Events(StepId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decider {
    Deadline,
    /// The event that completed it, or passed over what waited for the very next event: its time is the match's.
    Event {
        stream: StreamId,
        partition: u32,
        offset: u64,
    },
}

/// Where a match stands in the output: by `at`; at one instant first those decided by a deadline, by key and then pattern, then the others by the event
/// that completed them, then pattern. Within one pattern and key equal matches stay as they were decided: sort stably.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OutputOrder<'a> {
    at: EventTime,
    by: Rank<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank<'a> {
    Deadline { key: &'a [u8], pattern: &'a str },
    Event { event: (StreamId, u32, u64), pattern: &'a str, key: &'a [u8] },
}

impl Match {
    pub fn order(&self) -> OutputOrder<'_> {
        let (key, pattern) = (&*self.key, self.pattern.name.as_str());
        let by = match self.decided_by {
            Decider::Deadline => Rank::Deadline { key, pattern },
            Decider::Event { stream, partition, offset } => Rank::Event { event: (stream, partition, offset), pattern, key },
        };
        OutputOrder { at: self.at, by }
    }

    /// What `emit` says, in its order; without it the key, and every step's events.
    pub fn fields(&self) -> impl Iterator<Item = (&str, MatchField<'_>)> {
        let pattern = &*self.pattern;
        let key = |place: usize| MatchField::Value(&self.key_values[place], scalar_type(&self.key_values[place]));
        let mut values = self.values.iter();
        let emitted = emitted(pattern, self.kind);
        let said = emitted.into_iter().flatten().map(move |EmitField { name, value }| {
            let field = match value {
                EmitValue::Expression { r#type, .. } => MatchField::Value(values.next().expect("each expression has a value"), r#type),
                EmitValue::Events(step) => MatchField::Events(*step),
                EmitValue::Key(place) => key(*place),
            };
            (name, field)
        });
        let keys = (0..).zip(&pattern.key_names).map(move |(place, name)| (name, key(place)));
        let steps = (0..).zip(&pattern.steps).map(|(id, step)| (&step.name, MatchField::Events(StepId(id))));
        let everything = emitted.is_none().then(|| keys.chain(steps));
        said.chain(everything.into_iter().flatten()).map(|(name, field)| (name.as_str(), field))
    }

    /// As text in the output, about. Cost: a look at each value.
    pub fn text_bytes(&self) -> usize {
        let of_event = |event: &SharedEvent| event.fields().iter().map(Value::text_bytes).sum::<usize>();
        let of_field = |(_, field): (&str, MatchField<'_>)| match field {
            MatchField::Value(value, _) => value.text_bytes(),
            MatchField::Events(step) => self.events_of(step).map(of_event).sum(),
        };
        FRAME_BYTES + PLACE_BYTES * self.chosen.len() + self.fields().map(of_field).sum::<usize>()
    }

    /// The events that a step has chosen, in line order.
    pub fn events_of(&self, step: StepId) -> impl Iterator<Item = &SharedEvent> {
        self.chosen.iter().filter(move |(of, _)| *of == step).map(|(_, event)| event)
    }
}

/// What a pattern's matches have in common: made once, and together. (With thousands of patterns all that has to be looked at for a match is far from the processor.)
#[derive(Debug)]
pub(super) struct Delivery {
    /// What ids are hashes of, as far as the pattern tells: its name and version, then the name of each step and of its stream.
    hashed: Box<[u8]>,
    /// Where in that each of these ends, the pattern's first.
    ends: SmallVec<[u32; 4]>,
    /// The fields that are the key, where all events have the same.
    key: Option<SmallVec<[usize; 2]>>,
    /// Matches, or partial ones that ran out of time, have values, or suppress others: the pattern says which.
    calculates: bool,
}

impl Delivery {
    pub(super) fn new(pattern: &Pattern, schema: &Schema) -> Self {
        let mut hashed = Vec::new();
        write_bytes(pattern.name.as_bytes(), &mut hashed);
        hashed.extend(pattern.version.to_be_bytes());
        let mut ends = smallvec![number(hashed.len())];
        for step in &pattern.steps {
            write_bytes(step.name.as_bytes(), &mut hashed);
            write_bytes(schema.stream(step.stream).name.as_bytes(), &mut hashed);
            ends.push(number(hashed.len()));
        }
        let key = if let [only] = &pattern.sources[..] { only.key.iter().map(Expression::whole_field).collect() } else { None };
        let has_values = |kind| emitted(pattern, kind).unwrap_or_default().iter().any(|field| matches!(field.value, EmitValue::Expression { .. }));
        let calculates = pattern.suppress.is_some() || has_values(DecidedKind::Match) || has_values(DecidedKind::Timeout);
        Self { hashed: hashed.into(), ends, key, calculates }
    }

    /// Adds the match. `event`: the event at hand, where one decided. `scratch`: memory that is used again.
    #[expect(clippy::too_many_arguments, reason = "each of another kind")]
    pub(super) fn deliver(
        &self,
        pattern: &Arc<Pattern>,
        key: &[u8],
        decided: &mut Decided,
        event: Option<&SharedEvent>,
        moment: Moment<'_>,
        scratch: &mut Vec<u8>,
        matches: &mut Vec<Match>,
    ) {
        let Decided { kind, at, by, ref mut chosen, runs_dropped } = *decided;
        let decided_by = match by {
            DecidedBy::Deadline => Decider::Deadline,
            DecidedBy::Event => {
                let Place { stream, partition, offset, .. } = **event.expect("the event that decides is at hand");
                Decider::Event { stream, partition, offset }
            }
        };
        let id = self.id(kind, chosen, scratch);
        let delivered = push_made(matches, || Match {
            pattern: pattern.clone(),
            kind,
            key: SmallVec::new(),
            key_values: SmallVec::new(),
            at,
            chosen: Choice::new(),
            values: Vec::new(),
            runs_dropped,
            suppressed: 0,
            suppress_by: None,
            id,
            decided_by,
        });
        delivered.key.extend_from_slice(key);
        let (_, first) = chosen.first().expect("a match of no events is none");
        match &self.key {
            Some(fields) => delivered.key_values.extend(fields.iter().map(|field| first.fields().at(*field).clone())),
            None => assert!(key_values(pattern, first, key, &mut delivered.key_values), "what was chosen stands in the key's line"),
        }
        if self.calculates {
            Self::calculate(pattern, chosen, moment, delivered);
        }
        std::mem::swap(&mut delivered.chosen, chosen);
    }

    fn calculate(pattern: &Pattern, chosen: &[(StepId, SharedEvent)], moment: Moment<'_>, delivered: &mut Match) {
        let events = Events(chosen);
        let scope = Scope { fields: None, chosen: &events, moment };
        for field in emitted(pattern, delivered.kind).unwrap_or_default() {
            if let EmitValue::Expression { expression, .. } = &field.value {
                delivered.values.push(expression.value(&scope));
            }
        }
        if let Some(suppress) = &pattern.suppress {
            delivered.suppress_by = suppressed_by(suppress, &delivered.key_values, &scope);
        }
    }

    fn id(&self, kind: DecidedKind, chosen: &[(StepId, SharedEvent)], bytes: &mut Vec<u8>) -> u128 {
        bytes.clear();
        bytes.extend_from_slice(&self.hashed[..self.ends[0] as usize]);
        bytes.push(match kind {
            DecidedKind::Match => 0,
            DecidedKind::Timeout => 1,
        });
        for (step, event) in chosen {
            let step = usize::from(step.0);
            bytes.extend_from_slice(&self.hashed[self.ends[step] as usize..self.ends[step + 1] as usize]);
            write_unsigned(u64::from(event.partition), bytes);
            write_unsigned(event.offset, bytes);
        }
        xxh3_128(bytes)
    }
}

/// As they stand in the output: those that are equal there stay as they were decided.
pub fn put_in_order(matches: &mut [Match]) {
    matches.sort_by(|one, other| one.order().cmp(&other.order()));
}

/// `None`: nothing is said, so everything is meant.
fn emitted(pattern: &Pattern, kind: DecidedKind) -> Option<&[EmitField]> {
    match (kind, &pattern.on_timeout) {
        (DecidedKind::Timeout, OnTimeout::Emit(fields)) => Some(fields),
        (DecidedKind::Match | DecidedKind::Timeout, _) => pattern.emit.as_deref(),
    }
}

fn suppressed_by(suppress: &Suppress, key_values: &[Value], scope: &Scope<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let whole = suppress.by.iter().all(|by| match by {
        EmitValue::Expression { expression, .. } => Key::push(&expression.value(scope), &mut bytes),
        EmitValue::Key(place) => Key::push(&key_values[*place], &mut bytes),
        EmitValue::Events(_) => unreachable!("the checker takes scalars only"),
    });
    whole.then_some(bytes)
}

/// Keys are of scalar types, and not null.
fn scalar_type(value: &Value) -> &'static Type {
    match value {
        Value::Bool(_) => &Type::Bool,
        Value::Int(_) => &Type::Int,
        Value::Float(_) => &Type::Float,
        Value::Decimal(_) => &Type::Decimal,
        Value::Timestamp(_) => &Type::Timestamp,
        Value::Duration(_) => &Type::Duration,
        Value::Text(_) | Value::Null | Value::List(_) | Value::Record(_) => &Type::String,
    }
}

/// The chosen events, as expressions look at them.
struct Events<'a>(&'a [(StepId, SharedEvent)]);

impl Events<'_> {
    fn of(&self, step: StepId) -> impl DoubleEndedIterator<Item = Fields<'_>> {
        self.0.iter().filter(move |(of, _)| *of == step).map(|(_, event)| event.fields())
    }
}

impl Chosen for Events<'_> {
    fn nth(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.of(step).nth(place)
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.of(step).nth_back(place)
    }

    fn count(&self, step: StepId) -> usize {
        self.of(step).count()
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(Fields<'_>)) {
        self.of(step).for_each(visit);
    }
}
