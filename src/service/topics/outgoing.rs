//! What an epoch's parts become on the topics.
//!
//! A match: its key's JSON as the record's key, its own JSON as the value. Late and rejected records: the same lines as in files. Each carries task, epoch and index in
//! its headers, by which it can be told from every other for ever.

use crate::codec::{write_key, write_match};
use crate::service::topics::assigned::Part;
use crate::service::topics::commit::{Delivery, Origin, Outgoing};
use crate::service::topics::deployment::{Deployment, OutputTopic};

/// Cost: encoding the matches.
pub(super) fn delivery(deployment: &Deployment, parts: &[Part]) -> Delivery {
    let mut delivery = Delivery::default();
    for part in parts {
        let mut index = 0;
        let mut push = |topic: &OutputTopic, key: Option<Vec<u8>>, value: Vec<u8>| {
            let origin = Origin { task: part.task, epoch: part.number, index };
            index += 1;
            delivery.records.push(Outgoing { topic: topic.name.clone(), partition: topic.partition_of(part.task), key, value, origin });
        };
        for found in &part.epoch.matches {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            write_key(found, &mut key);
            write_match(found, &deployment.program.schema, &mut value);
            push(&deployment.outputs.matches, Some(key), value);
        }
        for (topic, lines) in [(&deployment.outputs.late, &part.epoch.late), (&deployment.outputs.rejected, &part.epoch.rejected)] {
            if let Some(topic) = topic {
                lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| push(topic, None, line.to_vec()));
            }
        }
        delivery.offsets.extend(&part.after);
    }
    delivery
}
