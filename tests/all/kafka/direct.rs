//! What the engine gives for the records of topics, without any topic.

use motif::codec::write_match;
use motif::engine::Match;
use motif::event::{EventTime, ProcessingTime, StreamId};
use motif::pattern::Program;
use motif::ports::{Record, RecordBatch};
use motif::service::task::Task;

/// All records of one partition: their values and times.
pub fn apply<'a>(task: &mut Task, stream: StreamId, partition: u32, records: impl Iterator<Item = (&'a str, Option<EventTime>)>) {
    apply_from(task, stream, partition, 0, records);
}

/// Those from an offset on.
pub fn apply_from<'a>(task: &mut Task, stream: StreamId, partition: u32, first: u64, records: impl Iterator<Item = (&'a str, Option<EventTime>)>) {
    let mut batch = RecordBatch::new(stream, partition);
    for ((value, timestamp), offset) in records.zip(first..) {
        let bytes = value.as_bytes();
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp, bytes, full_bytes: bytes.len() as u64 });
    }
    task.apply(&batch, ProcessingTime::from_micros(0)).expect("not strict");
}

/// As they stand in the output topic.
pub fn lines(program: &Program, matches: &[Match]) -> Vec<String> {
    let text = |found| {
        let mut line = Vec::new();
        write_match(found, &program.schema, &mut line);
        String::from_utf8(line).expect("text")
    };
    matches.iter().map(text).collect()
}
