//! How a task begins: facts in, decision out.
//!
//! The journal tells up to where the task was evaluated and delivered, the group's committed offsets the same (they are written together), and a *base*, a state of
//! this machine or a checkpoint, from where it can be taken up. The first row that fits:
//!
//! | facts | decision |
//! |---|---|
//! | no offsets, no journal, no state | fresh, at the oldest record that is kept |
//! | no journal, but offsets or state | refused: the journal was deleted, or the group's name was used before |
//! | an input that is another topic than the one whose offsets were committed | refused: it was made anew |
//! | an input that ends before the journal's offsets | refused: the topic was made anew (the group's offsets go with it) or has lost records |
//! | the records before these offsets are others than were read | refused: the same |
//! | an input that the journal's last epoch has not read, because it is new or the configuration was without it meanwhile | begins at its committed offset, or where it has none at the oldest record that is kept; refused where it ends before that offset |
//! | the same, and the state knows the stream from another topic | refused: its place is in that topic |
//! | offsets that are not those of the journal | refused: they were moved from outside, both are printed, or are gone, as with a topic that was made anew |
//! | another number of tasks than the journal's last epoch had, where it tells | refused: partitions were added, and keys are in other ones than before |
//! | a bounded run was closing all windows, and had not closed the last | as below, and it closes the others as of where they were read to: nothing more is read, whatever was added |
//! | a bounded run has closed all windows | nothing to do where nothing was added; else refused |
//! | the base is at the journal's last epoch, what is held back can be read again | resumed |
//! | no base, and the journal does not begin at the first epoch or a reset | refused: the state is lost |
//! | epochs after the base that are not dense | refused: the journal was shortened |
//! | epochs of an engine that gives other matches | refused: the old program finishes them |
//! | epochs of a pattern set that nobody has, or of an input that is not configured | refused |
//! | input that is needed and not retained | refused |
//! | otherwise | replayed from the base to the journal's last epoch |
//!
//! With `--accept-reset` what would be refused begins at the committed offsets with empty state instead, and the journal says so. Its epochs are numbered above all that are known:
//! who looks for the newest state finds one from after the reset.

use std::ops::Range;

use crate::ports::TopicId;
use crate::service::topics::journal::{EpochRecord, InputRange};

/// Where the journal is gone, so many numbers are left out: for epochs that it had after the newest base, which is hardly a day old. By task and epoch an output is told from every other.
const UNKNOWN_EPOCHS_MAX: u64 = 1_000_000;

/// What is known of a task before it begins.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub inputs: Vec<InputFacts>,
    /// The last record of the journal.
    pub last: Option<EpochRecord>,
    /// The records after the base; without a base, from the last reset on or as far back as they are kept.
    pub tail: Vec<Stretch>,
    /// The best base that fits the journal.
    pub base: Option<BaseFacts>,
    /// Some base was found, whether it fits or not.
    pub has_state: bool,
    /// How many there are now: the partitions of each input.
    pub tasks: u32,
    /// Of this program.
    pub determinism: u32,
    /// Pattern sets of the tail that cannot be had, each with the reason.
    pub unknown_sets: Vec<(u128, String)>,
    pub accept_reset: bool,
}

/// Epochs of one pattern set and engine without a gap.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub first: EpochRecord,
    pub last_epoch: u64,
    /// Where the last one has left each input.
    pub last_inputs: Vec<InputRange>,
}

impl From<EpochRecord> for Stretch {
    fn from(first: EpochRecord) -> Self {
        Self { last_epoch: first.epoch, last_inputs: first.inputs.clone(), first }
    }
}

/// Adds the next record of a journal, of which there may be more than can be kept: what follows as it should says nothing new.
pub(super) fn condense(stretches: &mut Vec<Stretch>, record: &EpochRecord) {
    let topics = |inputs: &[InputRange]| inputs.iter().map(|range| range.topic.clone()).collect::<Vec<_>>();
    let goes_on = |stretch: &&mut Stretch| {
        let first = &stretch.first;
        record.epoch == stretch.last_epoch + 1
            && !record.reset
            && (record.pattern_set.hash, record.determinism) == (first.pattern_set.hash, first.determinism)
            && topics(&record.inputs) == topics(&stretch.last_inputs)
            && joins(&stretch.last_inputs, record)
    };
    match stretches.last_mut().filter(goes_on) {
        Some(stretch) => (stretch.last_epoch, stretch.last_inputs) = (record.epoch, record.inputs.clone()),
        None => stretches.push(record.clone().into()),
    }
}

