//! The threads of a task that has several shards: they decode records and step events while the intake, which is serial, goes on.
//!
//! ```text
//! batch ─▶ parts: decode ▸ judge ─▶ (the caller: intake) ─▶ releases: shard 0 … shard n-1 ─▶ matches of a release, merged
//!          any thread, side by side                         each shard's releases one after the other
//! ```
//!
//! There is one thread for each shard, the caller's among them: while it waits for something it does what there is to do. Each steps its own shard, whose state
//! so stays near one processor, and decodes what comes next. Whoever decodes a record also finds out whose keys it has, while it is at hand: a shard
//! is given its own events and never looks at those of the others.
//! Stepping goes before decoding, so that little waits in between; both run ahead by a fixed number of parts and releases, which bounds the
//! memory. The threads live as long as the task: what they have allocated stays theirs to use again, and so does what goes from hand to hand.
//!
//! What comes out does not depend on who does what when: parts reach the intake in their order, a shard steps releases in theirs, and the matches of
//! a release are put in the order of the output.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::codec::{Decoder, Rejection};
use crate::engine::{Change, Compiled, Interest, Judge, Match, Shard, Shares, Wanted, put_in_order};
use crate::event::{Event, EventTime};
use crate::ports::{Record, RecordBatch};

/// Records that are decoded in one go.
const PART_RECORDS: usize = 512;
/// Releases that wait to be stepped, or are being.
pub(super) const RELEASES_MAX: usize = 4;

/// What a record holds.
pub(super) type Reading = Result<(Event, Interest), Rejection>;

/// Decodes a record, and finds whom its event matters to. `text`: its bytes, where they are known to be one.
fn read(decoder: &mut Decoder, judge: &mut Judge, record: &Record<'_>, text: Option<&str>, partition: u32) -> Reading {
    let mut event = Event::empty();
    decoder.decode_text_into(record, text, partition, &mut event)?;
    let interest = std::mem::take(judge.interest(&event));
    Ok((event, interest))
}

#[derive(Debug)]
pub(super) struct Crew {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

/// What all threads share.
#[derive(Debug)]
struct Board {
    /// By thread; the first is the caller's.
    readers: Vec<Mutex<Reader>>,
    shards: Vec<Mutex<Shard>>,
    work: Mutex<Work>,
    /// The work has changed.
    changed: Condvar,
}

/// What a thread reads records with.
#[derive(Debug)]
struct Reader {
    /// By stream.
    decoders: Vec<Decoder>,
    judge: Judge,
}

#[derive(Debug)]
struct Work {
    batch: Option<Arc<RecordBatch>>,
    /// Parts of the batch that were begun, and those that the caller has taken.
    parts_begun: usize,
    parts_taken: usize,
    /// From the first part that was not taken on; `None`: is being decoded.
    parts: VecDeque<Option<Vec<Reading>>>,
    releases: VecDeque<Release>,
    /// How many releases were taken before the first of these.
    releases_taken: usize,
    /// By shard: how many releases it has begun.
    begun: Vec<usize>,
    /// By shard: of how many keys it would tell that they have changed, when it was last done.
    changes_noted: Vec<usize>,
    /// Memory that is used again.
    spare_parts: Vec<Vec<Reading>>,
    spare_events: Vec<Vec<Wanted>>,
    /// What a thread has panicked with.
    panic: Option<Panic>,
    is_over: bool,
}

struct Panic(Box<dyn Any + Send>);

/// Events that the intake has let out, with what each shard makes of them.
#[derive(Debug)]
struct Release {
    events: Shares,
    watermark: EventTime,
    /// By shard; `None`: has not stepped them.
    matches: Vec<Option<Vec<Match>>>,
}

enum Job {
    Decode { batch: Arc<RecordBatch>, part: usize, readings: Vec<Reading> },
    Step { shard: usize, release: usize, events: Vec<Wanted>, watermark: EventTime },
}

enum Done {
    Decoded { part: usize, readings: Vec<Reading> },
    Stepped { shard: usize, release: usize, matches: Vec<Match>, changes_noted: usize, spare: Vec<Wanted> },
}

impl Crew {
    pub(super) fn new(decoders: &[Decoder], compiled: &Arc<Compiled>, shards: Vec<Shard>) -> Self {
        let count = shards.len();
        let reader = || Reader { decoders: decoders.to_vec(), judge: Judge::of_parts(compiled.clone(), count) };
        let board = Arc::new(Board {
            readers: (0..count).map(|_| Mutex::new(reader())).collect(),
            shards: shards.into_iter().map(Mutex::new).collect(),
            work: Mutex::new(Work::new(count)),
            changed: Condvar::new(),
        });
        let threads = (1..count).map(|thread| {
            let board = board.clone();
            let named = std::thread::Builder::new().name(format!("worker {thread}"));
            named.spawn(move || board.serve(thread)).expect("the system has a thread for each worker")
        });
        Self { threads: threads.collect(), board }
    }

