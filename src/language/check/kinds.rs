//! The types of expressions, as far as they are known while they are checked.

use std::fmt::{self, Display, Formatter};

use crate::event::Type;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Something in it is wrong and has been reported, or could not be read: nothing more is said of it.
    Unknown,
    /// `null`, which fits every type; so does an item of an empty list.
    Null,
    /// A whole number written out, small enough for an int: takes its neighbour's type, else it is a decimal.
    Whole,
    /// Another number written out: takes its neighbour's type, but is no int.
    Fraction,
    List(Box<Kind>),
    /// Never [`Type::List`].
    Of(Type),
}

/// Why two kinds are none in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clash {
    FloatWithDecimal,
    Different,
}

impl Kind {
    pub(super) const BOOL: Self = Self::Of(Type::Bool);
    pub(super) const INT: Self = Self::Of(Type::Int);
    pub(super) const FLOAT: Self = Self::Of(Type::Float);
    pub(super) const DECIMAL: Self = Self::Of(Type::Decimal);
    pub(super) const STRING: Self = Self::Of(Type::String);
    pub(super) const TIMESTAMP: Self = Self::Of(Type::Timestamp);
    pub(super) const DURATION: Self = Self::Of(Type::Duration);

    pub(super) fn of(r#type: &Type) -> Self {
        match r#type {
            Type::List(element) => Self::List(Box::new(Self::of(element))),
            other => Self::Of(other.clone()),
        }
    }

    /// As what it stands where no neighbour says more.
    pub(super) fn settled(&self) -> Type {
        match self {
            Self::Whole | Self::Fraction => Type::Decimal,
            Self::Unknown | Self::Null => Type::String,
            Self::List(item) => Type::List(Box::new(item.settled())),
            Self::Of(r#type) => r#type.clone(),
        }
    }

    /// Nothing more is said of it.
    pub(super) fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::List(item) => item.is_unknown(),
            Self::Null | Self::Whole | Self::Fraction | Self::Of(_) => false,
        }
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_written_number() || matches!(self, Self::Of(Type::Int | Type::Float | Type::Decimal))
    }

    pub(super) fn is_written_number(&self) -> bool {
        matches!(self, Self::Whole | Self::Fraction)
    }

    /// `true` and `false` have no order, nor have lists and records.
    pub(super) fn has_order(&self) -> bool {
        self.is_number() || matches!(self, Self::Of(Type::String | Type::Timestamp | Type::Duration) | Self::Unknown)
    }

    /// What can hold both: `int` and `decimal` mix exactly, `int` and `float` as float.
    pub(super) fn joined(&self, other: &Self) -> Result<Self, Clash> {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Ok(Self::Unknown),
            (Self::Null, kind) | (kind, Self::Null) => Ok(kind.clone()),
            (Self::List(one), Self::List(other)) => Ok(Self::List(Box::new(one.joined(other)?))),
            (Self::Whole, kind) | (kind, Self::Whole) if kind.is_number() => Ok(kind.clone()),
            (Self::Fraction, Self::Of(Type::Int)) | (Self::Of(Type::Int), Self::Fraction) => Ok(Self::DECIMAL),
            (Self::Fraction, kind) | (kind, Self::Fraction) if kind.is_number() => Ok(kind.clone()),
            (Self::Of(Type::Int), Self::Of(wider @ (Type::Float | Type::Decimal))) | (Self::Of(wider @ (Type::Float | Type::Decimal)), Self::Of(Type::Int)) => {
                Ok(Self::Of(wider.clone()))
            }
            (Self::Of(Type::Float), Self::Of(Type::Decimal)) | (Self::Of(Type::Decimal), Self::Of(Type::Float)) => Err(Clash::FloatWithDecimal),
            _ if self == other => Ok(self.clone()),
            _ => Err(Clash::Different),
        }
    }
}

/// With its article: "an int", "a list of string".
impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("of no known type"),
            Self::Null => f.write_str("null"),
            Self::Whole | Self::Fraction => f.write_str("a number"),
            Self::List(item) => match &**item {
                Self::Unknown | Self::Null => f.write_str("a list"),
                Self::Whole | Self::Fraction => f.write_str("a list of numbers"),
                item => write!(f, "a list of {}", item.settled()),
            },
            Self::Of(Type::Int) => f.write_str("an int"),
            Self::Of(Type::Record(_)) => f.write_str("a record"),
            Self::Of(r#type) => write!(f, "a {}", r#type),
        }
    }
}
