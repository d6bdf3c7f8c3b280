//! Which topic a committed offset is of: noted beside it, where Kafka has room for a text. Offsets say nothing of another topic that was made under the same name.

use crate::ports::TopicId;

/// What others write there is none of ours.
const MARK: &str = "topic-id ";

pub(super) fn note(id: &TopicId) -> String {
    format!("{MARK}{id}")
}

pub(super) fn noted(metadata: &str) -> Option<TopicId> {
    metadata.strip_prefix(MARK).map(|id| TopicId(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_and_what_others_note_is_not() {
        let id = TopicId("xJ3-_a0AQmuhVQ2uC1b9VA".to_owned());
        assert_eq!(noted(&note(&id)), Some(id));
        for other in ["", "by hand", "topic-id"] {
            assert_eq!(noted(other), None, "{other}");
        }
    }
}
