//! Values that a rule writes out, as in `card in blocked`, to look others up in.
//!
//! A list of blocked cards may have a hundred thousand of them, and be asked of every event: where there are many they are found by a hash, whose keys are equal just where the language calls the
//! values [equal](numbers::equal).

use std::fmt::{self, Debug, Formatter, Write};
use std::sync::Arc;

use compact_str::CompactString;
use rust_decimal::Decimal;
use xxhash_rust::xxh3::Xxh3;

use crate::event::{Lookup, TimeSpan, Value};
use crate::pattern::numbers;

/// The values of a list. Most are few.
pub struct Among {
    values: Arc<[Value]>,
    /// `None`: they are few.
    many: Option<Many>,
}

struct Many {
    /// `None`: they are not all of one sort that is told apart here.
    known: Option<Known>,
    /// Of how the values are spelled.
    hash: u128,
}

/// All values, by what is equal if they are. What is looked for and of another sort than they are is compared with each of them.
enum Known {
    Texts(Lookup<CompactString, ()>),
    Exact(Exact),
    /// By their bits.
    Floats(Lookup<u64, ()>),
    Durations(Lookup<TimeSpan, ()>),
}

/// Ints and decimals, which are compared exactly with each other.
#[derive(Default)]
struct Exact {
    whole: Lookup<i64, ()>,
    /// Those that are no ints.
    others: Lookup<Decimal, ()>,
}

/// To compare with so many takes no longer than to hash.
const FEW_MAX: usize = 8;

impl Among {
    pub fn of(values: Arc<[Value]>) -> Self {
        let many = (values.len() > FEW_MAX).then(|| Many { known: Known::of(&values), hash: hash(&values) });
        Self { values, many }
    }

    /// In the order of the list.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether one of them is equal to it. Null is in no list.
    pub fn has(&self, item: &Value) -> bool {
        let known = self.many.as_ref().and_then(|many| many.known.as_ref());
        match (known, item) {
            (_, Value::Null) => false,
            (Some(Known::Texts(texts)), Value::Text(text)) => texts.get(text).is_some(),
            (Some(Known::Exact(exact)), Value::Int(number)) => exact.whole.get(number).is_some(),
            (Some(Known::Exact(exact)), Value::Decimal(number)) => exact.has(*number),
            (Some(Known::Floats(floats)), Value::Float(number)) => floats.get(&bits(*number)).is_some(),
            (Some(Known::Durations(durations)), Value::Duration(span)) => durations.get(span).is_some(),
            _ => self.values.iter().any(|value| numbers::equal(item, value)),
        }
    }

    /// Whether it takes little time to find out, as it does unless the list is a curious one.
    pub fn is_quick(&self) -> bool {
        self.many.as_ref().is_none_or(|many| many.known.is_some())
    }
}

impl Known {
    fn of(values: &[Value]) -> Option<Self> {
        match values.first()? {
            Value::Text(_) => each(values, |value| if let Value::Text(text) = value { Some(text.clone()) } else { None }).map(Self::Texts),
            Value::Int(_) | Value::Decimal(_) => Exact::of(values).map(Self::Exact),
            Value::Float(_) => each(values, |value| if let Value::Float(number) = value { Some(bits(*number)) } else { None }).map(Self::Floats),
            Value::Duration(_) => each(values, |value| if let Value::Duration(span) = value { Some(*span) } else { None }).map(Self::Durations),
            Value::Null | Value::Bool(_) | Value::Timestamp(_) | Value::List(_) | Value::Record(_) => None,
        }
    }
}

fn each<K: Eq + std::hash::Hash>(values: &[Value], key: impl Fn(&Value) -> Option<K>) -> Option<Lookup<K, ()>> {
    let mut known = Lookup::default();
    for value in values {
        known.insert(key(value)?, ());
    }
    Some(known)
}

impl Exact {
    fn of(values: &[Value]) -> Option<Self> {
        let mut exact = Self::default();
        for value in values {
            let number = numbers::decimal(value)?;
            match whole(number) {
                Some(number) => exact.whole.insert(number, ()),
                None => exact.others.insert(number, ()),
            };
        }
        Some(exact)
    }

    fn has(&self, number: Decimal) -> bool {
        match whole(number) {
            Some(number) => self.whole.get(&number).is_some(),
            None => self.others.get(&number).is_some(),
        }
    }
}

/// As an int, if it is one.
fn whole(number: Decimal) -> Option<i64> {
    let number = number.normalize();
    (number.scale() == 0).then(|| i64::try_from(number.mantissa()).ok()).flatten()
}

/// The same for both zeros, which are equal. What else is, and finite, has the same bits.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// As other parts of expressions are, it is known by how it is spelled; many values are so by a hash of that, which is what makes the text short.
impl Debug for Among {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.many {
            Some(Many { hash, .. }) => write!(f, "[{} values, {hash:032x}]", self.values.len()),
            None => self.values.fmt(f),
        }
    }
}

