//! The record of one epoch of one task, and its bytes.
//!
//! A byte for the format, then varints, in the order of the fields. What a later version adds stands behind a new format number; an unknown one is refused.
//! Format 1 did not tell what clock and chance had decided ([`InputRange::decided`]), and neither it nor format 2 how many tasks there were ([`EpochRecord::tasks`]); both are read, and
//! written again as they were. Format 4 is written only where windows are [being closed](EpochRecord::closing): what else there is to tell, a version before it reads as well.

use xxhash_rust::xxh3::xxh3_64;

use crate::engine::{Decided, Offsets};
use crate::event::binary::{Malformed, Reader, write_bytes, write_signed, write_unsigned};

const FORMAT: u8 = 4;
const WITHOUT_CLOSING: u8 = 3;
const WITHOUT_TASKS: u8 = 2;
const WITHOUT_DECISIONS: u8 = 1;

/// An epoch reads no more records than that of an input, so more ranges of them are taken for damage.
const RANGES_MAX: u64 = 10_000_000;

/// More inputs than this are taken for damage.
const INPUTS_MAX: u64 = 4_096;

const ENDED: u64 = 1;
const RESET: u64 = 2;
const CLOSING: u64 = 4;

/// What one epoch of a task read, and what came out of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochRecord {
    pub task: u32,
    /// How many there were: the partitions of each input, by which keys are divided among them. `None`: it was not noted.
    pub tasks: Option<u32>,
    /// From 1 on, and dense; only a [reset](EpochRecord::reset) may leave numbers out.
    pub epoch: u64,
    /// In order of their streams' names.
    pub inputs: Vec<InputRange>,
    /// The task's watermark before and after, in microseconds.
    pub watermark_in_us: i64,
    pub watermark_out_us: i64,
    /// The wall clock that the epoch's records were applied under, and the one at its end, in microseconds.
    pub opened_us: i64,
    pub closed_us: i64,
    /// The instant that far-future times are measured against, in microseconds.
    pub reference_us: i64,
    pub pattern_set: PatternSetId,
    pub determinism: u32,
    pub out_count: u64,
    pub out_digest: u64,
    /// The end of the output partition for matches, as the worker knew it before this epoch: its matches stand there or later.
    pub out_from: Option<u64>,
    /// Over the state that the epoch changed; every so many epochs, unless the epoch began or ended with keys that were overdue ([`crate::service::task::Task::has_overdue`]).
    pub state_digest: Option<u64>,
    /// A bounded run closes all windows, with this epoch not the last: whoever goes on after it closes the others, and reads nothing more.
    pub closing: bool,
    /// A bounded run has closed all windows with this epoch.
    pub ended: bool,
    /// The operator has accepted that the state before this epoch is lost: it began with none.
    pub reset: bool,
}

/// Which patterns, under which settings, an epoch was evaluated with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PatternSetId {
    /// Counts the changes of this task's set, from 1.
    pub number: u64,
    pub hash: u128,
}

/// What an epoch read of one input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputRange {
    pub topic: String,
    pub partition: u32,
    /// The leader epoch of the last record, where the broker tells it.
    pub leader_epoch: Option<u32>,
    /// The first offset, and the one after the last.
    pub base: u64,
    pub next: u64,
    /// The oldest record that is still held back, from which reading would have to begin again.
    pub rewind: Option<u64>,
    /// The newest event time seen, in microseconds.
    pub newest_us: i64,
    pub idle: bool,
    /// xxh3 over offset and bytes of each record of the range.
    pub digest: u64,
    /// What the records of the range do not tell by themselves; `None`: it was not noted, and hangs on the machine's clock and the order of reading.
    pub decided: Option<Decided>,
}

/// Bytes that are no record of a known format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedRecord {
    #[error("it is of format {0}, and this version of motif knows only {FORMAT}: a newer version wrote it")]
    Format(u8),
    #[error("{0}")]
    Damaged(#[from] Malformed),
}

