//! The last records of a topic, looked at and no more: what is read, and for how long, is bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::EventTime;
use crate::kafka::bystander::BystanderConsumer;
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::kafka::reader::record;
use crate::kafka::{Link, failure};
use crate::ports::{Record, TransportError};

/// How long one call of the library waits, and before it is asked again where it has failed.
const WAIT: Duration = Duration::from_millis(100);

/// What is looked at of a topic, at most.
#[derive(Clone, Copy, Debug)]
pub struct SampleBounds {
    /// Of each partition.
    pub records_max: u64,
    /// Of all partitions together.
    pub bytes_max: u64,
    pub until: Instant,
}

/// Shows the last committed records of each partition with its number, as far as they come in time.
pub fn sample(link: &Link, topic: &str, partitions: u32, bounds: &SampleBounds, visit: &mut dyn FnMut(u32, &Record<'_>)) -> Result<(), TransportError> {
    let reader: BystanderConsumer = link.consumer().map_err(|error| failure::of_settings(&error))?;
    let failed = |error: KafkaError| link.failed(&format!("the last records of topic {topic}"), Operation::Read, topic, &error);
    let mut list = TopicPartitionList::new();
    // Of each partition: the end as it is now.
    let mut ends = BTreeMap::new();
    for number in 0..partitions {
        let Some((oldest, end)) = watermarks(&reader, link, topic, number, bounds)? else { return Ok(()) };
        let from = end.saturating_sub(bounds.records_max).max(oldest);
        if from < end {
            list.add_partition_offset(topic, partition(number), Offset::Offset(from.cast_signed())).map_err(failed)?;
            ends.insert(number, end);
        }
    }
    if ends.is_empty() {
        return Ok(());
    }
    reader.assign(&list).map_err(failed)?;
    let mut bytes = 0;
    while !ends.is_empty() && bytes < bounds.bytes_max && Instant::now() < bounds.until {
        match reader.poll(WAIT) {
            Some(Ok(message)) => {
                let (number, offset) = (message.partition().cast_unsigned(), message.offset().cast_unsigned());
                let Some(&end) = ends.get(&number) else { continue };
                if offset < end {
                    let timestamp = message.timestamp().to_millis().and_then(EventTime::from_millis);
                    bytes += message.payload_len() as u64;
                    visit(number, &record(offset, timestamp, message.payload(), link.record_bytes_max));
                }
                if offset + 1 >= end {
                    ends.remove(&number);
                }
            }
            // The last records may be markers, or aborted.
            Some(Err(KafkaError::PartitionEOF(number))) => drop(ends.remove(&number.cast_unsigned())),
            Some(Err(error)) if let Some(denied) = link.denied(&error, Operation::Read, &[topic]) => return Err(denied),
            Some(Err(error)) => tracing::debug!(%error, topic, "looking at the last records of a topic"),
            None => {}
        }
    }
    Ok(())
}

/// The oldest offset and the end; `None`: not told in time.
fn watermarks(reader: &BystanderConsumer, link: &Link, topic: &str, number: u32, bounds: &SampleBounds) -> Result<Option<(u64, u64)>, TransportError> {
    loop {
        let left = bounds.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        match reader.fetch_watermarks(topic, partition(number), left) {
            Ok((oldest, end)) => return Ok(Some((oldest.max(0).cast_unsigned(), end.max(0).cast_unsigned()))),
            Err(error) if let Some(denied) = link.denied(&error, Operation::Describe, &[topic]) => return Err(denied),
            Err(error) => {
                tracing::debug!(%error, topic, "the ends of a topic are not told yet");
                std::thread::sleep(WAIT.min(left));
            }
        }
    }
}
