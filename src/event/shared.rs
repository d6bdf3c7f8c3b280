//! An event that is kept: by what waits for the watermark, by runs, by what comes out.

use std::ops::Deref;

use triomphe::ThinArc;

use crate::event::{Event, Place, Value};

/// An event that all who keep it share; to copy it counts one more of them. It lies in one piece, which one word points at: an event of three fields takes 112 bytes, and who comes to it long after it
/// was last looked at waits for memory once. (With the fields apart, `triple` took a ninth more time.)
#[derive(Clone, Debug, PartialEq)]
pub struct SharedEvent(ThinArc<Place, Value>);

impl SharedEvent {
    /// Cost: one allocation.
    pub fn new(place: Place, fields: impl ExactSizeIterator<Item = Value>) -> Self {
        Self(ThinArc::from_header_and_iter(place, fields))
    }

    pub fn place(&self) -> Place {
        self.0.header.header
    }

    /// As many as the stream declares fields, in that order.
    pub fn fields(&self) -> &[Value] {
        &self.0.slice
    }

    /// Whether its first field is null: what is asked to have the event at hand.
    pub fn first_is_null(&self) -> bool {
        self.fields().first().is_none_or(Value::is_null)
    }

    /// The same for what is the same piece of memory, and for nothing else that is alive.
    pub fn address(&self) -> usize {
        self.0.ptr().addr()
    }
}

/// What there is of an event beside its fields.
impl Deref for SharedEvent {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.0.header.header
    }
}

impl From<Event> for SharedEvent {
    fn from(event: Event) -> Self {
        Self::new(event.place(), event.fields.into_iter())
    }
}
