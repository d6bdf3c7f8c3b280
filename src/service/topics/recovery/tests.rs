//! A case a row, then random facts: what a row refuses is never begun.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::service::topics::journal::PatternSetId;

const OURS: u32 = 1;
const KNOWN: u128 = 7;

fn input(number: usize, committed: Option<u64>, kept: Range<u64>) -> InputFacts {
    InputFacts { topic: format!("t{number}"), partition: 3, committed, replaced: None, end: kept.end, kept, last_read: LastRead::Unknown }
}

fn record(epoch: u64, ranges: &[(u64, u64)]) -> EpochRecord {
    let range = |(number, &(base, next)): (usize, &(u64, u64))| InputRange::of_offsets(&format!("t{number}"), 3, base, next);
    let inputs = ranges.iter().enumerate().map(range).collect();
    EpochRecord { pattern_set: PatternSetId { number: 1, hash: KNOWN }, determinism: OURS, ..EpochRecord::of_inputs(3, epoch, inputs) }
}

/// One input, read by tens: epoch e reads from 10 (e - 1) to 10 e; the journal holds `journal`; the base, if any, is at an epoch.
fn facts(journal: Range<u64>, base: Option<u64>, kept: Range<u64>) -> Facts {
    let records: Vec<_> = journal.clone().map(|epoch| record(epoch, &[(10 * epoch - 10, 10 * epoch)])).collect();
    let last = records.last().cloned();
    let next = last.as_ref().map(|last| last.inputs[0].next);
    Facts {
        inputs: vec![input(0, next, kept)],
        tail: records.into_iter().filter(|record| base.is_none_or(|base| record.epoch > base)).map(Stretch::from).collect(),
        last,
        base: base.map(|epoch| BaseFacts { epoch, needed: vec![Some(10 * epoch)] }),
        has_state: base.is_some(),
        tasks: 8,
        determinism: OURS,
        unknown_sets: Vec::new(),
        accept_reset: false,
    }
}

