//! The steps of a pattern by name, and how they stand to one another.
//!
//! A step's place is the way to it from the whole pattern: a turn for each sequence, branch and `all` on it. Where two ways part says whether one step
//! stands before the other, in another branch, or beside it in `all`.

use std::collections::BTreeMap;

use crate::event::StreamId;
use crate::language::ast::Name;
use crate::pattern::StepId;

/// One turn on the way to a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    pub kind: TurnKind,
    /// Which part, branch or step.
    pub index: usize,
    /// What is turned to may come more than once.
    pub loops: bool,
    /// What is turned to may be left out.
    pub optional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TurnKind {
    Part,
    Branch,
    All,
}

/// What stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StepRole {
    /// Chooses events.
    Chooses(StepId),
    /// `not`.
    Absent,
    Without,
}

#[derive(Debug)]
pub(super) struct StepEntry<'a> {
    pub name: &'a Name,
    pub role: StepRole,
    /// `None` where the stream is not known.
    pub stream: Option<StreamId>,
    pub path: Vec<Turn>,
}

/// In text order.
#[derive(Default, Debug)]
pub(super) struct StepTable<'a> {
    pub entries: Vec<StepEntry<'a>>,
    /// The first of each name.
    names: BTreeMap<&'a str, usize>,
}

/// How a step stands to the place where it is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Before,
    /// It is the very step; it may take several events or not.
    Own,
    /// Beside it in `all`.
    Beside,
    Later,
    OtherBranch,
}

impl<'a> StepTable<'a> {
    /// Adds a step; the one of the same name, if there is one already.
    pub(super) fn add(&mut self, entry: StepEntry<'a>) -> Option<&StepEntry<'a>> {
        let (place, name) = (self.entries.len(), entry.name.node.as_str());
        self.entries.push(entry);
        if let Some(&known) = self.names.get(name) {
            return Some(&self.entries[known]);
        }
        self.names.insert(name, place);
        None
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Names of the steps that choose events.
    pub(super) fn choosing(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(|entry| matches!(entry.role, StepRole::Chooses(_))).map(|entry| entry.name.node.as_str())
    }
}

impl StepEntry<'_> {
    /// May take more than one event.
    pub(super) fn loops(&self) -> bool {
        self.path.iter().any(|turn| turn.loops)
    }

    /// How it stands to a place.
    pub(super) fn standing(&self, place: &[Turn]) -> Standing {
        let Some((own, other)) = self.path.iter().zip(place).find(|(own, other)| own.index != other.index) else { return Standing::Own };
        match own.kind {
            TurnKind::Branch => Standing::OtherBranch,
            TurnKind::All => Standing::Beside,
            TurnKind::Part if own.index < other.index => Standing::Before,
            TurnKind::Part => Standing::Later,
        }
    }

    /// Whether it may have chosen nothing when an event is looked at in that place; `None`: when all is over.
    pub(super) fn may_be_empty(&self, place: Option<&[Turn]>) -> bool {
        let shared = place.map_or(0, |place| self.path.iter().zip(place).take_while(|(own, other)| own.index == other.index).count());
        let beside = place.is_some() && self.path.get(shared).is_none_or(|turn| turn.kind == TurnKind::All);
        beside || self.path[shared..].iter().any(|turn| turn.optional)
    }

    /// Whether both stand in something that is repeated as a whole.
    pub(super) fn repeats_with(&self, other: &Self) -> bool {
        self.path.iter().zip(&other.path).take_while(|(own, other)| own.index == other.index).any(|(own, _)| own.loops)
    }
}
