//! Decisions: which outputs of an epoch may be missing without anybody's fault, because their topic has deleted them or is not configured any more.
//!
//! Topics delete from their beginning. So of a partition that does not begin at offset 0, what the task wrote before the first of its records that is there may have been
//! deleted; whatever is missing after that is missing. Where the journal says that an epoch's matches stand at an offset that is retained, none of them may.

use std::collections::BTreeMap;

use crate::service::topics::journal::OutputKind;
use crate::service::topics::verify::compare::Out;

/// What is known of a partition that a task writes to, once it was read beyond the epoch at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// The oldest offset that it holds.
    pub oldest: u64,
    /// The epoch of the first record of the task that is there.
    pub first_epoch: Option<u64>,
    /// What the epoch has put there stands at this offset or later, as far as the journal tells.
    pub from: u64,
}

impl Kept {
    /// Whether records of this epoch may have been deleted.
    pub(super) fn may_lack(self, epoch: u64) -> bool {
        self.oldest > self.from && self.first_epoch.is_none_or(|first| epoch <= first)
    }
}

/// What may be missing of an epoch, each with the reason: a kind of output, of what is handed on that to one task or to all (`None`).
#[derive(Clone, Default, Debug)]
pub(super) struct Gone(BTreeMap<(OutputKind, Option<u32>), String>);

impl Gone {
    pub(super) fn add(&mut self, kind: OutputKind, to: Option<u32>, why: String) {
        self.0.insert((kind, to), why);
    }

    pub(super) fn reasons(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    fn has(&self, kind: OutputKind) -> bool {
        self.0.keys().any(|(gone, _)| *gone == kind)
    }

    /// `found`: what is there of the epoch, by index.
    pub(super) fn explains(&self, missing: &Out, found: &[Out]) -> bool {
        let is_gone = [missing.to, None].into_iter().any(|to| self.0.contains_key(&(missing.kind, to)));
        // What was put after one that is there would be there as well.
        is_gone && !found.iter().take_while(|out| out.index < missing.index).any(|out| (out.kind, out.to) == (missing.kind, missing.to))
    }

    /// How many of the outputs that are missing may be gone, where it is not known what they were. The kinds follow each other: in a gap may be the beginning of that which goes on
    /// after it, and all those between.
    pub(super) fn explained(&self, found: &[Out], count: u64) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let (mut explained, mut next, mut before) = (0, 0, None);
        let ends = found.iter().filter(|out| out.index < count).map(|out| (out.index, Some(out.kind))).chain([(count, None)]);
        for (index, kind) in ends {
            let is_between = |between: OutputKind| {
                // Of what is handed on, what is missing may be for another task than what is there before it.
                let begins = before.is_none_or(|before| before < between || between == OutputKind::HandedOn);
                begins && kind.is_none_or(|kind| between <= kind)
            };
            let kinds = [OutputKind::Match, OutputKind::Late, OutputKind::Rejected, OutputKind::HandedOn];
            if kinds.into_iter().any(|kind| self.has(kind) && is_between(kind)) {
                explained += index - next;
            }
            (next, before) = (index + 1, kind);
        }
        explained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_before_the_oldest_record_of_a_shortened_partition_may_be_gone() {
        let kept = |oldest, first_epoch, from| Kept { oldest, first_epoch, from };
        for (kept, epoch, may_lack) in [
            // Nothing was ever deleted.
            (kept(0, None, 0), 1, false),
            (kept(0, Some(4), 0), 1, false),
            (kept(9, Some(4), 0), 3, true),
            // Of the first that is there, the beginning.
            (kept(9, Some(4), 0), 4, true),
            (kept(9, Some(4), 0), 5, false),
            (kept(9, None, 0), 5, true),
            // The journal says that it stands where nothing was deleted.
            (kept(9, None, 8), 5, true),
            (kept(9, None, 9), 5, false),
            (kept(9, Some(4), 10), 3, false),
        ] {
            assert_eq!(kept.may_lack(epoch), may_lack, "{kept:?}, epoch {epoch}");
        }
    }

    fn out(kind: OutputKind, index: u64, to: Option<u32>) -> Out {
        Out { kind, index, to, key: None, value: None, place: String::new() }
    }

    #[test]
    fn what_is_missing_is_explained_by_what_is_gone_and_by_nothing_else() {
        use OutputKind::{HandedOn, Late, Match, Rejected};
        let gone = |kinds: &[OutputKind]| {
            let mut gone = Gone::default();
            kinds.iter().for_each(|kind| gone.add(*kind, None, String::new()));
            gone
        };
        // Of seven outputs.
        for (kinds, found, explained) in [
            (&[][..], &[][..], 0),
            (&[Match][..], &[][..], 7),
            (&[Late], &[], 7),
            (&[Match], &[(Match, 2), (Match, 3), (Match, 4), (Match, 5), (Match, 6)], 2),
            // In the middle and at the end.
            (&[Match], &[(Match, 2), (Match, 5), (Match, 6)], 2),
            (&[Match], &[(Match, 2), (Match, 3)], 2),
            (&[Late], &[(Match, 0), (Match, 1)], 5),
            (&[Late], &[(Match, 0), (Match, 1), (Late, 5), (Late, 6)], 3),
            (&[Late], &[(Match, 0), (Match, 1), (Late, 3), (Rejected, 5), (Rejected, 6)], 1),
            (&[Rejected], &[(Match, 0), (Match, 1), (Late, 3)], 3),
            (&[Match], &[(Late, 3), (Rejected, 5), (Rejected, 6)], 3),
            (&[HandedOn], &[(Match, 0), (HandedOn, 2), (HandedOn, 4)], 4),
            (&[Match], &[(Match, 8)], 7),
        ] {
            let found: Vec<_> = found.iter().map(|(kind, index)| out(*kind, *index, None)).collect();
            assert_eq!(gone(kinds).explained(&found, 7), explained, "{kinds:?}, {found:?}");
        }
        let mut of_one = gone(&[Match]);
        of_one.add(HandedOn, Some(3), String::new());
        let found = [out(Match, 4, None), out(HandedOn, 9, Some(4))];
        for (missing, explained) in [
            (out(Match, 3, None), true),
            (out(Match, 5, None), false),
            (out(Late, 3, None), false),
            (out(HandedOn, 10, Some(3)), true),
            (out(HandedOn, 10, Some(4)), false),
        ] {
            assert_eq!(of_one.explains(&missing, &found), explained, "{missing:?}");
        }
    }
}