/// The same of one input partition.
#[derive(Clone, Debug)]
pub(super) struct InputFacts {
    pub topic: String,
    pub partition: u32,
    pub committed: Option<u64>,
    /// The topic that this is an offset of, and the one that has its name now, where they are known to be two.
    pub replaced: Option<(TopicId, TopicId)>,
    /// The offsets that the topic holds.
    pub kept: Range<u64>,
    /// After the last record.
    pub end: u64,
    pub last_read: LastRead,
}

/// What the topic holds now where the journal's last epoch has read it. A new leader that the brokers have elected as they should has the same records; the epoch of
/// the leader that wrote a record stays with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LastRead {
    /// Not looked at, or not there any more: nothing was read, it is not retained, or it will be read again anyway.
    Unknown,
    Same,
    /// Other bytes, or not as many records.
    OtherRecords,
    /// It cannot be told whether its bytes are the same, but another leader has written the last record.
    OtherLeader {
        then: u32,
        now: u32,
    },
}

#[derive(Clone, Debug)]
pub(super) struct BaseFacts {
    pub epoch: u64,
    /// By input: the first record that it needs again; `None`: the base does not know this input.
    pub needed: Vec<Option<u64>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// From nothing: the offset of each input.
    Fresh(Vec<u64>),
    /// With the base: the offset of each input.
    Resume(Vec<u64>),
    /// From the base, or where there is none from nothing: each input is read again from this offset.
    Replay {
        from: Vec<u64>,
        to: u64,
    },
    /// With empty state at these offsets.
    Reset(Vec<u64>),
    AlreadyEnded,
    Refuse(Refusal),
}

