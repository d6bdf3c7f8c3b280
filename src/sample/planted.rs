//! What was planted: one line of `planted.jsonl` for each match or timeout that must come out, and for each near miss that must not.

use serde::{Deserialize, Serialize};

/// One line. The events are told as a match tells them: `partition:offset`, or `stream/partition:offset` where the pattern reads several streams.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Planted {
    /// Counts what was planted; what belongs together has one number.
    pub case: u64,
    pub pattern: String,
    pub key: serde_json::Map<String, serde_json::Value>,
    pub kind: PlantedKind,
    /// When the match or timeout comes out, as the match tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    pub why: String,
    pub events: Vec<String>,
    /// Those of its events that arrive too late to take part; also such as make up no part of the match for that reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum PlantedKind {
    #[serde(rename = "match")]
    Match,
    #[serde(rename = "timeout")]
    Timeout,
    #[serde(rename = "near miss")]
    NearMiss,
}

impl PlantedKind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Timeout => "timeout",
            Self::NearMiss => "near miss",
        }
    }
}
