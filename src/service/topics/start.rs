//! How a task starts: facts in, decision out.
//!
//! The state on this machine tells up to where the inputs were evaluated, the group's committed offsets up to where matches were delivered. They are written
//! one after the other, so where they differ, something came between, and going on would lose or double matches.
//!
//! | state here | committed offsets | decision |
//! |---|---|---|
//! | none | none | fresh, at the oldest record that is kept |
//! | none | some | refused: the state is elsewhere |
//! | there | none | refused: the group was deleted or renamed, or its offsets expired |
//! | there | others than the state's | refused, naming both |
//! | there, the same | | goes on; held events are read again from the rewind place |
//! | there, but what it would read again is gone, or the topic ends before it | | refused |
//! | a bounded run has ended it | | nothing to do where nothing was added; else refused |

use std::ops::Range;

/// What is known of a task before it starts.
#[derive(Clone, Debug)]
pub(super) struct StartFacts {
    /// A store with the task's description was found.
    pub has_state: bool,
    /// A bounded run has closed its windows.
    pub ended: bool,
    pub inputs: Vec<InputFacts>,
}

/// The same of one input partition.
#[derive(Clone, Debug)]
pub(super) struct InputFacts {
    pub topic: String,
    pub partition: u32,
    /// Where the state stands; `None`: the state does not know this input.
    pub stored: Option<StoredPlace>,
    pub committed: Option<u64>,
    /// The offsets that the topic holds.
    pub kept: Range<u64>,
    /// After the last record.
    pub end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoredPlace {
    pub next: u64,
    /// The oldest record that is still held back, if any.
    pub rewind: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// From nothing: the offset of each input.
    Fresh(Vec<u64>),
    /// With the state: the offset of each input.
    Resume(Vec<u64>),
    AlreadyEnded,
    Refuse(Refusal),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the group has already read {topic}/{partition} up to offset {committed}, but this machine holds no state of that; start the process that has it (or bring its state folder), or use another group to begin anew"
    )]
    StateElsewhere { topic: String, partition: u32, committed: u64 },
    #[error(
        "the state here has read {topic}/{partition} up to offset {stored}, but the group has committed nothing: it was deleted or renamed, or its offsets expired; delete the state folder to begin anew"
    )]
    OffsetsGone { topic: String, partition: u32, stored: u64 },
    #[error(
        "the state here has read {topic}/{partition} up to offset {stored}, but the group has committed {committed}: going on would lose or double matches; delete the state folder and use another group to begin anew"
    )]
    OffsetsDiffer { topic: String, partition: u32, stored: u64, committed: u64 },
    #[error(
        "{topic}/{partition} is needed again from offset {needed}, but the topic only holds {oldest} and later: it was shortened (retention) while this service stood still"
    )]
    InputGone { topic: String, partition: u32, needed: u64, oldest: u64 },
    #[error("{topic}/{partition} ends at offset {end}, before {stored}, up to where it was read: the topic was made anew, or has lost records")]
    InputShrunk { topic: String, partition: u32, stored: u64, end: u64 },
    #[error(
        "a run with --until-end has closed all windows at offset {stored} of {topic}/{partition}; what was added since ({stored} to {end}) cannot join them: use another group and state folder to evaluate everything again"
    )]
    Ended { topic: String, partition: u32, stored: u64, end: u64 },
}

pub(super) fn decide(facts: &StartFacts) -> Start {
    if !facts.has_state {
        return match facts.inputs.iter().find_map(|input| Some((input, input.committed?))) {
            Some((input, committed)) => Start::Refuse(Refusal::StateElsewhere { topic: input.topic.clone(), partition: input.partition, committed }),
            None => Start::Fresh(facts.inputs.iter().map(|input| input.kept.start).collect()),
        };
    }
    if let Some(refusal) = facts.inputs.iter().find_map(contradiction) {
        return Start::Refuse(refusal);
    }
    if facts.ended {
        return after_end(&facts.inputs);
    }
    if let Some(refusal) = facts.inputs.iter().find_map(missing_input) {
        return Start::Refuse(refusal);
    }
    Start::Resume(facts.inputs.iter().map(|input| input.stored.map_or(input.kept.start, StoredPlace::first_needed)).collect())
}

/// The state and the committed offset do not tell the same.
fn contradiction(input: &InputFacts) -> Option<Refusal> {
    let (topic, partition) = (input.topic.clone(), input.partition);
    match (input.stored, input.committed) {
        (None, None) => None,
        (None, Some(committed)) => Some(Refusal::StateElsewhere { topic, partition, committed }),
        (Some(StoredPlace { next, .. }), None) => Some(Refusal::OffsetsGone { topic, partition, stored: next }),
        (Some(StoredPlace { next, .. }), Some(committed)) if next != committed => Some(Refusal::OffsetsDiffer { topic, partition, stored: next, committed }),
        (Some(StoredPlace { next, .. }), Some(_)) if next > input.kept.end => {
            Some(Refusal::InputShrunk { topic, partition, stored: next, end: input.kept.end })
        }
        _ => None,
    }
}