    /// Lets the threads decode a batch from now on; the one before was taken whole.
    pub(super) fn begin(&self, batch: &Arc<RecordBatch>) {
        let mut work = self.board.lock();
        assert!(work.batch.is_none(), "one batch after the other");
        work.batch = Some(batch.clone());
        drop(work);
        self.board.changed.notify_all();
    }

    /// Puts what the next records of the batch hold in place of what is there; `false`: that was all of them. Then nobody looks at the batch any more.
    pub(super) fn next_part(&self, part: &mut Vec<Reading>) -> bool {
        part.clear();
        self.board.work_until(|work| {
            if work.parts_taken == work.part_count() {
                (work.batch, work.parts_begun, work.parts_taken) = (None, 0, 0);
                return Some(false);
            }
            let decoded = work.parts.front_mut()?.take()?;
            work.parts.pop_front();
            work.parts_taken += 1;
            work.spare_parts.push(std::mem::replace(part, decoded));
            Some(true)
        })
    }

    /// Lets the rest of the batch be, and waits until nobody looks at it any more.
    pub(super) fn abandon(&self) {
        let mut part = Vec::new();
        while self.next_part(&mut part) {}
    }

    /// None yet, to be filled.
    pub(super) fn no_events(&self) -> Shares {
        let mut work = self.board.lock();
        Shares::new(self.board.shards.iter().map(|_| work.spare_events.pop().unwrap_or_default()))
    }

    /// Lets the shards step what the intake has let out.
    pub(super) fn step(&self, events: Shares, watermark: EventTime) {
        let mut work = self.board.lock();
        let matches = self.board.shards.iter().map(|_| None).collect();
        work.releases.push_back(Release { events, watermark, matches });
        drop(work);
        self.board.changed.notify_all();
    }

    /// The matches and the watermark of the oldest release; `None`: it is not stepped yet, and no more than `left` wait. Waits where more do.
    pub(super) fn next_stepped(&self, left: usize) -> Option<(Vec<Match>, EventTime)> {
        let Release { matches, watermark, .. } = self.board.work_until(|work| {
            if work.releases.front().is_some_and(|release| release.matches.iter().all(Option::is_some)) {
                work.releases_taken += 1;
                return Some(work.releases.pop_front());
            }
            (work.releases.len() <= left).then_some(None)
        })?;
        let mut matches: Vec<Match> = matches.into_iter().flatten().flatten().collect();
        // Within a pattern and key, which are one shard's, the order decided stays.
        put_in_order(&mut matches);
        Some((matches, watermark))
    }

    /// Asks each shard, in their order; waits for those that are at work.
    pub(super) fn for_each_shard(&self, mut ask: impl FnMut(&mut Shard)) {
        self.board.shards.iter().for_each(|shard| ask(&mut lock(shard)));
    }

