//! What a run has beside its place at a node, in few bytes.

use rust_decimal::Decimal;

use crate::automaton::class::Class;
use crate::automaton::runs::Marks;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::Stand;
use crate::event::{EventTime, Value};
use crate::pattern::ConditionId;

/// The run's own side of the comparison that it waits for (its *register*, null where there is none), and what differs from where it stands.
///
/// What most comparisons are about takes 16 bytes, so that a run is smaller by half of a [`Value`].
#[derive(Clone, Default, Debug)]
pub(super) enum Aside {
    #[default]
    Nothing,
    Int(i64),
    Float(f64),
    Decimal {
        mantissa: i64,
        scale: u8,
    },
    Timestamp(EventTime),
    /// Any other value.
    Value(Box<Value>),
    /// To be found out once it is asked for.
    Later,
    /// Whatever is compared with it, the comparison may hold.
    Anything,
    Own(Box<Own>),
}

/// What a run has for itself: several nodes took its last event, or some of many ways have gone since, or a `without` is open.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub ways: WaySet,
    pub awaited: Class,
    pub compares: Option<ConditionId>,
    pub marks: Marks,
    /// Not another of this kind.
    pub register: Aside,
}

impl Own {
    /// Without marks and register so far.
    pub(super) fn of(ways: WaySet, awaited: Class, compares: Option<ConditionId>) -> Self {
        Self { ways, awaited, compares, marks: Marks::default(), register: Aside::Nothing }
    }

    /// Nothing differs so far.
    pub(super) fn of_stand(stand: &Stand) -> Self {
        Self::of(stand.ways.clone(), stand.awaited, stand.register)
    }
}

impl Aside {
    pub(super) fn of(register: Value) -> Self {
        match register {
            Value::Null => Self::Nothing,
            Value::Int(number) => Self::Int(number),
            Value::Float(number) => Self::Float(number),
            Value::Timestamp(time) => Self::Timestamp(time),
            Value::Decimal(number) => match (i64::try_from(number.mantissa()), u8::try_from(number.scale())) {
                (Ok(mantissa), Ok(scale)) if mantissa != 0 => Self::Decimal { mantissa, scale },
                _ => Self::Value(Box::new(register)),
            },
            Value::Bool(_) | Value::Text(_) | Value::Duration(_) | Value::List(_) | Value::Record(_) => Self::Value(Box::new(register)),
        }
    }

    pub(super) fn own(&self) -> Option<&Own> {
        if let Self::Own(own) = self { Some(own) } else { None }
    }

    /// The register, as far as it has been found out.
    pub(super) fn known(&self) -> &Self {
        self.own().map_or(self, |own| &own.register)
    }

    pub(super) fn register(&mut self) -> &mut Self {
        if let Self::Own(own) = self { &mut own.register } else { self }
    }

    /// Asks something of the register, which has been found out.
    #[inline]
    pub(super) fn ask<T>(&self, of: impl FnOnce(&Value) -> T) -> T {
        match self {
            Self::Nothing => of(&Value::Null),
            Self::Later | Self::Anything => unreachable!("a register is asked once it has been found out, and says something"),
            Self::Int(number) => of(&Value::Int(*number)),
            Self::Float(number) => of(&Value::Float(*number)),
            Self::Decimal { mantissa, scale } => of(&Value::Decimal(Decimal::new(*mantissa, u32::from(*scale)))),
            Self::Timestamp(time) => of(&Value::Timestamp(*time)),
            Self::Value(value) => of(value),
            Self::Own(own) => own.register.ask(of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_given_back_as_it_was() {
        let numbers = [
            "0",
            "-0",
            "0.00",
            "1.50",
            "-12.3",
            "9223372036854775807",
            "-9223372036854775808",
            "79228162514264337593543950335",
            "0.0000000000000000000000000001",
        ];
        let decimals = numbers.map(|text| Value::Decimal(text.parse().expect("a number")));
        let others = [
            Value::Null,
            Value::Bool(true),
            Value::Int(-1),
            Value::Float(-0.0),
            Value::Timestamp(EventTime::from_micros(5)),
            Value::text("a"),
            Value::List([Value::Null].into()),
        ];
        for value in decimals.into_iter().chain(others) {
            let aside = Aside::of(value.clone());
            assert_eq!(format!("{:?}", aside.ask(Value::clone)), format!("{value:?}"));
        }
    }

    #[test]
    fn a_run_is_small() {
        assert_eq!((size_of::<Aside>(), size_of::<crate::automaton::Run>()), (16, 48));
    }
}