fn missing_input(input: &InputFacts) -> Option<Refusal> {
    let needed = input.stored?.first_needed();
    let (topic, partition, oldest) = (input.topic.clone(), input.partition, input.kept.start);
    (needed < oldest).then_some(Refusal::InputGone { topic, partition, needed, oldest })
}

fn after_end(inputs: &[InputFacts]) -> Start {
    let added = inputs.iter().find_map(|input| {
        let stored = input.stored.map_or(input.kept.start, |place| place.next);
        (input.end > stored).then(|| Refusal::Ended { topic: input.topic.clone(), partition: input.partition, stored, end: input.end })
    });
    added.map_or(Start::AlreadyEnded, Start::Refuse)
}

impl StoredPlace {
    fn first_needed(self) -> u64 {
        self.rewind.unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored (next, rewind), committed, kept.
    type Row = (Option<(u64, Option<u64>)>, Option<u64>, Range<u64>);

    fn facts(has_state: bool, ended: bool, inputs: &[Row]) -> StartFacts {
        let input = |(place, (stored, committed, kept)): (usize, &Row)| InputFacts {
            topic: format!("t{place}"),
            partition: 3,
            stored: stored.map(|(next, rewind)| StoredPlace { next, rewind }),
            committed: *committed,
            end: kept.end,
            kept: kept.clone(),
        };
        StartFacts { has_state, ended, inputs: inputs.iter().enumerate().map(input).collect() }
    }

    fn refused(has_state: bool, ended: bool, inputs: &[Row]) -> String {
        match decide(&facts(has_state, ended, inputs)) {
            Start::Refuse(refusal) => refusal.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn goes_on_only_where_state_and_committed_offsets_agree() {
        let table: &[(bool, &[Row], Start)] = &[
            (false, &[(None, None, 0..9)], Start::Fresh(vec![0])),
            (false, &[(None, None, 5..9), (None, None, 0..0)], Start::Fresh(vec![5, 0])),
            (true, &[(Some((7, None)), Some(7), 0..9)], Start::Resume(vec![7])),
            (true, &[(Some((7, Some(4))), Some(7), 4..9)], Start::Resume(vec![4])),
            (true, &[(Some((9, None)), Some(9), 9..9)], Start::Resume(vec![9])),
            // A stream that was added since has no state and nothing committed.
            (true, &[(Some((7, None)), Some(7), 0..9), (None, None, 2..4)], Start::Resume(vec![7, 2])),
        ];
        for (has_state, inputs, start) in table {
            assert_eq!(decide(&facts(*has_state, false, inputs)), *start, "{inputs:?}");
        }
    }

    #[test]
    fn refuses_with_a_sentence_that_names_both_places() {
        let table: &[(bool, &[Row], &[&str])] = &[
            (false, &[(None, None, 0..9), (None, Some(4), 0..9)], &["t1/3", "offset 4", "no state"]),
            (true, &[(Some((7, None)), None, 0..9)], &["t0/3", "offset 7", "committed nothing"]),
            (true, &[(Some((7, None)), Some(8), 0..9)], &["offset 7", "committed 8"]),
            (true, &[(Some((7, None)), Some(6), 0..9)], &["offset 7", "committed 6"]),
            (true, &[(Some((7, Some(3))), Some(7), 4..9)], &["from offset 3", "holds 4"]),
            (true, &[(Some((7, None)), Some(7), 0..5)], &["ends at offset 5", "before 7"]),
            (true, &[(Some((7, None)), Some(7), 0..9), (None, Some(1), 0..9)], &["t1/3", "offset 1", "no state"]),
        ];
        for (has_state, inputs, parts) in table {
            let sentence = refused(*has_state, false, inputs);
            assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
        }
    }

    #[test]
    fn what_a_bounded_run_has_ended_takes_nothing_more() {
        let ended = |inputs: &[Row]| decide(&facts(true, true, inputs));
        assert_eq!(ended(&[(Some((9, None)), Some(9), 0..9)]), Start::AlreadyEnded);
        // What was held is not needed any more.
        assert_eq!(ended(&[(Some((9, Some(2))), Some(9), 5..9)]), Start::AlreadyEnded);
        let sentence = refused(true, true, &[(Some((9, None)), Some(9), 0..9), (Some((5, None)), Some(5), 0..6)]);
        assert!(sentence.contains("offset 5 of t1/3"), "{sentence}");
        assert!(refused(true, true, &[(Some((9, None)), Some(8), 0..9)]).contains("committed 8"));
    }
}