    /// What has changed in the shards since the last call, each shard's in order; all at once.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        let take = |shard: &Mutex<Shard>| {
            let mut changes = Vec::new();
            lock(shard).take_changes(&mut changes);
            changes
        };
        let changes = std::thread::scope(|scope| {
            let threads: Vec<_> = self.board.shards.iter().map(|shard| scope.spawn(move || take(shard))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        self.board.lock().changes_noted.fill(0);
        changes
    }

    /// Nobody takes changes from now on.
    pub(super) fn note_no_changes(&self) {
        self.for_each_shard(Shard::note_no_changes);
        self.board.lock().changes_noted.fill(0);
    }

    /// Of how many keys the next [`Crew::take_changes`] tells, about, as far as has been stepped; waits for nobody.
    pub(super) fn changes_noted(&self) -> usize {
        self.board.lock().changes_noted.iter().sum()
    }

    /// Calculations without a result that judges have seen.
    pub(super) fn faults(&self) -> u64 {
        self.board.readers.iter().map(|reader| lock(reader).judge.faults()).sum()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.board.lock().is_over = true;
        self.board.changed.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().expect("what a thread panics with is caught");
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }

    /// A thread's life.
    fn serve(&self, thread: usize) {
        loop {
            let mut work = self.lock();
            let job = loop {
                if work.is_over {
                    return;
                }
                match work.begin_job(thread) {
                    Some(job) => break job,
                    None => work = self.changed.wait(work).expect("nobody panics with the lock in hand"),
                }
            };
            drop(work);
            match catch_unwind(AssertUnwindSafe(|| self.perform(job, thread))) {
                Ok(done) => self.lock().note(done),
                Err(panic) => {
                    let mut work = self.lock();
                    work.panic.get_or_insert(Panic(panic));
                    work.is_over = true;
                }
            }
            self.changed.notify_all();
        }
    }

    /// What the caller waits for; until it is there the caller does what there is to do.
    fn work_until<T>(&self, mut is_there: impl FnMut(&mut Work) -> Option<T>) -> T {
        let mut work = self.lock();
        loop {
            if let Some(Panic(panic)) = work.panic.take() {
                drop(work);
                resume_unwind(panic);
            }
            if let Some(found) = is_there(&mut work) {
                // There may be room for more now.
                self.changed.notify_all();
                return found;
            }
            match work.begin_job(0) {
                Some(job) => {
                    drop(work);
                    let done = self.perform(job, 0);
                    work = self.lock();
                    work.note(done);
                    self.changed.notify_all();
                }
                None => work = self.changed.wait(work).expect("nobody panics with the lock in hand"),
            }
        }
    }

    fn perform(&self, job: Job, thread: usize) -> Done {
        match job {
            Job::Decode { batch, part, mut readings } => {
                let Reader { decoders, judge } = &mut *lock(&self.readers[thread]);
                let decoder = &mut decoders[usize::from(batch.stream.0)];
                let places = part * PART_RECORDS..batch.len().min((part + 1) * PART_RECORDS);
                let texts = batch.texts(places.clone());
                readings.extend(places.map(|place| read(decoder, judge, &batch.get(place), texts.get(place), batch.partition)));
                Done::Decoded { part, readings }
            }
            Job::Step { shard, release, mut events, watermark } => {
                let mut matches = Vec::new();
                let mut stepped = lock(&self.shards[shard]);
                stepped.apply(&events, watermark, &mut matches);
                let changes_noted = stepped.changes_noted();
                drop(stepped);
                events.clear();
                Done::Stepped { shard, release, matches, changes_noted, spare: events }
            }
        }
    }
}

impl Work {
    fn new(shards: usize) -> Self {
        Self {
            batch: None,
            parts_begun: 0,
            parts_taken: 0,
            parts: VecDeque::new(),
            releases: VecDeque::new(),
            releases_taken: 0,
            begun: vec![0; shards],
            changes_noted: vec![0; shards],
            spare_parts: Vec::new(),
            spare_events: Vec::new(),
            panic: None,
            is_over: false,
        }
    }

    fn part_count(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.len().div_ceil(PART_RECORDS))
    }

    fn begin_job(&mut self, thread: usize) -> Option<Job> {
        self.begin_step(thread).or_else(|| self.begin_part())
    }

    /// Of the thread's own shard.
    fn begin_step(&mut self, shard: usize) -> Option<Job> {
        let release = self.begun[shard];
        let Release { events, watermark, .. } = self.releases.get_mut(release - self.releases_taken)?;
        self.begun[shard] += 1;
        Some(Job::Step { shard, release, events: events.take(shard), watermark: *watermark })
    }

    fn begin_part(&mut self) -> Option<Job> {
        let parts_ahead_max = 2 * self.begun.len();
        let batch = self.batch.as_ref()?;
        let part = self.parts_begun;
        if part == self.part_count() || part - self.parts_taken >= parts_ahead_max {
            return None;
        }
        let batch = batch.clone();
        self.parts_begun += 1;
        self.parts.push_back(None);
        Some(Job::Decode { batch, part, readings: self.spare_parts.pop().unwrap_or_default() })
    }

    fn note(&mut self, done: Done) {
        match done {
            Done::Decoded { part, readings } => {
                let place = part - self.parts_taken;
                self.parts[place] = Some(readings);
            }
            Done::Stepped { shard, release, matches, changes_noted, spare } => {
                self.spare_events.push(spare);
                self.changes_noted[shard] = changes_noted;
                self.releases[release - self.releases_taken].matches[shard] = Some(matches);
            }
        }
    }
}

/// Not its content, which may be anything.
impl std::fmt::Debug for Panic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Panic")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("where a thread has panicked, nobody goes on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automaton::Limits;
    use crate::codec::DecodeOptions;
    use crate::engine::RUNS_ALONE_MAX;
    use crate::event::{Field, Schema, Stream, StreamId, Type};
    use crate::pattern::Program;

