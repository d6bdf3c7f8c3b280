//! What an epoch's parts become on the topics.
//!
//! | output | key | value | headers besides task, epoch, index (and `stage`, of the second) |
//! |---|---|---|---|
//! | matches | the match's key as JSON | the match as JSON, with `cut` in it where it was too long | – |
//! | late, rejected | as the producer gave it | as the producer gave it | `code`, `reason`; `stream`, `topic`, `partition`, `offset`, `time` of the record; `cut` where it was too long; the record's own, each name behind `original.` |
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

/// Key and value of a match or of a record that is set aside, in bytes, at most: below what brokers take by default, headers included. What would be longer is cut: else its task could not
/// go on.
const RECORD_BYTES_MAX: usize = 900_000;

/// Stands before the name of each header that the producer of a record has given it.
pub(in crate::service) const ORIGINAL_PREFIX: &str = "original.";

/// One record of an epoch's outputs, without its address.
pub(super) struct Encoded {
    pub kind: OutputKind,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Of its topic; `None`: that of the task.
    pub partition: Option<u32>,
    headers: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
}

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
    let (key, mut value, mut originals) = (aside.key, aside.value, aside.headers);
    let whole = value.as_ref().map_or(0, Vec::len);
    let is_cut = key.as_ref().map_or(0, Vec::len) + whole + originals.len() > RECORD_BYTES_MAX;
    if is_cut {
        texts.push(("cut", whole.to_string()));
        if originals.len() > RECORD_BYTES_MAX / 2 {
            originals.clear();
        }
        let room = RECORD_BYTES_MAX.saturating_sub(key.as_ref().map_or(0, Vec::len) + originals.len());
        value.iter_mut().for_each(|value| value.truncate(room));
    }
    let mut headers: Vec<_> = texts.into_iter().map(|(name, text)| (Cow::Borrowed(name), Some(text.into_bytes()))).collect();
    let originals = read_headers(&originals).expect("put together by us");
    headers.extend(originals.into_iter().map(|(name, value)| (Cow::Owned(format!("{ORIGINAL_PREFIX}{name}")), value)));
    let kind = if aside.code == RejectionCode::Late { OutputKind::Late } else { OutputKind::Rejected };
    Encoded { kind, key, value, partition: None, headers }
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