fn changed(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

fn refusal(facts: &Facts) -> String {
    match decide(facts) {
        Start::Refuse(refusal) => refusal.to_string(),
        start => panic!("{facts:?} is begun: {start:?}"),
    }
}

#[test]
fn begins_where_journal_offsets_and_base_agree() {
    let table = [
        (facts(1..1, None, 4..9), Start::Fresh(vec![4])),
        (facts(1..6, Some(5), 0..70), Start::Resume(vec![50])),
        // What lies before the base is not needed any more, and neither is the journal's beginning.
        (facts(4..6, Some(5), 50..50), Start::Resume(vec![50])),
        (changed(facts(1..6, Some(5), 0..70), |facts| facts.base.as_mut().expect("one").needed = vec![Some(33)]), Start::Resume(vec![33])),
        (facts(1..6, Some(2), 20..70), Start::Replay { from: vec![20], to: 5 }),
        (facts(3..6, Some(2), 0..70), Start::Replay { from: vec![20], to: 5 }),
        (changed(facts(1..6, Some(2), 0..70), |facts| facts.base.as_mut().expect("one").needed = vec![Some(13)]), Start::Replay { from: vec![13], to: 5 }),
        (facts(1..6, None, 0..50), Start::Replay { from: vec![0], to: 5 }),
        (changed(facts(3..6, None, 0..50), |facts| facts.tail[0].first.reset = true), Start::Replay { from: vec![20], to: 5 }),
        // An input that was added since begins at its beginning.
        (changed(facts(1..6, Some(5), 0..70), |facts| add_input(facts, None, 4..9)), Start::Resume(vec![50, 4])),
        // One that the configuration was without for a while goes on where it was left, as far as that is retained.
        (changed(facts(1..6, Some(5), 0..70), |facts| add_input(facts, Some(7), 4..9)), Start::Resume(vec![50, 7])),
        (changed(facts(1..6, Some(5), 0..70), |facts| add_input(facts, Some(3), 4..9)), Start::Resume(vec![50, 4])),
        (changed(facts(1..6, Some(2), 20..70), |facts| add_input(facts, Some(7), 4..9)), Start::Replay { from: vec![20, 7], to: 5 }),
        // It was made anew meanwhile: what the offset is of is not there any more.
        (
            changed(facts(1..6, Some(5), 0..70), |facts| {
                add_input(facts, Some(10), 4..9);
                facts.inputs[1].replaced = Some((TopicId("old".to_owned()), TopicId("new".to_owned())));
            }),
            Start::Resume(vec![50, 4]),
        ),
        // One that was added among the epochs to be repeated begins where it did then.
        (
            changed(facts(1..6, Some(2), 20..70), |facts| {
                add_input(facts, Some(8), 0..9);
                let range = |base, next| InputRange::of_offsets("t1", 3, base, next);
                facts.tail[1].first.inputs.push(range(2, 6));
                facts.tail[2].first.inputs.push(range(6, 8));
                facts.last = Some(facts.tail[2].first.clone());
                (1..3).for_each(|place| facts.tail[place].last_inputs = facts.tail[place].first.inputs.clone());
            }),
            Start::Replay { from: vec![20, 2], to: 5 },
        ),
        (changed(facts(1..6, Some(5), 0..50), |facts| facts.last.as_mut().expect("one").ended = true), Start::AlreadyEnded),
        // One that was closing windows goes on with that, whatever was added.
        (changed(facts(1..6, Some(5), 0..70), |facts| facts.last.as_mut().expect("one").closing = true), Start::Resume(vec![50])),
        // Records that do not tell how many tasks there were go with any number.
        (changed(facts(1..6, Some(5), 0..70), |facts| tasks(facts, 8)), Start::Resume(vec![50])),
        // Even without state.
        (changed(facts(5..6, None, 0..50), |facts| facts.last.as_mut().expect("one").ended = true), Start::AlreadyEnded),
    ];
    for (facts, start) in table {
        assert_eq!(decide(&facts), start, "{facts:?}");
    }
}

fn tasks(facts: &mut Facts, then: u32) {
    facts.last.as_mut().expect("one").tasks = Some(then);
}

fn add_input(facts: &mut Facts, committed: Option<u64>, kept: Range<u64>) {
    facts.inputs.push(input(1, committed, kept));
    if let Some(base) = &mut facts.base {
        base.needed.push(None);
    }
}

/// Rows of what is refused, each with what its sentence says.
fn refused() -> Vec<(Facts, &'static [&'static str])> {
    let set = |facts: &mut Facts| facts.unknown_sets.push((KNOWN, "no file of it".to_owned()));
    let ended = |facts: &mut Facts| facts.last.as_mut().expect("one").ended = true;
    vec![
        (
            changed(facts(1..1, None, 0..9), |facts| facts.inputs[0].committed = Some(4)),
            &["t0/3", "committed offset: 4", "journal holds nothing", "--accept-reset"],
        ),
        (changed(facts(1..1, None, 0..9), |facts| facts.has_state = true), &["t0/3", "committed offset: none", "journal holds nothing"]),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| add_input(facts, Some(10), 0..9)),
            &["t1/3 ends at offset 9", "before 10", "earlier configuration", "--delete-offsets"],
        ),
        (
            // The stream's topic has another name now: its offset in the state is one of the other.
            changed(facts(1..6, Some(5), 0..70), |facts| (facts.inputs[0].topic, facts.inputs[0].committed) = ("u".to_owned(), None)),
            &["comes from u/3", "another topic up to epoch 5 (t0)", "another name in the pattern files"],
        ),
        (changed(facts(1..6, Some(5), 0..70), |facts| facts.inputs[0].committed = Some(49)), &["offset of t0/3 is 49", "journal's is 50"]),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| facts.inputs[0].committed = None),
            &["no offset of t0/3", "journal's is 50", "made anew", "set the offset back to 50"],
        ),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| facts.inputs[0].replaced = Some((TopicId("old".to_owned()), TopicId("new".to_owned())))),
            &["topic t0 was deleted and made anew", "its id was old, and is new", "to offset 50 of partition 3", "--accept-reset"],
        ),
        (facts(1..6, Some(5), 0..49), &["t0/3 ends at offset 49", "before 50"]),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| facts.inputs[0].last_read = LastRead::OtherRecords),
            &["t0/3 from 40 to 50", "not those that epoch 5", "unclean leader election", "--accept-reset"],
        ),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| facts.inputs[0].last_read = LastRead::OtherLeader { then: 3, now: 4 }),
            &["t0/3 before offset 50", "leader epoch 3", "now under 4", "unclean leader election", "--accept-reset"],
        ),
        (
            changed(facts(1..6, Some(5), 0..70), |facts| tasks(facts, 6)),
            &["had 6 partitions when epoch 5", "have 8", "in other partitions than their partial matches", "--accept-reset"],
        ),
        (changed(facts(1..6, None, 0..50), |facts| tasks(facts, 9)), &["had 9 partitions", "have 8"]),
        (changed(facts(1..6, Some(5), 0..51), ended), &["--until-end", "50 to 51"]),
        (facts(1..6, Some(5), 51..70), &["needed again from offset 50", "holds 51"]),
        (changed(facts(1..6, Some(5), 34..70), |facts| facts.base.as_mut().expect("one").needed = vec![Some(33)]), &["from offset 33", "holds 34"]),
        (facts(2..6, None, 0..70), &["state up to epoch 5", "begins only at epoch 2"]),
        (changed(facts(2..6, None, 0..70), |facts| facts.tail.clear()), &["state up to epoch 5"]),
        (facts(4..6, Some(2), 0..70), &["after epoch 2 with epoch 4"]),
        (changed(facts(1..6, Some(2), 0..70), |facts| drop(facts.tail.remove(1))), &["after epoch 3 with epoch 5"]),
        (changed(facts(1..6, Some(2), 0..70), |facts| facts.tail[1].first.inputs[0].base += 1), &["after epoch 3 with epoch 4"]),
        (changed(facts(1..6, Some(2), 0..70), |facts| facts.tail[1].first.determinism = 9), &["epoch 4", "version 9", "stop it cleanly"]),
        (changed(facts(1..6, Some(2), 0..70), set), &["epoch 3", "no file of it", "stop cleanly"]),
        (changed(facts(1..6, Some(2), 0..70), |facts| facts.inputs[0].topic = "u".to_owned()), &["topic t0", "not configured any more"]),
        (facts(1..6, Some(2), 21..70), &["needed again from offset 20", "holds 21"]),
        (facts(1..6, None, 1..70), &["needed again from offset 0", "holds 1"]),
    ]
}