impl EpochRecord {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(200);
        // Whatever notes the tasks notes the decisions, too.
        let tasks = self.tasks.filter(|_| self.tells_decisions());
        out.push(match tasks {
            Some(_) if self.closing => FORMAT,
            Some(_) => WITHOUT_CLOSING,
            None if self.tells_decisions() => WITHOUT_TASKS,
            None => WITHOUT_DECISIONS,
        });
        write_unsigned(u64::from(self.task), &mut out);
        tasks.into_iter().for_each(|tasks| write_unsigned(u64::from(tasks), &mut out));
        write_unsigned(self.epoch, &mut out);
        write_unsigned(self.inputs.len() as u64, &mut out);
        for input in &self.inputs {
            input.encode(&mut out);
        }
        for signed in [self.watermark_in_us, self.watermark_out_us, self.opened_us, self.closed_us, self.reference_us] {
            write_signed(signed, &mut out);
        }
        write_unsigned(self.pattern_set.number, &mut out);
        out.extend(self.pattern_set.hash.to_le_bytes());
        write_unsigned(u64::from(self.determinism), &mut out);
        write_unsigned(self.out_count, &mut out);
        write_digest(self.out_digest, &mut out);
        write_optional(self.out_from, &mut out);
        match self.state_digest {
            Some(digest) => {
                out.push(1);
                write_digest(digest, &mut out);
            }
            None => out.push(0),
        }
        let closing = self.closing && tasks.is_some();
        let flags = [(self.ended, ENDED), (self.reset, RESET), (closing, CLOSING)];
        write_unsigned(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum(), &mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedRecord> {
        let mut reader = Reader::new(bytes);
        let format = reader.byte("format")?;
        if !(WITHOUT_DECISIONS..=FORMAT).contains(&format) {
            return Err(MalformedRecord::Format(format));
        }
        let task = narrow(reader.unsigned("task")?, &reader, "task")?;
        let tasks = if format >= WITHOUT_CLOSING { Some(narrow(reader.unsigned("number of tasks")?, &reader, "number of tasks")?) } else { None };
        let epoch = reader.unsigned("epoch")?;
        let number = reader.unsigned("number of inputs")?;
        if number > INPUTS_MAX {
            return Err(reader.malformed("number of inputs").into());
        }
        let inputs = (0..number).map(|_| InputRange::decode(&mut reader, format)).collect::<Result<_, _>>()?;
        let mut signed = || reader.signed("time");
        let [watermark_in_us, watermark_out_us, opened_us, closed_us, reference_us] = [signed()?, signed()?, signed()?, signed()?, signed()?];
        let number = reader.unsigned("pattern set")?;
        let pattern_set = PatternSetId { number, hash: u128::from_le_bytes(read_array(&mut reader, "pattern set")?) };
        let determinism = narrow(reader.unsigned("determinism version")?, &reader, "determinism version")?;
        let out_count = reader.unsigned("count of outputs")?;
        let out_digest = read_digest(&mut reader)?;
        let out_from = read_optional(&mut reader)?;
        let state_digest = if read_flag(&mut reader, "state digest")? { Some(read_digest(&mut reader)?) } else { None };
        let flags = reader.unsigned("flags")?;
        let known = if format == FORMAT { ENDED | RESET | CLOSING } else { ENDED | RESET };
        if flags & !known != 0 || !reader.is_at_end() {
            return Err(reader.malformed("end").into());
        }
        Ok(Self {
            task,
            tasks,
            epoch,
            inputs,
            watermark_in_us,
            watermark_out_us,
            opened_us,
            closed_us,
            reference_us,
            pattern_set,
            determinism,
            out_count,
            out_digest,
            out_from,
            state_digest,
            closing: flags & CLOSING != 0,
            ended: flags & ENDED != 0,
            reset: flags & RESET != 0,
        })
    }

    /// What clock and chance have decided is told for every input.
    pub fn tells_decisions(&self) -> bool {
        self.inputs.iter().all(|input| input.decided.is_some())
    }

    /// The epoch changed the state otherwise than this other record tells of the same epoch, as far as both tell it.
    pub fn tells_of_other_state(&self, other: &Self) -> bool {
        self.state_digest.zip(other.state_digest).is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Tells one record from another.
    pub fn digest(&self) -> u64 {
        xxh3_64(&self.encode())
    }
}

impl InputRange {
    fn encode(&self, out: &mut Vec<u8>) {
        write_bytes(self.topic.as_bytes(), out);
        write_unsigned(u64::from(self.partition), out);
        write_optional(self.leader_epoch.map(u64::from), out);
        write_unsigned(self.base, out);
        // Nothing of a correct record is lost by counting from elsewhere, and most numbers become short.
        write_unsigned(self.next.wrapping_sub(self.base), out);
        write_optional(self.rewind, out);
        write_signed(self.newest_us, out);
        out.push(u8::from(self.idle));
        write_digest(self.digest, out);
        if let Some(Decided { silent_us, overtaken, held_full, idle: _ }) = &self.decided {
            write_signed(*silent_us, out);
            for offsets in [overtaken, held_full] {
                write_offsets(offsets, self.base, out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>, format: u8) -> Result<Self, Malformed> {
        let topic = std::str::from_utf8(reader.bytes("topic")?).map_err(|_| reader.malformed("topic"))?.to_owned();
        let partition = narrow(reader.unsigned("partition")?, reader, "partition")?;
        let leader_epoch = read_optional(reader)?.map(|epoch| narrow(epoch, reader, "leader epoch")).transpose()?;
        let base = reader.unsigned("base offset")?;
        let next = base.wrapping_add(reader.unsigned("next offset")?);
        let rewind = read_optional(reader)?;
        let newest_us = reader.signed("newest event time")?;
        let idle = read_flag(reader, "idleness")?;
        let digest = read_digest(reader)?;
        let decided = match format {
            WITHOUT_DECISIONS => None,
            _ => {
                let silent_us = reader.signed("silence")?;
                Some(Decided { idle, silent_us, overtaken: read_offsets(reader, base)?, held_full: read_offsets(reader, base)? })
            }
        };
        Ok(Self { topic, partition, leader_epoch, base, next, rewind, newest_us, idle, digest, decided })
    }
}

/// Each range as the number of offsets that lie before it, and its own.
fn write_offsets(offsets: &Offsets, base: u64, out: &mut Vec<u8>) {
    write_unsigned(offsets.ranges().len() as u64, out);
    let mut at = base;
    for range in offsets.ranges() {
        write_unsigned(range.start.wrapping_sub(at), out);
        write_unsigned(range.end - range.start, out);
        at = range.end;
    }
}

fn read_offsets(reader: &mut Reader<'_>, base: u64) -> Result<Offsets, Malformed> {
    let number = reader.unsigned("number of ranges")?;
    if number > RANGES_MAX {
        return Err(reader.malformed("number of ranges"));
    }
    let (mut at, mut ranges) = (base, Vec::new());
    for _ in 0..number {
        let start = at.wrapping_add(reader.unsigned("range")?);
        at = start.wrapping_add(reader.unsigned("range")?);
        ranges.push(start..at);
    }
    Offsets::new(ranges).ok_or_else(|| reader.malformed("ranges"))
}

fn write_digest(digest: u64, out: &mut Vec<u8>) {
    out.extend(digest.to_le_bytes());
}

fn read_digest(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    Ok(u64::from_le_bytes(read_array(reader, "digest")?))
}

fn read_flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, Malformed> {
    match reader.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.malformed(what)),
    }
}

fn read_array<const N: usize>(reader: &mut Reader<'_>, what: &'static str) -> Result<[u8; N], Malformed> {
    let mut array = [0; N];
    for byte in &mut array {
        *byte = reader.byte(what)?;
    }
    Ok(array)
}

/// 0: nothing; else the number and one.
fn write_optional(number: Option<u64>, out: &mut Vec<u8>) {
    write_unsigned(number.map_or(0, |number| number + 1), out);
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(reader.unsigned("number")?.checked_sub(1))
}

fn narrow(number: u64, reader: &Reader<'_>, what: &'static str) -> Result<u32, Malformed> {
    u32::try_from(number).map_err(|_| reader.malformed(what))
}

#[cfg(test)]
impl InputRange {
    /// Of which nothing but the offsets matters.
    pub fn of_offsets(topic: &str, partition: u32, base: u64, next: u64) -> Self {
        let (topic, decided) = (topic.to_owned(), None);
        Self { topic, partition, leader_epoch: None, base, next, rewind: None, newest_us: 0, idle: false, digest: 0, decided }
    }
}

#[cfg(test)]
impl EpochRecord {
    /// Without outputs and times.
    pub fn of_inputs(task: u32, epoch: u64, inputs: Vec<InputRange>) -> Self {
        Self {
            task,
            tasks: None,
            epoch,
            inputs,
            watermark_in_us: 0,
            watermark_out_us: 0,
            opened_us: 0,
            closed_us: 0,
            reference_us: 0,
            pattern_set: PatternSetId::default(),
            determinism: 1,
            out_count: 0,
            out_digest: 0,
            out_from: None,
            state_digest: None,
            closing: false,
            ended: false,
            reset: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(ranges: &[std::ops::Range<u64>]) -> Offsets {
        Offsets::new(ranges.to_vec()).expect("ascending")
    }

    fn record() -> EpochRecord {
        let input = |topic: &str, base| InputRange {
            topic: topic.to_owned(),
            partition: 3,
            leader_epoch: Some(7),
            base,
            next: base + 1_000,
            rewind: Some(base + 3),
            newest_us: 1_700_000_000_000_000,
            idle: false,
            digest: 0x0123_4567_89ab_cdef,
            decided: Some(Decided { silent_us: 100_000, ..Decided::default() }),
        };
        let idle = Decided { idle: true, silent_us: 3_600_000_000, overtaken: offsets(&[0..3, 9..10]), held_full: offsets(&[3..5, 6..9]) };
        EpochRecord {
            task: 3,
            tasks: Some(8),
            epoch: 90_000,
            inputs: vec![input("payments", 5_000_000), InputRange { leader_epoch: None, rewind: None, idle: true, decided: Some(idle), ..input("logins", 0) }],
            watermark_in_us: i64::MIN,
            watermark_out_us: 1_700_000_000_000_000,
            opened_us: 1_764_000_000_000_000,
            closed_us: 1_764_000_000_100_000,
            reference_us: 1_763_000_000_000_000,
            pattern_set: PatternSetId { number: 2, hash: u128::MAX / 3 },
            determinism: DETERMINISM_VERSION,
            out_count: 17,
            out_digest: u64::MAX,
            out_from: Some(88),
            state_digest: None,
            closing: false,
            ended: false,
            reset: false,
        }
    }

    use crate::service::topics::journal::DETERMINISM_VERSION;

    #[test]
    fn what_was_written_is_read_and_small() {
        let plain = record();
        let changed = [
            EpochRecord { tasks: Some(9), ..record() },
            EpochRecord { epoch: 1, out_from: None, ended: true, ..record() },
            EpochRecord { closing: true, ..record() },
            EpochRecord { state_digest: Some(9), reset: true, ..record() },
            EpochRecord { inputs: Vec::new(), out_count: u64::MAX, ..record() },
        ];
        for record in std::iter::once(&plain).chain(&changed) {
            assert_eq!(EpochRecord::decode(&record.encode()).as_ref(), Ok(record));
            assert!(record == &plain || record.digest() != plain.digest());
        }
        assert!(plain.encode().len() < 210, "{} bytes", plain.encode().len());
    }

    #[test]
    fn a_record_of_each_format_is_read_and_keeps_its_bytes() {
        let mut first = EpochRecord { tasks: None, ..record() };
        let second = first.clone();
        first.inputs.iter_mut().for_each(|input| input.decided = None);
        for (format, record) in [(1, &first), (2, &second), (3, &record()), (4, &EpochRecord { closing: true, ..record() })] {
            let bytes = record.encode();
            assert_eq!((bytes[0], EpochRecord::decode(&bytes).as_ref()), (format, Ok(record)));
        }
        assert!(!first.tells_decisions() && second.tells_decisions());
        // A number less, and nothing else.
        let without_tasks = [&[2], &record().encode()[1..2], &record().encode()[3..]].concat();
        assert_eq!(second.encode(), without_tasks);
    }

    #[test]
    fn what_is_damaged_is_refused_and_never_panics() {
        let bytes = record().encode();
        for length in 0..bytes.len() {
            assert!(EpochRecord::decode(&bytes[..length]).is_err(), "cut off after {length} bytes");
        }
        for place in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= flip;
                assert_ne!(EpochRecord::decode(&damaged).as_ref(), Ok(&record()), "byte {place}");
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(EpochRecord::decode(&longer).is_err());
        let newer = EpochRecord::decode(&[5, 0, 0]).expect_err("unknown").to_string();
        assert!(newer.contains("format 5"), "{newer}");
    }
}
