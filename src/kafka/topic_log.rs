//! The output topic as a log of matches.
//!
//! One thread reads the topic's end (read_committed, no member of any group) into a ring of recent entries; what a subscriber needs from before the ring is read
//! from the topic again. A position is the next offset of each partition. Entries of different partitions come in the order in which the thread met them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;

use crate::kafka::bystander::BystanderConsumer;
use crate::kafka::group::partition;
use crate::kafka::pending::Caller;
use crate::kafka::permission::Operation;
use crate::kafka::{Link, Survey, failure};
use crate::ports::{LogAmount, LogEntry, LogError, LogPosition, MatchLog, TransportError};

/// How long a stop waits at most for the thread to notice.
const TAIL_WAIT: Duration = Duration::from_millis(100);

/// How often it is looked whether the thread has read enough.
const SETTLE_INTERVAL: Duration = Duration::from_millis(10);

/// An older read that is not done after so long gives what it has; brokers may be away.
const OLDER_TIMEOUT: Duration = Duration::from_secs(5);

/// So many readers wait for the next read of their subscribers: each has a connection, and up to 8 MB of records that were fetched ahead.
const OLDER_READERS_MAX: usize = 8;

/// The output topic, read by any number of subscribers.
pub struct TopicLog {
    link: Link,
    survey: Arc<Survey>,
    topic: String,
    identity: String,
    shared: Arc<Shared>,
    /// They stand somewhere before the ring; the next read of the same subscriber goes on with its own.
    older: Mutex<Waiting<BystanderConsumer>>,
    tail: Option<JoinHandle<()>>,
}

struct Shared {
    ring: Mutex<Ring>,
    changed: watch::Sender<u64>,
    stopped: AtomicBool,
}

/// The most recent entries, by partition.
struct Ring {
    kept_max: LogAmount,
    kept: LogAmount,
    /// Counts all entries ever added.
    sequence: u64,
    partitions: Vec<RingPartition>,
}

struct RingPartition {
    /// Complete from this offset on.
    from: u64,
    /// After the last entry read.
    next: u64,
    /// What the brokers have said last to be written goes up to here: a place in between will be reached.
    written: u64,
    entries: VecDeque<RingEntry>,
}

struct RingEntry {
    sequence: u64,
    offset: u64,
    pattern: Arc<str>,
    json: Arc<[u8]>,
}

impl RingEntry {
    fn amount(&self) -> LogAmount {
        LogAmount::of(&self.json)
    }
}

/// Those that wait to go on from somewhere, a few; the one that has waited longest goes first.
struct Waiting<T> {
    max: usize,
    waiting: VecDeque<(LogPosition, T)>,
}

impl<T> Waiting<T> {
    fn new(max: usize) -> Self {
        Self { max, waiting: VecDeque::new() }
    }

    fn take(&mut self, at: &LogPosition) -> Option<T> {
        let place = self.waiting.iter().position(|(place, _)| place == at)?;
        self.waiting.remove(place).map(|(_, taken)| taken)
    }

    /// Gives what there is no room for any more.
    fn put(&mut self, at: LogPosition, kept: T) -> Option<T> {
        self.waiting.push_back((at, kept));
        (self.waiting.len() > self.max).then(|| self.waiting.pop_front()).flatten().map(|(_, gone)| gone)
    }
}

impl TopicLog {
    /// Starts the reading thread. So much of what is recent is kept in memory.
    pub fn open(link: &Link, survey: Arc<Survey>, topic: &str, kept_max: LogAmount) -> Result<Self, TransportError> {
        // Not from where the log ends: whoever has read all records stands before the markers and aborted records behind them.
        let records = survey.records_of_topic(topic, survey.partitions(topic)?)?;
        let from = LogPosition(records.iter().map(|records| records.end).collect());
        let consumer = reader_at(link, topic, &from).map_err(|error| failure::of_call("the output topic", &error))?;
        let partition = |records: Range<u64>| RingPartition::starting(records.end);
        let ring = Ring { kept_max, kept: LogAmount::default(), sequence: 0, partitions: records.into_iter().map(partition).collect() };
        let shared = Arc::new(Shared { ring: Mutex::new(ring), changed: watch::Sender::new(0), stopped: AtomicBool::new(false) });
        let tail = std::thread::Builder::new()
            .name("output-topic".to_owned())
            .spawn({
                let (shared, link, survey, topic) = (shared.clone(), link.clone(), survey.clone(), topic.to_owned());
                move || shared.tail(consumer, &link, &survey, &topic)
            })
            .map_err(|error| TransportError::fatal(format!("cannot start a thread: {error}")))?;
        let identity = format!("{}/{topic}", survey.cluster());
        Ok(Self { link: link.clone(), survey, topic: topic.to_owned(), identity, shared, older: Mutex::new(Waiting::new(OLDER_READERS_MAX)), tail: Some(tail) })
    }