/// Why a task does not begin, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the group has read {topic}/{partition} (committed offset: {}), or there is state of it, but the journal holds nothing: it was deleted, or another program uses this group; name another group to begin anew, or accept with --accept-reset that the state before is lost",
        shown(.committed)
    )]
    NoJournal { topic: String, partition: u32, committed: Option<u64> },
    #[error(
        "the group's offset of {topic}/{partition} is {committed}, but the journal's is {journal}: it was moved from outside; going on would lose or double matches. Set it back to {journal}, or accept with --accept-reset that the state before is lost"
    )]
    OffsetsMoved { topic: String, partition: u32, committed: u64, journal: u64 },
    #[error(
        "the group has no offset of {topic}/{partition} any more, and the journal's is {journal}: it has expired, or the topic was deleted and made anew, which takes its offsets with it. Where it is the same topic, set the offset back to {journal}; where it was made anew, accept with --accept-reset that the state before is lost"
    )]
    OffsetsGone { topic: String, partition: u32, journal: u64 },
    #[error(
        "topic {topic} was deleted and made anew since it was read: its id was {then}, and is {now}, so what was read to offset {journal} of partition {partition} says nothing of it; accept with --accept-reset that the state before is lost"
    )]
    TopicReplaced { topic: String, partition: u32, journal: u64, then: TopicId, now: TopicId },
    #[error(
        "{topic}/{partition} ends at offset {end}, before {journal}, up to where it was read: the topic was made anew, or has lost records (unclean leader election); accept with --accept-reset that the state before is lost"
    )]
    LogChanged { topic: String, partition: u32, journal: u64, end: u64 },
    #[error(
        "{topic}/{partition} ends at offset {end}, before {committed}, where an earlier configuration of the group has left it: the topic was made anew, or has lost records (unclean leader election); delete the group's offsets of {topic} (`kafka-consumer-groups.sh --delete-offsets`) to read it from its beginning"
    )]
    LeftBeyondEnd { topic: String, partition: u32, committed: u64, end: u64 },
    #[error(
        "the stream that comes from {topic}/{partition} came from another topic up to epoch {epoch} ({before}), and where it was left there says nothing of this one: give the stream another name in the pattern files, which begins it anew, or accept with --accept-reset that the state before is lost"
    )]
    OtherTopic { topic: String, partition: u32, epoch: u64, before: String },
    #[error(
        "the records of {topic}/{partition} from {base} to {next} are not those that epoch {epoch} was evaluated from: the topic was made anew, or has lost records (unclean leader election); accept with --accept-reset that the state before is lost"
    )]
    RecordsChanged { topic: String, partition: u32, base: u64, next: u64, epoch: u64 },
    #[error(
        "the record of {topic}/{partition} before offset {next} was written under leader epoch {then} when it was read, the one that is there now under {now}: the topic was made anew, or has lost records (unclean leader election); accept with --accept-reset that the state before is lost"
    )]
    LeaderChanged { topic: String, partition: u32, next: u64, then: u32, now: u32 },
    #[error(
        "the input topics had {then} partitions when epoch {epoch} was evaluated, and have {now}: keys are in other partitions than their partial matches, which would never be completed; read topics that keep their number of partitions, or accept with --accept-reset that the state before is lost"
    )]
    TasksChanged { epoch: u64, then: u32, now: u32 },
    #[error(
        "a run with --until-end has closed all windows at offset {journal} of {topic}/{partition}; what was added since ({journal} to {end}) cannot join them: use another group and state folder to evaluate everything again"
    )]
    Ended { topic: String, partition: u32, journal: u64, end: u64 },
    #[error(
        "the state up to epoch {epoch} is neither on this machine nor among the checkpoints, and the journal begins only at epoch {first}: start the process that has it, bring its state folder or the checkpoints, or accept with --accept-reset that the state is lost"
    )]
    StateLost { epoch: u64, first: u64 },
    #[error(
        "the journal goes on after epoch {after} with epoch {found}: it was shortened (its retention must not be less than the inputs'), so the epochs between cannot be repeated; bring a newer state or checkpoint, or accept with --accept-reset that the state is lost"
    )]
    JournalGap { after: u64, found: u64 },
    #[error(
        "epoch {epoch} was evaluated by a program of determinism version {theirs}, this one has {ours} and may find other matches: start the version that ran before, stop it cleanly, then start this one"
    )]
    EngineChanged { epoch: u64, theirs: u32, ours: u32 },
    #[error(
        "epoch {epoch} was evaluated with pattern set {hash:032x}, which is not to be had ({reason}): start with the patterns and settings that ran before, stop cleanly, then start with these; a process that has no state of the task repeats all its epochs: copy `sets` out of the state folder that ran them into the one here, or give [checkpoints]"
    )]
    PatternsGone { epoch: u64, hash: u128, reason: String },
    #[error(
        "epoch {epoch} has read topic {topic}, which is not configured any more: start with the configuration that ran before, stop cleanly, then start with this one"
    )]
    InputsChanged { epoch: u64, topic: String },
    #[error(
        "{topic}/{partition} is needed again from offset {needed}, but the topic only holds {oldest} and later: it was shortened (retention) before its records were checkpointed; keep inputs for longer, and accept with --accept-reset that the state is lost"
    )]
    InputGone { topic: String, partition: u32, needed: u64, oldest: u64 },
}

fn shown(offset: &Option<u64>) -> String {
    offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string())
}

pub(super) fn decide(facts: &Facts) -> Start {
    match without_reset(facts) {
        Start::Refuse(_) if facts.accept_reset => Start::Reset(reset_offsets(facts)),
        start => start,
    }
}

/// Where a task begins that gives its state up: the offset of each input.
pub(super) fn reset_offsets(facts: &Facts) -> Vec<u64> {
    facts.inputs.iter().map(beginning).collect()
}

/// The epoch after which such a task begins. `bases`: the epochs of all that were found, whether they fit the journal or not.
pub(super) fn epoch_before_reset(facts: &Facts, bases: impl IntoIterator<Item = u64>) -> u64 {
    let newest = bases.into_iter().max().unwrap_or(0);
    facts.last.as_ref().map_or(newest + UNKNOWN_EPOCHS_MAX, |last| newest.max(last.epoch))
}

