//! What names mean where an expression stands: fields of the event at hand, lists, steps.

use crate::event::StreamId;
use crate::language::check::declarations::Declarations;
use crate::language::check::emit::KeyPart;
use crate::language::check::steps::{StepTable, Turn};
use crate::language::check::windows::WindowTable;

#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    pub declarations: &'s Declarations<'a>,
    pub at_hand: AtHand,
    pub around: Around<'s, 'a>,
    /// `None`: no key's events are at hand, so windows have no meaning.
    pub windows: Option<&'s WindowTable<'s, 'a>>,
}

/// The event that bare names are fields of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtHand {
    /// In `emit`.
    None,
    /// Of what stream it is could not be told: nothing is said of its fields.
    Unknown,
    Event(StreamId),
}

/// What else can be named.
#[derive(Clone, Copy)]
pub(super) enum Around<'s, 'a> {
    /// A define: nothing.
    Event,
    /// A part of a key: fields of the source by its name.
    Key { source: Option<&'a str> },
    /// The condition of a step, of its `until`, or of a `not`: steps on the way to it.
    Step { steps: &'s StepTable<'a>, path: &'s [Turn], own: Option<usize> },
    /// The condition of a `without`: every step; `to` is its second end.
    Without { steps: &'s StepTable<'a>, to: Option<usize> },
    /// Every step, and the parts of the key.
    Emit { steps: &'s StepTable<'a>, key: &'s [KeyPart] },
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) fn steps(&self) -> Option<&'s StepTable<'a>> {
        match self.around {
            Around::Event | Around::Key { .. } => None,
            Around::Step { steps, .. } | Around::Without { steps, .. } | Around::Emit { steps, .. } => Some(steps),
        }
    }

    /// The step of this name, as a place in the table.
    pub(super) fn step(&self, name: &str) -> Option<usize> {
        self.steps()?.find(name)
    }

    pub(super) fn key(&self) -> &'s [KeyPart] {
        match self.around {
            Around::Emit { key, .. } => key,
            _ => &[],
        }
    }
}
