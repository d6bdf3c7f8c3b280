//! What an epoch's parts become on the topics.
//!
//! | output | key | value | headers besides task, epoch, index (and `stage`, of the second) |
//! |---|---|---|---|
//! | matches | the match's key as JSON | the match as JSON, with `cut` in it where it was too long | – |
//! | late, rejected | as the producer gave it | as the producer gave it | `code`, `reason`; `stream`, `topic`, `partition`, `offset`, `time` of the record; where the record was too long `cut`, and `cut-key` and `cut-headers` where these are; the record's own, each name behind `original.` |
//! | handed on | – | an event, how far the task is, or both ([`crate::service::rekeying`]) | – |
//! | journal | – | the [`EpochRecord`](crate::service::topics::journal::EpochRecord) | – |
//!
//! Stage, task, epoch and index tell a record from every other for ever. The journal's stands last: its digest is over those before it.

use std::borrow::Cow;

use crate::codec::{RejectionCode, write_bounded};
use crate::ports::{Transport, read_headers};
use crate::service::rekeying::records_handed_on;
use crate::service::task::{Epoch, SetAside};
use crate::service::topics::assigned::Part;
use crate::service::topics::commit::{Delivery, Origin, Outgoing};
use crate::service::topics::deployment::{Deployment, OutputTopic};
use crate::service::topics::journal::{OutputDigest, OutputKind};
use crate::service::topics::pattern_set::Evaluation;

/// Key and value of a match, or those and the original headers of a record that is set aside, in bytes, at most: below what brokers take by default, with the headers that are ours. What would
/// be longer is cut: else its task could not go on.
const RECORD_BYTES_MAX: usize = 900_000;

/// What the lengths of a header's name and value take in a record, at most: longer ones than 2^20 bytes are not kept.
const HEADER_LENGTHS_BYTES: usize = 6;

/// Of a record that is set aside and cut: how long its value was. (It stands there whatever was cut.)
pub(in crate::service) const CUT_HEADER: &str = "cut";
/// How long its key was, where that is cut.
pub(in crate::service) const CUT_KEY_HEADER: &str = "cut-key";
/// How many headers its producer gave it, where some are left out.
pub(in crate::service) const CUT_HEADERS_HEADER: &str = "cut-headers";

/// Stands before the name of each header that the producer of a record has given it.
pub(in crate::service) const ORIGINAL_PREFIX: &str = "original.";

/// One record of an epoch's outputs, without its address.
pub(super) struct Encoded {
    pub kind: OutputKind,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Of its topic; `None`: that of the task.
    pub partition: Option<u32>,
    headers: Vec<Header>,
}

type Header = (Cow<'static, str>, Option<Vec<u8>>);

/// Fills in what the records say about outputs and the deployment, and addresses everything. Cost: encoding the matches.
pub(super) fn delivery(deployment: &Deployment, parts: &mut [Part], transport: &dyn Transport) -> Delivery {
    let mut delivery = Delivery::default();
    for part in parts {
        let epoch = std::mem::take(&mut part.epoch);
        let record = &mut part.record;
        record.tasks = Some(deployment.tasks);
        let outputs = encode(&deployment.evaluation, record.task, epoch, &|stream| deployment.sources.get(&stream).cloned().unwrap_or_default());
        let matches = &deployment.outputs.matches;
        record.out_from = transport.delivered_to(&matches.name, matches.partition_of(record.task));
        let digest = digest(&outputs);
        (record.out_count, record.out_digest) = (digest.count(), digest.value());
        let origin = |index| Origin { stage: deployment.stage, task: record.task, epoch: record.epoch, index };
        for (output, index) in outputs.into_iter().zip(0..) {
            let topic = topic_of(deployment, output.kind);
            let Encoded { key, value, partition, headers, .. } = output;
            let partition = partition.unwrap_or_else(|| topic.partition_of(record.task));
            delivery.records.push(Outgoing { topic: topic.name.clone(), partition, key, value, origin: origin(index), headers });
        }
        delivery.records.push(Outgoing {
            topic: deployment.outputs.journal.clone(),
            partition: record.task,
            key: None,
            value: Some(record.encode()),
            origin: origin(u32::try_from(record.out_count).expect("an epoch's outputs are bounded")),
            headers: Vec::new(),
        });
        delivery.offsets.extend(&part.offsets);
    }
    delivery
}

/// What an epoch puts out, in the one order that it has. The same in a replay.
pub(super) fn encode(evaluation: &Evaluation, task: u32, mut epoch: Epoch, topic_of: &dyn Fn(crate::event::StreamId) -> String) -> Vec<Encoded> {
    let schema = &evaluation.program.schema;
    let matches = epoch.matches.iter().map(|found| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        write_bounded(found, schema, RECORD_BYTES_MAX, &mut key, &mut value);
        Encoded { kind: OutputKind::Match, key: Some(key), value: Some(value), partition: None, headers: Vec::new() }
    });
    let mut outputs: Vec<_> = matches.collect();
    // How the inputs of a task were interleaved is chance.
    epoch.set_aside.sort_by_key(|aside| (aside.code != RejectionCode::Late, aside.stream, aside.partition, aside.offset));
    for aside in epoch.set_aside {
        let is_late = aside.code == RejectionCode::Late;
        if if is_late { evaluation.has_late() } else { evaluation.has_rejected() } {
            let (stream, topic) = (schema.stream(aside.stream).name.clone(), topic_of(aside.stream));
            outputs.push(encode_aside(aside, stream, topic));
        }
    }
    let handed_on = records_handed_on(epoch.handed_on, epoch.announced, task, evaluation.tasks_after());
    outputs.extend(handed_on.into_iter().map(|(after, bytes)| Encoded {
        kind: OutputKind::HandedOn,
        key: None,
        value: Some(bytes),
        partition: Some(after),
        headers: Vec::new(),
    }));
    outputs
}