fn without_reset(facts: &Facts) -> Start {
    let Some(last) = &facts.last else { return without_journal(facts) };
    let checked: Result<Vec<_>, Refusal> = facts.inputs.iter().map(|input| check_offsets(input, last)).collect();
    let ranges = match checked {
        Ok(ranges) => ranges,
        Err(refusal) => return Start::Refuse(refusal),
    };
    if let Some(then) = last.tasks.filter(|then| *then != facts.tasks) {
        return Start::Refuse(Refusal::TasksChanged { epoch: last.epoch, then, now: facts.tasks });
    }
    if last.ended {
        return after_end(facts, &ranges);
    }
    match &facts.base {
        Some(base) if base.epoch == last.epoch => resume(facts, base, last, &ranges).unwrap_or_else(Start::Refuse),
        _ => replay(facts, last).unwrap_or_else(Start::Refuse),
    }
}

fn resume(facts: &Facts, base: &BaseFacts, last: &EpochRecord, ranges: &[Option<&InputRange>]) -> Result<Start, Refusal> {
    // A state knows streams, and the journal topics: what both are of one moment tell apart is of another topic.
    let is_of_other_topic = |((_, needed), range): &((&InputFacts, &Option<u64>), &Option<&InputRange>)| needed.is_some() && range.is_none();
    if let Some(((input, _), _)) = facts.inputs.iter().zip(&base.needed).zip(ranges).find(is_of_other_topic) {
        let before = last.inputs.iter().map(|range| range.topic.as_str()).filter(|topic| facts.inputs.iter().all(|input| input.topic != *topic));
        let before = before.collect::<Vec<_>>().join(", ");
        return Err(Refusal::OtherTopic { topic: input.topic.clone(), partition: input.partition, epoch: last.epoch, before });
    }
    Ok(Start::Resume(needed(&facts.inputs, &base.needed)?))
}

fn without_journal(facts: &Facts) -> Start {
    let committed = facts.inputs.iter().find(|input| input.committed.is_some());
    match committed.or(facts.inputs.first().filter(|_| facts.has_state)) {
        Some(input) => Start::Refuse(Refusal::NoJournal { topic: input.topic.clone(), partition: input.partition, committed: input.committed }),
        None => Start::Fresh(facts.inputs.iter().map(|input| input.kept.start).collect()),
    }
}

/// The journal's range of an input, where the committed offset and the topic fit it; `None`: the journal does not know the input.
fn check_offsets<'a>(input: &InputFacts, last: &'a EpochRecord) -> Result<Option<&'a InputRange>, Refusal> {
    let (topic, partition, committed) = (input.topic.clone(), input.partition, input.committed);
    match last.inputs.iter().find(|range| range.topic == input.topic && range.partition == input.partition) {
        None => match committed {
            Some(committed) if committed > input.kept.end && input.replaced.is_none() => {
                Err(Refusal::LeftBeyondEnd { topic, partition, committed, end: input.kept.end })
            }
            _ => Ok(None),
        },
        Some(range) if let Some((then, now)) = input.replaced.clone() => Err(Refusal::TopicReplaced { topic, partition, journal: range.next, then, now }),
        Some(range) if input.kept.end < range.next => Err(Refusal::LogChanged { topic, partition, journal: range.next, end: input.kept.end }),
        Some(range) => match input.last_read {
            LastRead::OtherRecords => Err(Refusal::RecordsChanged { topic, partition, base: range.base, next: range.next, epoch: last.epoch }),
            LastRead::OtherLeader { then, now } => Err(Refusal::LeaderChanged { topic, partition, next: range.next, then, now }),
            LastRead::Unknown | LastRead::Same => match committed {
                Some(committed) if committed == range.next => Ok(Some(range)),
                Some(committed) => Err(Refusal::OffsetsMoved { topic, partition, committed, journal: range.next }),
                None => Err(Refusal::OffsetsGone { topic, partition, journal: range.next }),
            },
        },
    }
}

fn after_end(facts: &Facts, ranges: &[Option<&InputRange>]) -> Start {
    let added = facts.inputs.iter().zip(ranges).find_map(|(input, range)| {
        let journal = range.map_or_else(|| beginning(input), |range| range.next);
        (input.end > journal).then(|| Refusal::Ended { topic: input.topic.clone(), partition: input.partition, journal, end: input.end })
    });
    added.map_or(Start::AlreadyEnded, Start::Refuse)
}