    fn crew(threads: usize) -> Crew {
        let field = Field { name: "at".to_owned(), r#type: Type::Timestamp, nullable: false };
        let stream = Stream { name: "s".to_owned(), fields: vec![field], time_field: Some(0), lateness: None };
        let program = Program { schema: Arc::new(Schema { streams: vec![stream] }), patterns: Vec::new() };
        let compiled = Arc::new(Compiled::new(&program));
        let shards = (0..threads)
            .map(|shard| Shard::new(compiled.clone(), shard, threads, Limits { runs_max: 1, matches_max: 1, runs_alone_max: RUNS_ALONE_MAX }, 0))
            .collect();
        Crew::new(&[Decoder::new(&program.schema, StreamId(0), DecodeOptions::default())], &compiled, shards)
    }

    /// Every third record is refused.
    fn batch(records: u64) -> Arc<RecordBatch> {
        let mut batch = RecordBatch::new(StreamId(0), 0);
        for offset in 0..records {
            let text = if offset % 3 == 2 { "{}".to_owned() } else { format!("{{\"at\":{offset}}}") };
            let full_bytes = text.len() as u64;
            batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: text.as_bytes(), full_bytes });
        }
        Arc::new(batch)
    }

    #[test]
    fn parts_come_in_their_order_and_then_the_batch_is_given_back() {
        for threads in [2, 5] {
            let crew = crew(threads);
            for records in [0, 1, PART_RECORDS as u64, 20 * PART_RECORDS as u64 + 7] {
                let mut batch = batch(records);
                crew.begin(&batch);
                let (mut part, mut read) = (Vec::new(), Vec::new());
                while crew.next_part(&mut part) {
                    read.extend(part.drain(..).map(|reading| reading.ok().map(|(event, _)| event.offset)));
                }
                let expected: Vec<Option<u64>> = (0..records).map(|offset| Some(offset).filter(|offset| offset % 3 != 2)).collect();
                assert_eq!(read, expected, "{threads} threads");
                assert!(Arc::get_mut(&mut batch).is_some(), "nobody looks at it any more");
            }
            crew.begin(&batch(10 * PART_RECORDS as u64));
            let mut part = Vec::new();
            crew.next_part(&mut part);
            crew.abandon();
            crew.begin(&batch(1));
            assert!(crew.next_part(&mut part) && part.len() == 1, "an abandoned batch is over");
        }
    }

    #[test]
    fn releases_are_stepped_one_after_the_other() {
        let crew = crew(3);
        let watermarks: Vec<EventTime> = (1..100).map(EventTime::from_micros).collect();
        let mut stepped = Vec::new();
        for &watermark in &watermarks {
            crew.step(crew.no_events(), watermark);
            stepped.extend(std::iter::from_fn(|| crew.next_stepped(RELEASES_MAX)).map(|(_, watermark)| watermark));
        }
        stepped.extend(std::iter::from_fn(|| crew.next_stepped(0)).map(|(_, watermark)| watermark));
        assert_eq!(stepped, watermarks);
    }

    #[test]
    fn a_panic_of_a_thread_goes_on_at_the_caller() {
        let crew = crew(4);
        // Of a stream that has no decoder.
        let mut batch = RecordBatch::new(StreamId(7), 0);
        batch.push(Record { offset: 0, position: 0, next_position: 1, timestamp: None, bytes: b"{}", full_bytes: 2 });
        crew.begin(&Arc::new(batch));
        assert!(catch_unwind(AssertUnwindSafe(|| crew.next_part(&mut Vec::new()))).is_err());
    }
}