pub(super) fn digest(outputs: &[Encoded]) -> OutputDigest {
    let mut digest = OutputDigest::default();
    outputs.iter().for_each(|output| digest.push(output.kind, output.key.as_deref(), output.value.as_deref()));
    digest
}

fn encode_aside(aside: SetAside, stream: String, topic: String) -> Encoded {
    let mut texts = vec![
        ("code", aside.code.text().to_owned()),
        ("reason", aside.reason),
        ("stream", stream),
        ("topic", topic),
        ("partition", aside.partition.to_string()),
        ("offset", aside.offset.to_string()),
    ];
    if let Some(time) = aside.timestamp {
        texts.push(("time", time.to_string()));
    }
    let (mut key, mut value) = (aside.key, aside.value);
    let originals = read_headers(&aside.headers).expect("put together by us");
    let mut originals: Vec<_> = originals.into_iter().map(|(name, value)| (Cow::Owned(format!("{ORIGINAL_PREFIX}{name}")), value)).collect();
    for (name, number) in cut_to_fit(&mut key, &mut value, &mut originals) {
        texts.push((name, number.to_string()));
    }
    let mut headers: Vec<_> = texts.into_iter().map(|(name, text)| (Cow::Borrowed(name), Some(text.into_bytes()))).collect();
    headers.append(&mut originals);
    let kind = if aside.code == RejectionCode::Late { OutputKind::Late } else { OutputKind::Rejected };
    Encoded { kind, key, value, partition: None, headers }
}

/// Cuts what is too long for a record, and only as far as it must be: of the headers those that find no room, the ends of key and value. As long as the others need it, headers get no more
/// than a half, the key no more than a quarter. What has become of it: how long the value was, and the key, and how many headers there were.
fn cut_to_fit(key: &mut Option<Vec<u8>>, value: &mut Option<Vec<u8>>, headers: &mut Vec<Header>) -> Vec<(&'static str, usize)> {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let header_bytes = |(name, value): &Header| name.len() + length(value) + HEADER_LENGTHS_BYTES;
    let (key_bytes, value_bytes, count) = (length(key), length(value), headers.len());
    let mut headers_bytes = headers.iter().map(header_bytes).sum::<usize>();
    if key_bytes + value_bytes + headers_bytes <= RECORD_BYTES_MAX {
        return Vec::new();
    }
    let mut cut = vec![(CUT_HEADER, value_bytes)];
    let mut room = RECORD_BYTES_MAX.saturating_sub(key_bytes + value_bytes).max(RECORD_BYTES_MAX / 2);
    headers_bytes = 0;
    headers.retain(|header| {
        let bytes = header_bytes(header);
        let fits = bytes <= room;
        if fits {
            room -= bytes;
            headers_bytes += bytes;
        }
        fits
    });
    if let Some(key) = key {
        key.truncate(RECORD_BYTES_MAX.saturating_sub(headers_bytes + value_bytes).max(RECORD_BYTES_MAX / 4));
    }
    if let Some(value) = value {
        value.truncate(RECORD_BYTES_MAX.saturating_sub(headers_bytes + length(key)));
    }
    if length(key) < key_bytes {
        cut.push((CUT_KEY_HEADER, key_bytes));
    }
    if headers.len() < count {
        cut.push((CUT_HEADERS_HEADER, count));
    }
    cut
}