fn hash(values: &[Value]) -> u128 {
    struct Hashed(Xxh3);
    impl Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut hashed = Hashed(Xxh3::new());
    write!(hashed, "{values:?}").expect("a hash takes all");
    hashed.0.digest128()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::pattern::{Expression, Scope};

    fn decimal(digits: i128, scale: u32) -> Value {
        Value::Decimal(Decimal::from_i128_with_scale(digits, scale))
    }

    /// Of all sorts, with neighbours that are equal across types, and some that nearly are.
    fn values() -> [Vec<Value>; 4] {
        let whole = [0, 1, -1, 2, 3, 7, 10, 100, 1 << 53, (1 << 53) + 1, (1 << 53) + 2, -(1 << 53) - 1, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1];
        let mut exact: Vec<Value> = whole.map(Value::Int).into();
        exact.extend(whole.iter().flat_map(|number| [0, 1, 2, 8].map(|scale| decimal(i128::from(*number) * 10_i128.pow(scale), scale))));
        exact.extend(whole.iter().flat_map(|number| [1, 2, 10, 28].map(|scale| decimal(i128::from(*number), scale))));
        exact.extend([1 << 63, (1 << 63) + 1, -(1 << 63) - 1, 1 << 64, (1 << 96) - 1, -(1 << 96) + 1].map(|digits| decimal(digits, 0)));
        exact.extend([decimal(10_i128.pow(28), 28), decimal(10_i128.pow(28) + 1, 28), decimal(1, 28), decimal(10, 28), decimal(15, 1), decimal(1_500, 3)]);
        exact.push(Value::Decimal(-Decimal::ZERO));
        let floats =
            [0.0, -0.0, 1.0, -1.0, 1.5, 0.1, 0.1 + 0.2, 0.3, 2.0, 1e300, -1e300, f64::MIN_POSITIVE, 5e-324, 9_007_199_254_740_992.0, 9_007_199_254_740_994.0];
        let texts = ["", "a", "A", "ab", "ä", "a\u{308}", "\0", "1", "a text of more than twenty-four bytes", "a text of more than twenty-four bytes."]
            .map(Value::text);
        let lists = [vec![], vec![Value::Null], vec![Value::Int(1)], vec![decimal(10, 1)], vec![Value::text("a")]].map(|values| Value::List(values.into()));
        let span = |micros| Value::Duration(TimeSpan::from_micros(micros));
        let time = |micros| Value::Timestamp(crate::event::EventTime::from_micros(micros));
        let mut others = vec![Value::Null, Value::Bool(true), Value::Bool(false), span(0), span(1), span(-1), time(0), time(1)];
        others.extend(lists);
        others.push(Value::Record([Value::Int(1)].into()));
        [exact, floats.map(Value::Float).into(), texts.into(), others]
    }

    fn asks(among: Among, item: &Value) -> bool {
        let among = Expression::Among { item: Box::new(Expression::Field([0].into())), among: Arc::new(among) };
        among.holds(&Scope::of_event(std::slice::from_ref(item).into(), &Cell::new(0)))
    }

    /// Whatever is in the list, of one sort or of several, and however many.
    #[test]
    fn what_is_found_among_values_is_what_is_equal_to_one_of_them() {
        let sorts = values();
        let all: Vec<&Value> = sorts.iter().flatten().collect();
        let random = &mut ChaCha8Rng::seed_from_u64(3);
        let (mut found, mut known) = (0, 0);
        for round in 0..1_500 {
            let sort = sorts.choose(random).expect("some").iter().collect();
            let of: &Vec<&Value> = if round % 4 == 0 { &all } else { &sort };
            let values: Arc<[Value]> = (0..random.random_range(0..40)).map(|_| (*of.choose(random).expect("some")).clone()).collect();
            let among = Among::of(values.clone());
            known += usize::from(among.many.as_ref().is_some_and(|many| many.known.is_some()));
            for item in &all {
                let is_in = values.iter().any(|value| numbers::equal(item, value));
                assert_eq!(among.has(item), is_in, "{item:?} in {values:?}");
                found += usize::from(is_in);
            }
            let item = all.choose(random).expect("some");
            assert_eq!(asks(Among::of(values.clone()), item), values.iter().any(|value| numbers::equal(item, value)));
        }
        assert!(found > 10_000 && known > 500, "{found} found, {known} lists that are known");
    }

    #[test]
    fn every_value_of_a_long_list_is_in_it() {
        for sort in values() {
            let among = Among::of(sort.clone().into());
            assert!(sort.iter().all(|value| among.has(value) != value.is_null()), "{sort:?}");
        }
    }

    #[test]
    fn lists_are_told_apart_by_how_they_are_spelled() {
        let spelled = |values: &[Value]| format!("{:?}", Among::of(values.into()));
        let ints = |numbers: std::ops::Range<i64>| numbers.map(Value::Int).collect::<Vec<_>>();
        assert_eq!(spelled(&ints(0..2)), "[Int(0), Int(1)]");
        assert_eq!(spelled(&ints(0..100)), spelled(&ints(0..100)));
        let mut other = ints(0..100);
        other.swap(98, 99);
        let decimals: Vec<Value> = (0..100).map(|number| decimal(number, 0)).collect();
        let different = [spelled(&ints(0..100)), spelled(&ints(0..101)), spelled(&ints(1..101)), spelled(&other), spelled(&decimals)];
        assert!(different.iter().enumerate().all(|(place, one)| !different[..place].contains(one)), "{different:?}");
        assert!(different.iter().all(|spelled| spelled.len() < 60), "{different:?}");
    }
}
