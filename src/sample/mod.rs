//! Made-up event streams with planted cases: for trying rules out, for load, for tests.
//!
//! ```text
//! Schedule ─key, time─▶ Episode: background or a case of the Plan ─events─▶ Arrivals: shuffled, some late ─▶ lines of streams, planted.jsonl
//! ```
//!
//! A scenario makes the streams that a folder of `patterns/` reads, and plants for each of its rules what it must find and what it must not: near
//! misses, just outside of the window, on another card, with a refund between. What is planted is told line by line ([`Planted`]), with the places of its
//! events, and [`Comparison`] holds matches against it.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | how much of what; what cannot be asked for |
//! | `scenario` | what a scenario consists of: streams, background, cases |
//! | `schedule`, `plan` | which key is next, and when; which case is next |
//! | `episode` | what happens around one key for a while |
//! | `arrivals` | events in the order in which they are written |
//! | `generate` | all of it, one line after the other |
//! | `planted`, `compare` | what was planted, and whether it was found |
//! | `payments/`, `sensors/`, `web/` | the scenarios |
//!
//! Invariants, by construction and not by trial: two episodes of a key lie further apart than any rule of the scenario looks, so none completes what another has
//! begun; nothing in the background trips a rule; an event is late exactly if it was planted as late; at the end of the streams everything is decided.
//! The same settings give the same bytes. Memory does not grow with the number of events.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod settings;

mod scenario;

mod episode;
mod plan;
mod schedule;

mod arrivals;
mod generate;

mod compare;
mod planted;

mod payments;
mod sensors;
mod web;

pub use compare::{Comparison, Found, PatternComparison, Unexpected};
pub use generate::{Line, LineFile, Sample};
pub use planted::{Planted, PlantedKind};
pub use scenario::Scenario;
pub use settings::{Settings, SettingsFault};