fn topic_of(deployment: &Deployment, kind: OutputKind) -> &OutputTopic {
    let outputs = &deployment.outputs;
    match kind {
        OutputKind::Match => &outputs.matches,
        OutputKind::Late => outputs.late.as_ref().expect("late events come out where they have a topic"),
        OutputKind::Rejected => outputs.rejected.as_ref().expect("rejected records come out where they have a topic"),
        OutputKind::HandedOn => outputs.handed_on.as_ref().expect("events are handed on where there is a stage for them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;
    use crate::ports::write_header;

    const CUTS: [&str; 3] = [CUT_HEADER, CUT_KEY_HEADER, CUT_HEADERS_HEADER];

    /// What a record is put aside as: key and value of so many bytes, headers of so long a name and value, and so many of them.
    fn put_aside(key: usize, value: usize, headers: &[(usize, Option<usize>, usize)]) -> Encoded {
        let mut originals = Vec::new();
        for &(name, value, count) in headers {
            (0..count).for_each(|_| write_header(&vec![b'n'; name], value.map(|length| vec![b'v'; length]).as_deref(), &mut originals));
        }
        let (key, value) = (Some(vec![b'k'; key]), Some(vec![b'v'; value]));
        let (code, reason) = (RejectionCode::NotJson, "r".to_owned());
        let aside = SetAside { stream: StreamId(0), partition: 0, offset: 7, timestamp: None, code, reason, key, value, headers: originals };
        encode_aside(aside, "s".to_owned(), "t".to_owned())
    }

    /// Whatever producers do, what is put aside is taken by a topic: else its task would never get beyond it. What is cut is said, and as little is cut as can be.
    #[test]
    fn every_record_that_is_set_aside_fits_its_topic() {
        const MAX: usize = RECORD_BYTES_MAX;
        for (key, value, headers, kept, cuts) in [
            (1, 10, &[(5, Some(5), 3)][..], (1, 10, 3), [None; 3]),
            (0, MAX, &[], (0, MAX, 0), [None; 3]),
            (1, 5_000_000, &[], (1, MAX - 1, 0), [Some(5_000_000), None, None]),
            // Short ones, to which a prefix is much.
            (1, 8, &[(4, None, 99_000)], (1, 8, (MAX - 9) / 19), [Some(8), None, Some(99_000)]),
            (1, 8, &[(0, None, 300_000)], (1, 8, (MAX - 9) / 15), [Some(8), None, Some(300_000)]),
            // One that is too long does not take the others along.
            (1, 8, &[(3, Some(3), 2), (1, Some(950_000), 1), (3, Some(3), 2)], (1, 8, 4), [Some(8), None, Some(5)]),
            (2_000_000, 1, &[], (MAX - 1, 1, 0), [Some(1), Some(2_000_000), None]),
            (2_000_000, 1, &[(3, Some(3), 1)], (MAX - 22, 1, 1), [Some(1), Some(2_000_000), None]),
            (2_000_000, 2_000_000, &[], (MAX / 4, MAX / 4 * 3, 0), [Some(2_000_000), Some(2_000_000), None]),
            (2_000_000, 2_000_000, &[(85, Some(900), 9_000)], (MAX / 4, MAX / 4, 450), [Some(2_000_000), Some(2_000_000), Some(9_000)]),
        ] {
            let case = format!("key {key}, value {value}, headers {headers:?}");
            let found = put_aside(key, value, headers);
            let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
            let (ours, originals): (Vec<_>, Vec<_>) = found.headers.iter().partition(|(name, _)| !name.starts_with(ORIGINAL_PREFIX));
            let of_headers: usize = originals.iter().map(|(name, value)| name.len() + length(value) + HEADER_LENGTHS_BYTES).sum();
            let whole = length(&found.key) + length(&found.value) + of_headers;
            assert!(whole <= MAX, "{case}: {whole} bytes");
            assert_eq!((length(&found.key), length(&found.value), originals.len()), kept, "{case}");
            let said = |cut| Some(std::str::from_utf8(ours.iter().find(|(name, _)| name == cut)?.1.as_ref()?).ok()?.parse().expect("a number"));
            assert_eq!(CUTS.map(said), cuts, "{case}");
            assert!(["code", "reason", "stream", "topic", "partition", "offset"].iter().all(|name| ours.iter().any(|(found, _)| found == name)), "{case}");
        }
    }
}
