//! A value of a field, a literal or an expression.

use std::sync::Arc;

use compact_str::CompactString;
use rust_decimal::Decimal;

use crate::event::{EventTime, TimeSpan};

/// One value, in 24 bytes. Copying is cheap: lists and records are shared, and most texts are short.
///
/// Equality here is identity of type and content (`Int(1)` is not `Decimal(1)`); what the language calls equal is decided where
/// conditions are evaluated, in [`crate::pattern`].
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    /// Absent or null: the language makes no difference.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite.
    Float(f64),
    Decimal(Decimal),
    /// Up to 24 bytes lie in the value itself.
    Text(CompactString),
    Timestamp(EventTime),
    Duration(TimeSpan),
    List(Arc<[Value]>),
    /// The fields in the order that the record's type declares.
    Record(Arc<[Value]>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// As text, about.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(values) | Self::Record(values) => values.iter().map(Self::text_bytes).sum(),
            _ => NUMBER_BYTES,
        }
    }
}

/// As text, about.
const NUMBER_BYTES: usize = 8;
