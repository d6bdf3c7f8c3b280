//! What streams there are and what their events hold.

use std::fmt;

use crate::event::TimeSpan;

/// A stream's place in [`Schema::streams`]: comparing ids compares names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u16);

/// The streams of one program, in order of their names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schema {
    pub streams: Vec<Stream>,
}

/// One stream: a name, typed fields, and which of them is the event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub name: String,
    /// In the order declared; an event's values stand in the same order.
    pub fields: Vec<Field>,
    /// Index of the field that is the event time; it is a timestamp and not nullable. `None`: the record's own timestamp (Kafka) is the time.
    pub time_field: Option<usize>,
    /// `late after D`; `None` where the pattern file leaves it open (the configuration decides, then zero).
    pub lateness: Option<TimeSpan>,
}

impl Stream {
    /// What the patterns say of it, else the configuration, else none.
    pub fn lateness_or(&self, configured: Option<TimeSpan>) -> TimeSpan {
        self.lateness.or(configured).unwrap_or(TimeSpan::ZERO)
    }
}

/// A named, typed part of an event or record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub r#type: Type,
    /// May be absent or null.
    pub nullable: bool,
}

/// The type of a field or expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Bool,
    Int,
    Float,
    Decimal,
    String,
    Timestamp,
    Duration,
    List(Box<Type>),
    Record(Vec<Field>),
}

impl Schema {
    pub fn stream(&self, id: StreamId) -> &Stream {
        &self.streams[usize::from(id.0)]
    }

    /// Cost: a binary search by name.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        let place = self.streams.binary_search_by(|stream| stream.name.as_str().cmp(name)).ok()?;
        Some(StreamId(u16::try_from(place).expect("the checker bounds the number of streams")))
    }

    pub fn ids(&self) -> impl Iterator<Item = StreamId> {
        (0..self.streams.len()).map(|place| StreamId(u16::try_from(place).expect("the checker bounds the number of streams")))
    }
}

/// As the language writes it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Decimal => f.write_str("decimal"),
            Self::String => f.write_str("string"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(element) => write!(f, "list of {element}"),
            Self::Record(fields) => {
                f.write_str("{ ")?;
                for (place, field) in fields.iter().enumerate() {
                    let (comma, mark) = (if place > 0 { ", " } else { "" }, if field.nullable { "?" } else { "" });
                    write!(f, "{comma}{}: {}{mark}", field.name, field.r#type)?;
                }
                f.write_str(" }")
            }
        }
    }
}