    /// Waits until everything that is committed by now was read, at most so long: brokers that are away answer late.
    pub fn settle(&self, wait: Duration) {
        let (shared, survey, topic, deadline) = (self.shared.clone(), self.survey.clone(), self.topic.clone(), Instant::now() + wait);
        Caller::new().begin(move || shared.settle(&survey, &topic, deadline)).wait(wait);
    }

    /// A place in all partitions that are read, of one that may have been told when the topic had fewer: what was added then is read from its first record, or found to be out of
    /// range where that is gone.
    fn complete(&self, from: &LogPosition) -> Result<LogPosition, LogError> {
        let (told, partitions) = (from.0.len(), self.shared.ring().partitions.len());
        if told > partitions {
            return Err(self.refuse(told));
        }
        let mut offsets = from.0.clone();
        offsets.resize(partitions, 0);
        Ok(LogPosition(offsets))
    }

    /// A place in so many partitions, which are more than are read.
    fn refuse(&self, partitions: usize) -> LogError {
        match self.survey.partitions_now(&self.topic) {
            Ok(now) if now >= partitions => {
                let reason = format!("partitions were added to topic {} since this service was started; it reads them once it is started again", self.topic);
                LogError::Failed(reason)
            }
            // The topic was made anew, with fewer.
            Ok(_) => LogError::OtherLog,
            Err(error) => LogError::Failed(error.to_string()),
        }
    }

    /// What is ahead of the ring may only not be read yet, where another service has read it before. What the brokers do not even have is of records that are gone.
    fn check_reached(&self, from: &LogPosition) -> Result<(), LogError> {
        if !self.shared.ring().is_behind(from) {
            return Ok(());
        }
        let written = self.written()?;
        if from.0.iter().zip(&written).any(|(from, written)| *from > written.end) {
            return Err(LogError::BeyondEnd { next: kept_from(from, &written) });
        }
        self.shared.ring().note_written(&written);
        Ok(())
    }

    fn written(&self) -> Result<Vec<Range<u64>>, LogError> {
        let partitions = self.shared.ring().count();
        self.survey.written_of_topic(&self.topic, partitions).map_err(|error| LogError::Failed(error.to_string()))
    }

    /// Entries from before the ring, from the topic itself.
    fn read_older(&self, from: &LogPosition, until: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        let waiting = self.older().take(from);
        let consumer = match waiting {
            Some(consumer) => consumer,
            None => reader_at(&self.link, &self.topic, from).map_err(|error| LogError::Failed(error.to_string()))?,
        };
        let (entries, is_done) = self.drain_older(&consumer, from, until)?;
        if !is_done {
            let at = entries.last().map_or(from, |entry| &entry.position).clone();
            // A client may take long to end: not while others wait for the lock.
            let gone = self.older().put(at, consumer);
            drop(gone);
        }
        Ok(entries)
    }

