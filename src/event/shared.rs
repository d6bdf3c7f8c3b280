//! An event that is kept: by what waits for the watermark, by runs, by what comes out.

use std::ops::Deref;

use triomphe::ThinArc;

use crate::event::{Event, Fields, Kept, Place, Value};

/// An event that all who keep it share; to copy it counts one more of them. It lies in one piece, which one word points at: an event of which two fields are kept takes 96 bytes, and who comes to it long after it
/// was last looked at waits for memory once. (With the fields apart, `triple` took a ninth more time.)
#[derive(Clone, Debug, PartialEq)]
pub struct SharedEvent(ThinArc<Head, Value>);

#[derive(Debug, PartialEq)]
struct Head {
    place: Place,
    kept: Kept,
}

impl SharedEvent {
    /// With all its fields. Cost: one allocation.
    pub fn new(place: Place, fields: impl ExactSizeIterator<Item = Value>) -> Self {
        Self(ThinArc::from_header_and_iter(Head { place, kept: Kept::ALL }, fields))
    }

    /// With those of its fields that are kept; their values are taken.
    #[inline]
    pub fn taking(place: Place, kept: Kept, fields: &mut [Value]) -> Self {
        if kept == Kept::ALL {
            return Self::new(place, fields.iter_mut().map(std::mem::take));
        }
        let mut places = kept.places();
        let values = (0..kept.of_first(fields.len())).map(|number| std::mem::take(&mut fields[places(number)]));
        Self(ThinArc::from_header_and_iter(Head { place, kept }, values))
    }

    /// Somebody else keeps it too.
    pub fn is_shared(&self) -> bool {
        ThinArc::strong_count(&self.0) > 1
    }

    pub fn place(&self) -> Place {
        self.0.header.header.place
    }

    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.0.slice, self.0.header.header.kept)
    }

    /// Whether the first field that it keeps is null: what is asked to have the event at hand.
    pub fn first_is_null(&self) -> bool {
        self.0.slice.first().is_none_or(Value::is_null)
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
        &self.0.header.header.place
    }
}

impl From<Event> for SharedEvent {
    fn from(event: Event) -> Self {
        Self::new(event.place(), event.fields.into_iter())
    }
}