fn replay(facts: &Facts, last: &EpochRecord) -> Result<Start, Refusal> {
    let mut before = match &facts.base {
        Some(base) => base.epoch,
        None => first_epoch(facts, last)? - 1,
    };
    let mut ranges: &[InputRange] = &[];
    for Stretch { first, last_epoch, last_inputs } in &facts.tail {
        if first.epoch != before + 1 || !joins(ranges, first) {
            return Err(Refusal::JournalGap { after: before, found: first.epoch });
        }
        check_replayable(facts, first)?;
        (before, ranges) = (*last_epoch, last_inputs);
    }
    if before != last.epoch {
        return Err(Refusal::JournalGap { after: before, found: last.epoch });
    }
    // A stretch ends where an input comes or goes.
    let ranges = || facts.tail.iter().flat_map(|stretch| &stretch.first.inputs);
    let of_record = |input: &InputFacts| ranges().find(|range| range.topic == input.topic && range.partition == input.partition).map(|range| range.base);
    let wanted: Vec<_> = match &facts.base {
        Some(base) => facts.inputs.iter().zip(&base.needed).map(|(input, needed)| needed.or_else(|| of_record(input))).collect(),
        None => facts.inputs.iter().map(of_record).collect(),
    };
    Ok(Start::Replay { from: needed(&facts.inputs, &wanted)?, to: last.epoch })
}

/// Of a replay from nothing.
fn first_epoch(facts: &Facts, last: &EpochRecord) -> Result<u64, Refusal> {
    match facts.tail.first().map(|stretch| &stretch.first) {
        Some(first) if first.epoch == 1 || first.reset => Ok(first.epoch),
        first => Err(Refusal::StateLost { epoch: last.epoch, first: first.map_or(last.epoch, |first| first.epoch) }),
    }
}

/// Each input goes on where the epoch before has left it.
fn joins(before: &[InputRange], record: &EpochRecord) -> bool {
    record.reset
        || record.inputs.iter().all(|range| {
            let last = before.iter().find(|last| last.topic == range.topic && last.partition == range.partition);
            last.is_none_or(|last| last.next == range.base)
        })
}

fn check_replayable(facts: &Facts, record: &EpochRecord) -> Result<(), Refusal> {
    let (epoch, theirs, ours) = (record.epoch, record.determinism, facts.determinism);
    if theirs != ours {
        return Err(Refusal::EngineChanged { epoch, theirs, ours });
    }
    if let Some((hash, reason)) = facts.unknown_sets.iter().find(|(hash, _)| *hash == record.pattern_set.hash) {
        return Err(Refusal::PatternsGone { epoch, hash: *hash, reason: reason.clone() });
    }
    let gone = record.inputs.iter().find(|range| facts.inputs.iter().all(|input| input.topic != range.topic));
    gone.map_or(Ok(()), |range| Err(Refusal::InputsChanged { epoch, topic: range.topic.clone() }))
}

/// Where each input is read from, which must be retained; one that is not known yet begins.
fn needed(inputs: &[InputFacts], needed: &[Option<u64>]) -> Result<Vec<u64>, Refusal> {
    let of_input = |(input, needed): (&InputFacts, &Option<u64>)| match *needed {
        Some(needed) if needed < input.kept.start => {
            Err(Refusal::InputGone { topic: input.topic.clone(), partition: input.partition, needed, oldest: input.kept.start })
        }
        Some(needed) => Ok(needed),
        None => Ok(beginning(input)),
    };
    inputs.iter().zip(needed).map(of_input).collect()
}

/// Where an input begins of which there is no state: at the committed offset, as what lies before has been evaluated. Where the topic does not reach it, or is known to be another
/// one, it was made anew and is read from its beginning.
pub(super) fn beginning(input: &InputFacts) -> u64 {
    input
        .committed
        .filter(|committed| *committed <= input.kept.end && input.replaced.is_none())
        .map_or(input.kept.start, |committed| committed.max(input.kept.start))
}

#[cfg(test)]
mod tests;