    fn older(&self) -> MutexGuard<'_, Waiting<BystanderConsumer>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends where enough was read, or where every partition has reached what the tail had seen: then, the second of the two, the ring has what comes next.
    fn drain_older(&self, consumer: &BystanderConsumer, from: &LogPosition, until: LogAmount) -> Result<(Vec<LogEntry>, bool), LogError> {
        let (mut at, ends) = (from.clone(), self.shared.ring().latest());
        let mut reached: Vec<bool> = at.0.iter().zip(&ends.0).map(|(at, end)| at >= end).collect();
        let (mut entries, mut read) = (Vec::new(), LogAmount::default());
        let deadline = Instant::now() + OLDER_TIMEOUT;
        while !read.has_reached(until) && reached.contains(&false) && Instant::now() < deadline {
            match consumer.poll(TAIL_WAIT) {
                Some(Ok(message)) => {
                    let (place, offset) = address(&message);
                    at.0[place] = offset + 1;
                    reached[place] |= offset + 1 >= ends.0[place];
                    let (pattern, json) = content(&message);
                    let entry = LogEntry { position: at.clone(), pattern, json };
                    read = read.plus(entry.amount());
                    entries.push(entry);
                }
                // Of a reader that was kept it may be the end as it was then: only offsets tell.
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if failure::is_out_of_range(&error) => return Err(LogError::OutOfRange { next: kept_from(from, &self.written()?) }),
                Some(Err(error)) if let Some(error) = self.link.of_poll(&self.topic, &error) => return Err(LogError::Failed(error.to_string())),
                Some(Err(_)) | None => {}
            }
        }
        Ok((entries, !reached.contains(&false)))
    }
}

impl MatchLog for TopicLog {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    /// Asked of the brokers each time: what is kept long enough goes.
    fn earliest(&self) -> Result<LogPosition, LogError> {
        let partitions = self.shared.ring().count();
        let oldest = self.survey.oldest_of_topic(&self.topic, partitions);
        oldest.map(LogPosition).map_err(|error| LogError::Failed(error.to_string()))
    }

    fn latest(&self) -> Result<LogPosition, LogError> {
        Ok(self.shared.ring().latest())
    }

    fn read(&self, from: &LogPosition, until: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        let from = self.complete(from)?;
        self.check_reached(&from)?;
        let recent = self.shared.ring().read(&from, until);
        match recent {
            Some(entries) => Ok(entries),
            None => self.read_older(&from, until),
        }
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }
}

impl Drop for TopicLog {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(tail) = self.tail.take()
            && tail.join().is_err()
        {
            tracing::error!("the thread that reads the output topic has panicked");
        }
    }
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, survey: &Survey, topic: &str, deadline: Instant) {
        let partitions = self.ring().count();
        let Ok(records) = survey.records_of_topic(topic, partitions) else { return };
        let is_behind = || records.iter().zip(self.ring().latest().0).any(|(records, at)| !records.is_empty() && at < records.end);
        while is_behind() && Instant::now() < deadline {
            std::thread::sleep(SETTLE_INTERVAL);
        }
    }

    fn tail(&self, mut consumer: BystanderConsumer, link: &Link, survey: &Survey, topic: &str) {
        let mut is_out_of_range = false;
        while !self.stopped.load(Ordering::Relaxed) {
            if is_out_of_range {
                match self.skip(link, survey, topic) {
                    Ok(another) => (consumer, is_out_of_range) = (another, false),
                    Err(error) => tracing::warn!(%error, "reading the output topic"),
                }
            }
            match consumer.poll(TAIL_WAIT) {
                Some(Ok(message)) => {
                    let (place, offset) = address(&message);
                    let (pattern, json) = content(&message);
                    self.ring().push(place, offset, pattern, json);
                    self.changed.send_modify(|version| *version += 1);
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                // The library reads that partition no further.
                Some(Err(error)) if failure::is_out_of_range(&error) => is_out_of_range = true,
                Some(Err(error)) => match survey.link().denied(&error, Operation::Read, &[topic]) {
                    Some(denied) => tracing::error!(%denied, "subscribers get nothing"),
                    None => tracing::warn!(%error, "reading the output topic"),
                },
            }
        }
    }

    /// Goes on with what is kept, where records were not read before they went. Subscribers that have not seen them are told so: their place is before the ring, and gone; or
    /// beyond its end, where the topic was made anew. With another client: one that is told another place while it still leaves the last may end the process.
    fn skip(&self, link: &Link, survey: &Survey, topic: &str) -> Result<BystanderConsumer, TransportError> {
        let written = survey.written_of_topic(topic, self.ring().count())?;
        tracing::warn!(
            topic,
            kept = ?written,
            "matches were not kept until they could be handed on to subscribers: the topic was shortened (retention.ms and retention.bytes decide how long they are kept), or deleted and \
             made anew"
        );
        let from = self.ring().skip(&written);
        let consumer = reader_at(link, topic, &from).map_err(|error| failure::of_call("the output topic", &error))?;
        self.changed.send_modify(|version| *version += 1);
        Ok(consumer)
    }
}