#[test]
fn refuses_with_a_sentence_that_says_what_to_do() {
    for (mut facts, parts) in refused() {
        if parts[0] == "topic t0" {
            // The journal does not know the topic that is read now.
            facts.inputs[0].committed = None;
        }
        let sentence = refusal(&facts);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}\n{parts:?}");
    }
}

#[test]
fn an_accepted_reset_begins_at_the_committed_offsets_and_only_where_needed() {
    let accepted = |facts: Facts| changed(facts, |facts| facts.accept_reset = true);
    assert_eq!(decide(&accepted(facts(1..6, Some(5), 0..70))), Start::Resume(vec![50]));
    assert_eq!(decide(&accepted(facts(2..6, None, 0..70))), Start::Reset(vec![50]));
    assert_eq!(decide(&accepted(facts(1..6, Some(5), 60..70))), Start::Reset(vec![60]));
    // The topic was made anew.
    assert_eq!(decide(&accepted(facts(1..6, Some(5), 0..49))), Start::Reset(vec![0]));
    for (facts, _) in refused() {
        assert!(matches!(decide(&accepted(facts)), Start::Reset(_)));
    }
}

/// Whoever looks for the newest checkpoint must find one from after the reset, and what was put out must not be taken for what is.
#[test]
fn epochs_after_a_reset_are_above_all_that_are_known() {
    let (journal, none) = (facts(1..6, None, 0..70), facts(1..1, None, 0..70));
    assert_eq!(epoch_before_reset(&journal, []), 5, "the journal goes on without a gap");
    assert_eq!(epoch_before_reset(&journal, [3, 4]), 5);
    assert_eq!(epoch_before_reset(&journal, [3, 9, 7]), 9, "a journal that has lost its end");
    assert!(epoch_before_reset(&none, [2_600_000, 7]) >= 2_600_000 + 864_000, "a day of epochs after the newest base");
    assert!(epoch_before_reset(&none, []) >= 864_000);
}

