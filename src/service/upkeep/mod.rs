//! What operators ask of a deployment on Kafka, beside the service and without taking part in it.
//!
//! | file | holds |
//! |---|---|
//! | `needs` | the topics that a configuration needs |
//! | `findings` | decision: what is wrong with them |
//! | `dead_letters` | late events and rejected records, shown and replayed |
//! | `partitioning` | decision: whether events that belong together meet |
//! | `sampling` | whether they do, as far as their records tell |
//! | `topics` | looking at them, and making what is missing |

mod dead_letters;
mod findings;
mod needs;
mod partitioning;
mod sampling;
mod topics;

pub use dead_letters::{DeadLetter, LetterPlace, MARK_HEADER, Replayed, Selection, replay_letters, visit_letters};
pub use findings::{Finding, Severity};
pub use needs::{Need, Purpose};
pub use partitioning::costs_of_partitioning;
pub use topics::{CannotCreate, CreateOptions, TopicReport, TopicState, create, inspect};

pub(super) use partitioning::rekeyed_patterns;
pub(super) use topics::{link, refuse_lost_outputs, refuse_missing, refuse_undeclared_keys, warn_of_misplaced_keys, warn_of_partitioning, warn_of_topics};