impl RingPartition {
    /// Nothing has been read so far.
    fn starting(at: u64) -> Self {
        Self { from: at, next: at, written: at, entries: VecDeque::new() }
    }
}

impl Ring {
    fn push(&mut self, place: usize, offset: u64, pattern: Arc<str>, json: Arc<[u8]>) {
        self.sequence += 1;
        let sequence = self.sequence;
        let partition = &mut self.partitions[place];
        partition.next = offset + 1;
        let entry = RingEntry { sequence, offset, pattern, json };
        self.kept = self.kept.plus(entry.amount());
        partition.entries.push_back(entry);
        while self.kept.is_over(self.kept_max) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.partitions.iter_mut().min_by_key(|partition| partition.entries.front().map_or(u64::MAX, |entry| entry.sequence));
        if let Some(partition) = oldest
            && let Some(entry) = partition.entries.pop_front()
        {
            partition.from = entry.offset + 1;
            self.kept = self.kept.minus(entry.amount());
        }
    }

    /// These are the offsets that there are: entries behind a gap are let go, and those of records that are gone. The places from where to read on.
    fn skip(&mut self, written: &[Range<u64>]) -> LogPosition {
        let from = kept_from(&self.latest(), written);
        for (partition, &from) in self.partitions.iter_mut().zip(&from.0) {
            if partition.next != from {
                self.kept = partition.entries.iter().fold(self.kept, |kept, entry| kept.minus(entry.amount()));
                *partition = RingPartition::starting(from);
            }
        }
        from
    }

    /// Whether some of it has neither been read nor is known to be written.
    fn is_behind(&self, at: &LogPosition) -> bool {
        at.0.iter().zip(&self.partitions).any(|(at, partition)| *at > partition.next.max(partition.written))
    }

