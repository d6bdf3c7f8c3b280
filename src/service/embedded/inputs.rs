//! The files and pipes of a run, and which of them is read next.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{AtEnd, Config, Origin};
use crate::engine::Positions;
use crate::event::{Schema, StreamId};
use crate::file::{AtEnd as FileAtEnd, FileSource, StdinSource};
use crate::pattern::Program;
use crate::ports::{Read, RecordBatch, Source, SourceError};
use crate::service::shown;
use crate::service::state::Meta;
use crate::service::task::Task;

pub(super) struct Inputs {
    inputs: Vec<Input>,
    schema: Arc<Schema>,
    /// Last lines without a line's end: events only once everything else has been committed.
    unterminated: Vec<Arc<RecordBatch>>,
}

struct Input {
    stream: StreamId,
    /// The file's path as the user gave it.
    name: String,
    source: Box<dyn Source>,
    /// Shared with the task while that is at it.
    batch: Arc<RecordBatch>,
    ended: bool,
    /// The length of a file that does not grow, in bytes, and how far it was read.
    whole_bytes: Option<u64>,
    read_bytes: u64,
}

pub(super) enum Next {
    /// The batch of this input holds records.
    Batch(usize),
    /// No input has anything now.
    Pending,
    /// All have ended.
    End,
}

impl Inputs {
    pub(super) fn open(program: &Program, config: &Config) -> anyhow::Result<Self> {
        let mut inputs = Vec::new();
        for stream in program.schema.ids() {
            let Some(bound) = config.streams.get(&program.schema.stream(stream).name) else { continue };
            let record_bytes_max = config.limits.record_bytes_max;
            let (name, source): (String, Box<dyn Source>) = match &bound.origin {
                Origin::File { path, at_end } => {
                    let at_end = match at_end {
                        AtEnd::Finish => FileAtEnd::Finish,
                        AtEnd::Follow => FileAtEnd::Follow,
                    };
                    (shown(path), Box::new(FileSource::open(path, at_end, record_bytes_max)?))
                }
                Origin::StandardInput => ("standard input".to_owned(), Box::new(StdinSource::open(record_bytes_max)?)),
                Origin::Published => continue,
                Origin::Topic(_) => unreachable!("the configuration check keeps topics and files apart"),
            };
            let whole_bytes = match &bound.origin {
                Origin::File { path, at_end: AtEnd::Finish } => {
                    std::fs::metadata(path).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
                }
                _ => None,
            };
            inputs.push(Input { stream, name, source, batch: Arc::new(RecordBatch::new(stream, 0)), ended: false, whole_bytes, read_bytes: 0 });
        }
        Ok(Self { inputs, schema: program.schema.clone(), unterminated: Vec::new() })
    }

    /// Which of them is read next has to be decided.
    pub(super) fn are_several(&self) -> bool {
        self.inputs.len() > 1
    }

    /// Goes to where the last committed epoch ended, or the oldest event it still held.
    pub(super) fn seek(&mut self, meta: &Meta) -> Result<(), SourceError> {
        for input in &mut self.inputs {
            let name = &self.schema.stream(input.stream).name;
            let Some(position) = meta.positions.of(name, 0).filter(|position| position.next_offset > 0) else { continue };
            if let Some(fingerprint) = meta.fingerprints.get(name) {
                input.source.verify(fingerprint)?;
            }
            // All of what was read is still there, also what needs no reading again.
            input.source.seek(position.next_position, position.next_offset)?;
            let (byte, offset) = position.rewind.map_or((position.next_position, position.next_offset), |rewind| (rewind.position, rewind.offset));
            input.source.seek(byte, offset)?;
        }
        Ok(())
    }

    /// Reads from the input that is furthest behind in event time, so that little has to be held back; from another where it has nothing, unless
    /// `held_max` events are held for its sake already. Which input comes next depends on what was read of each of them, and not on how often a run was
    /// begun anew, as long as `bytes_max` stays the same.
    pub(super) fn next(&mut self, task: &Task, bytes_max: usize, held_max: usize) -> Result<Next, SourceError> {
        let mut order: Vec<usize> = (0..self.inputs.len()).filter(|&place| !self.inputs[place].ended).collect();
        if order.len() > 1 {
            order.sort_by_key(|&place| task.newest(self.inputs[place].stream, 0));
        }
        let mut pending = false;
        for place in order {
            if pending && task.held_events() >= held_max {
                break;
            }
            let input = &mut self.inputs[place];
            let batch = Arc::get_mut(&mut input.batch).expect("the task has given it back");
            batch.clear();
            match input.source.read(batch, bytes_max)? {
                Read::Records if input.source.is_past_unterminated_end() => {
                    let batch = std::mem::replace(&mut input.batch, Arc::new(RecordBatch::new(input.stream, 0)));
                    assert_eq!(batch.len(), 1, "an unterminated line comes alone");
                    self.unterminated.push(batch);
                    input.ended = true;
                }
                Read::Records => {
                    input.read_bytes = input.batch.get(input.batch.len() - 1).next_position;
                    return Ok(Next::Batch(place));
                }
                Read::Pending => pending = true,
                Read::End => input.ended = true,
            }
        }
        Ok(if pending {
            Next::Pending
        } else if self.inputs.iter().all(|input| input.ended) {
            Next::End
        } else {
            Next::Pending
        })
    }

    /// How many bytes were read of how many; `None` where not all of them are known.
    pub(super) fn read_of_whole(&self) -> (u64, Option<u64>) {
        let read = self.inputs.iter().map(|input| input.read_bytes).sum();
        (read, self.inputs.iter().map(|input| input.whole_bytes).sum())
    }

    /// The streams whose inputs have ended.
    pub(super) fn ended(&self) -> Vec<StreamId> {
        self.inputs.iter().filter(|input| input.ended).map(|input| input.stream).collect()
    }

    pub(super) fn batch(&self, place: usize) -> &Arc<RecordBatch> {
        &self.inputs[place].batch
    }

    /// The file that a stream's records come from.
    pub(super) fn name(&self, stream: StreamId) -> &str {
        let input = self.inputs.iter().find(|input| input.stream == stream);
        input.map_or_else(|| self.schema.stream(stream).name.as_str(), |input| &input.name)
    }

    pub(super) fn take_unterminated(&mut self) -> Vec<Arc<RecordBatch>> {
        std::mem::take(&mut self.unterminated)
    }

    /// By stream: what tells its source from another, as far as it was read.
    pub(super) fn fingerprints(&mut self, positions: &Positions) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
        let mut fingerprints = BTreeMap::new();
        for input in &mut self.inputs {
            let name = &self.schema.stream(input.stream).name;
            let read = positions.of(name, 0).map_or(0, |position| position.next_position);
            fingerprints.insert(name.clone(), input.source.fingerprint(read)?);
        }
        Ok(fingerprints)
    }
}