/// Random facts: whatever begins has nothing against it.
#[test]
fn nothing_is_begun_against_the_facts() {
    let seed: u64 = std::env::var("MOTIF_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    let (mut begun, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let facts = random_facts(&mut random);
        match decide(&facts) {
            Start::Refuse(_) => refused += 1,
            Start::Reset(_) => panic!("not accepted: {facts:?}"),
            start => {
                begun += 1;
                assert_nothing_against(&facts, &start);
            }
        }
    }
    assert!(begun > 500 && refused > 500, "{begun} begun, {refused} refused, MOTIF_TEST_SEED={seed}");
}

/// However long a journal is, only where something changes is there more to know.
#[test]
fn a_condensed_journal_leads_to_the_same() {
    let mut random = StdRng::seed_from_u64(7);
    let mut shorter = 0;
    for _ in 0..20_000 {
        let facts = random_facts(&mut random);
        let mut condensed = Facts { tail: Vec::new(), ..facts.clone() };
        facts.tail.iter().for_each(|stretch| condense(&mut condensed.tail, &stretch.first));
        assert_eq!(decide(&condensed), decide(&facts), "{facts:?}");
        shorter += usize::from(condensed.tail.len() < facts.tail.len());
    }
    assert!(shorter > 1_000, "{shorter}");
}

fn random_facts(random: &mut StdRng) -> Facts {
    let first = random.random_range(1..4);
    let journal = first..first + random.random_range(0..5);
    let base = random.random_bool(0.7).then(|| random.random_range(1..journal.end.max(2)));
    let low = if random.random_bool(0.7) { 0 } else { random.random_range(0..60) };
    let mut facts = facts(journal, base, low..random.random_range(low..90));
    let one = |random: &mut StdRng| random.random_bool(0.1);
    if one(random) {
        facts.inputs[0].committed = Some(random.random_range(0..80));
    }
    if one(random) && !facts.tail.is_empty() {
        let place = random.random_range(0..facts.tail.len());
        match random.random_range(0..4) {
            0 => drop(facts.tail.remove(place)),
            1 => facts.tail[place].first.determinism = 2,
            2 => facts.tail[place].first.pattern_set.hash = 8,
            _ => facts.tail[place].first.inputs[0].base += 1,
        }
    }
    if one(random) {
        facts.unknown_sets = vec![(8, String::new())];
    }
    facts
}

fn assert_nothing_against(facts: &Facts, start: &Start) {
    let input = &facts.inputs[0];
    match (start, &facts.last) {
        (Start::Fresh(from), None) => assert!(input.committed.is_none() && !facts.has_state && from[0] == input.kept.start, "{facts:?}"),
        (Start::Resume(from), Some(last)) => {
            assert_eq!(facts.base.as_ref().map(|base| base.epoch), Some(last.epoch), "{facts:?}");
            assert!(input.committed == Some(last.inputs[0].next) && from[0] >= input.kept.start && last.inputs[0].next <= input.kept.end, "{facts:?}");
        }
        (Start::Replay { from, to }, Some(last)) => {
            assert!(*to == last.epoch && input.committed == Some(last.inputs[0].next) && from[0] >= input.kept.start, "{facts:?}");
            let begin = facts.base.as_ref().map_or(1, |base| base.epoch + 1);
            assert!(facts.tail.iter().map(|stretch| stretch.first.epoch).eq(begin..=last.epoch), "{facts:?}");
            let known = |record: &EpochRecord| facts.unknown_sets.iter().all(|(hash, _)| *hash != record.pattern_set.hash);
            assert!(facts.tail.iter().all(|stretch| stretch.first.determinism == OURS && known(&stretch.first)), "{facts:?}");
        }
        _ => panic!("{facts:?} leads to {start:?}"),
    }
}