    fn note_written(&mut self, written: &[Range<u64>]) {
        for (partition, written) in self.partitions.iter_mut().zip(written) {
            partition.written = written.end;
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("partitions are numbered in 31 bits")
    }

    fn latest(&self) -> LogPosition {
        LogPosition(self.partitions.iter().map(|partition| partition.next).collect())
    }

    /// From a place in all partitions. `None`: some of it is older than the ring.
    fn read(&self, from: &LogPosition, until: LogAmount) -> Option<Vec<LogEntry>> {
        if from.0.iter().zip(&self.partitions).any(|(from, partition)| *from < partition.from) {
            return None;
        }
        let mut heads: Vec<usize> =
            from.0.iter().zip(&self.partitions).map(|(from, partition)| partition.entries.partition_point(|entry| entry.offset < *from)).collect();
        let mut at = from.clone();
        let (mut entries, mut read) = (Vec::new(), LogAmount::default());
        while !read.has_reached(until) {
            let next = self.partitions.iter().zip(&heads).enumerate().filter_map(|(place, (partition, head))| Some((place, partition.entries.get(*head)?)));
            let Some((place, entry)) = next.min_by_key(|(_, entry)| entry.sequence) else { break };
            at.0[place] = entry.offset + 1;
            heads[place] += 1;
            read = read.plus(entry.amount());
            entries.push(LogEntry { position: at.clone(), pattern: entry.pattern.clone(), json: entry.json.clone() });
        }
        Some(entries)
    }
}

/// The same place, but for partitions that do not have it, or not any more: there, from the oldest record.
fn kept_from(from: &LogPosition, written: &[Range<u64>]) -> LogPosition {
    let kept = |(from, written): (&u64, &Range<u64>)| if (written.start..=written.end).contains(from) { *from } else { written.start };
    LogPosition(from.0.iter().zip(written).map(kept).collect())
}

fn reader_at(link: &Link, topic: &str, from: &LogPosition) -> KafkaResult<BystanderConsumer> {
    let consumer = link.consumer()?;
    let mut list = TopicPartitionList::new();
    for (task, offset) in (0..).zip(&from.0) {
        list.add_partition_offset(topic, partition(task), Offset::Offset(offset.cast_signed()))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn address(message: &impl Message) -> (usize, u64) {
    (usize::try_from(message.partition()).expect("a partition's number"), message.offset().max(0).cast_unsigned())
}

/// A match's pattern name and bytes. What someone else may have written to the topic has no pattern, and reaches those who asked for all.
fn content(message: &impl Message) -> (Arc<str>, Arc<[u8]>) {
    #[derive(serde::Deserialize)]
    struct Named {
        #[serde(default)]
        pattern: String,
    }
    let json = message.payload().unwrap_or_default();
    let pattern = serde_json::from_slice::<Named>(json).map(|named| named.pattern).unwrap_or_default();
    (pattern.into(), json.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(kept_max: LogAmount, partitions: usize) -> Ring {
        Ring { kept_max, kept: LogAmount::default(), sequence: 0, partitions: (0..partitions).map(|_| RingPartition::starting(0)).collect() }
    }

    fn texts(entries: &[LogEntry]) -> Vec<String> {
        entries.iter().map(|entry| String::from_utf8(entry.json.to_vec()).expect("text")).collect()
    }

    fn push(ring: &mut Ring, place: usize, offset: u64) {
        ring.push(place, offset, "p".into(), format!("{place}:{offset}").into_bytes().into());
    }

    #[test]
    fn a_reader_that_goes_on_from_any_entry_sees_the_rest_once() {
        let mut ring = ring(LogAmount::of_entries(100), 2);
        // Offsets skip where a transaction's markers stand.
        for (place, offset) in [(0, 0), (1, 0), (1, 1), (0, 2), (1, 4)] {
            push(&mut ring, place, offset);
        }
        let all = ring.read(&LogPosition(vec![0, 0]), LogAmount::of_entries(100)).expect("recent");
        assert_eq!(texts(&all), ["0:0", "1:0", "1:1", "0:2", "1:4"]);
        for cut in 0..all.len() {
            let rest = ring.read(&all[cut].position, LogAmount::of_entries(100)).expect("recent");
            assert_eq!(texts(&rest), texts(&all[cut + 1..]));
            let one = ring.read(&all[cut].position, LogAmount::of_entries(1)).expect("recent");
            assert_eq!(texts(&one), texts(&all[cut + 1..(cut + 2).min(all.len())]));
        }
        assert_eq!(all[4].position, ring.latest());
    }

    #[test]
    fn what_the_ring_has_dropped_is_not_taken_for_read() {
        let mut ring = ring(LogAmount::of_entries(2), 2);
        for (place, offset) in [(0, 0), (1, 0), (0, 1)] {
            push(&mut ring, place, offset);
        }
        assert!(ring.read(&LogPosition(vec![0, 0]), LogAmount::of_entries(10)).is_none());
        let kept = ring.read(&LogPosition(vec![1, 0]), LogAmount::of_entries(10)).expect("recent");
        assert_eq!(texts(&kept), ["1:0", "0:1"]);
    }

    #[test]
    fn of_matches_that_are_long_the_ring_keeps_fewer() {
        let mut ring = ring(LogAmount { entries: 100, bytes: 10 }, 2);
        for (place, offset) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            push(&mut ring, place, offset);
        }
        assert!(ring.read(&LogPosition(vec![0, 1]), LogAmount::of_entries(9)).is_none());
        let kept = ring.read(&LogPosition(vec![1, 1]), LogAmount::of_entries(9)).expect("recent");
        assert_eq!(texts(&kept), ["0:1", "1:1"]);
        let one = ring.read(&LogPosition(vec![1, 1]), LogAmount { entries: 9, bytes: 1 }).expect("recent");
        assert_eq!(texts(&one), ["0:1"], "one at least");
        ring.push(0, 2, "p".into(), vec![b'x'; 99].into());
        assert_eq!((ring.kept, ring.latest()), (LogAmount::default(), LogPosition(vec![3, 2])), "what has no room is read from the topic");
    }

    #[test]
    fn several_wait_beside_each_other_and_those_that_were_put_last_stay() {
        let at = |offset| LogPosition(vec![offset]);
        let mut waiting = Waiting::new(2);
        assert_eq!((waiting.put(at(1), "a"), waiting.put(at(2), "b")), (None, None));
        assert_eq!((waiting.take(&at(1)), waiting.put(at(3), "a")), (Some("a"), None));
        assert_eq!(waiting.put(at(4), "c"), Some("b"));
        assert_eq!([2, 3, 4, 4].map(|offset| waiting.take(&at(offset))), [None, Some("a"), Some("c"), None]);
    }
}
