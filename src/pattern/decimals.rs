//! Arithmetic of decimals: of at most 28 digits, 28 of them after the point at most, and so below 10^28.
//!
//! A result is the exact one, rounded once, half to even, to what has so many digits and places; `None`: it is too large, or divides by zero. `rust_decimal` holds 96 bits,
//! which is more than 28 digits and fewer than 29, and rounds to that: what it gives is taken where nothing was rounded, as most sums and products are of few digits, and
//! everything else is made from the digits here, since what is rounded twice may be rounded wrongly.
//!
//! Operands may have all of the 96 bits: state of before results were rounded to 28 digits has such numbers.

use std::cmp::Ordering;

use rust_decimal::Decimal;

/// Significant digits, and places after the point, at most.
const DIGITS_MAX: u32 = 28;
/// Digits, as a whole number, are below this.
pub const DECIMAL_END: u128 = 10_u128.pow(DIGITS_MAX);

/// Whether it has no more digits than a decimal may have.
#[inline]
pub fn fits_decimal(number: Decimal) -> bool {
    number.mantissa().unsigned_abs() < DECIMAL_END
}

pub(super) fn add(left: Decimal, right: Decimal) -> Option<Decimal> {
    match left.checked_add(right) {
        Some(sum) if sum.scale() == left.scale().max(right.scale()) && fits_decimal(sum) => Some(sum),
        _ => long_sum(left, right),
    }
}

pub(super) fn subtract(left: Decimal, right: Decimal) -> Option<Decimal> {
    match left.checked_sub(right) {
        Some(sum) if sum.scale() == left.scale().max(right.scale()) && fits_decimal(sum) => Some(sum),
        _ => long_sum(left, if right.is_zero() { right } else { -right }),
    }
}

pub(super) fn multiply(left: Decimal, right: Decimal) -> Option<Decimal> {
    match left.checked_mul(right) {
        Some(product) if product.scale() == left.scale() + right.scale() && fits_decimal(product) => Some(product),
        _ => product(left, right, DIGITS_MAX),
    }
}

pub(super) fn divide(left: Decimal, right: Decimal) -> Option<Decimal> {
    quotient(left, right, DIGITS_MAX)
}

/// With the sign of what is divided. It is never rounded: it has the places of one of them, and no more digits than that one.
pub(super) fn remainder(left: Decimal, right: Decimal) -> Option<Decimal> {
    let (dividend, divisor) = (digits(left), digits(right));
    if divisor == 0 {
        return None;
    }
    let rest = match left.abs().cmp(&right.abs()) {
        Ordering::Less => return long_sum(left, Decimal::ZERO),
        Ordering::Equal => return Some(Decimal::ZERO),
        Ordering::Greater if left.scale() >= right.scale() => dividend % (divisor * 10_u128.pow(left.scale() - right.scale())),
        Ordering::Greater => {
            let mut places = right.scale() - left.scale();
            let mut rest = dividend % divisor;
            while places > 0 {
                // What is left of 96 bits fits into 128 with so many digits more.
                let step = places.min(9);
                rest = rest * 10_u128.pow(step) % divisor;
                places -= step;
            }
            rest
        }
    };
    rounded(left.is_sign_negative(), Long::of(rest), left.scale().max(right.scale()), DIGITS_MAX)
}

/// As [`multiply`], to the nearest whole number.
pub(super) fn multiply_to_whole(left: Decimal, right: Decimal) -> Option<Decimal> {
    product(left, right, 0)
}

/// As [`divide`], to the nearest whole number.
pub(super) fn divide_to_whole(left: Decimal, right: Decimal) -> Option<Decimal> {
    quotient(left, right, 0)
}

/// The digits that the float is written with, which are the fewest that read as it.
pub(super) fn of_float(number: f64) -> Option<Decimal> {
    let text = format!("{:e}", number.abs());
    let (digits, exponent) = text.split_once('e')?;
    let (first, others) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: u128 = format!("{first}{others}").parse().ok()?;
    let scale = i32::try_from(others.len()).ok()? - exponent.parse::<i32>().ok()?;
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    match u32::try_from(scale) {
        Ok(scale) => rounded(number < 0.0, Long::of(mantissa), scale, DIGITS_MAX),
        Err(_) => {
            let whole = power(scale.unsigned_abs()).and_then(|power| mantissa.checked_mul(power))?;
            rounded(number < 0.0, Long::of(whole), 0, DIGITS_MAX)
        }
    }
}

/// The nearest float.
pub(super) fn to_float(number: Decimal) -> Option<f64> {
    /// Each is a float exactly.
    const POWERS: [f64; 23] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];
    const EXACT_MAX: u64 = 1 << 53;
    let mantissa = i64::try_from(number.mantissa()).ok().filter(|mantissa| mantissa.unsigned_abs() <= EXACT_MAX);
    match mantissa.zip(POWERS.get(number.scale() as usize)) {
        // Both are floats exactly, and their quotient is rounded once.
        Some((mantissa, power)) => Some(mantissa as f64 / power),
        None => number.to_string().parse().ok(),
    }
}

/// Of what is not zero, whichever digits it has; what is added to zero stays as it is.
fn long_sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    if left.is_zero() || right.is_zero() {
        let other = if left.is_zero() { right } else { left };
        return if fits_decimal(other) { Some(other) } else { rounded(other.is_sign_negative(), Long::of(digits(other)), other.scale(), DIGITS_MAX) };
    }
    let scale = left.scale().max(right.scale());
    let in_units = |number: Decimal| Long::raised(digits(number), scale - number.scale());
    let ((left_below, left), (right_below, right)) = ((left.is_sign_negative(), in_units(left)), (right.is_sign_negative(), in_units(right)));
    let (below, sum) = match left.cmp(&right) {
        _ if left_below == right_below => (left_below, left.plus(right)),
        Ordering::Less => (right_below, right.minus(left)),
        Ordering::Equal | Ordering::Greater => (left_below, left.minus(right)),
    };
    rounded(below, sum, scale, DIGITS_MAX)
}

fn product(left: Decimal, right: Decimal, places_max: u32) -> Option<Decimal> {
    if left.is_zero() || right.is_zero() {
        return Some(Decimal::ZERO);
    }
    let is_negative = left.is_sign_negative() != right.is_sign_negative();
    rounded(is_negative, Long::product(digits(left), digits(right)), left.scale() + right.scale(), places_max)
}

/// As one divides on paper, but many digits at a time. A quotient has as many places as the dividend has more than the divisor, or, where it takes more, as it takes.
fn quotient(left: Decimal, right: Decimal, places_max: u32) -> Option<Decimal> {
    let (dividend, divisor) = (digits(left), digits(right));
    if divisor == 0 {
        return None;
    }
    if dividend == 0 {
        return Some(Decimal::ZERO);
    }
    let is_negative = left.is_sign_negative() != right.is_sign_negative();
    // So many digits of the quotient come at a time, that the rest with as many more fits into 128 bits.
    let at_a_time = if divisor >> 64 == 0 { 19 } else { 9 };
    let mut places = left.scale().cast_signed() - right.scale().cast_signed();
    let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
    let is_whole = rest == 0 && places >= 0;
    loop {
        let known = digit_count(quotient);
        let wanted = if places < 0 {
            let wanted = places.unsigned_abs();
            // The whole part alone has more digits than there may be.
            if quotient > 0 && known + wanted > DIGITS_MAX {
                return None;
            }
            wanted
        } else if rest == 0 {
            break;
        } else {
            // One more than there will be.
            (DIGITS_MAX + 1).saturating_sub(known).min((places_max + 1).saturating_sub(places.unsigned_abs()))
        };
        if wanted == 0 {
            break;
        }
        let step = wanted.min(at_a_time);
        let power = power(step)?;
        rest *= power;
        quotient = quotient * power + rest / divisor;
        rest %= divisor;
        places += step.cast_signed();
    }
    if rest > 0 {
        // A digit that says that more would follow, at a place after the last that can decide how it is rounded.
        quotient = quotient * 10 + 1;
        places += 1;
    }
    let rounded = rounded(is_negative, Long::of(quotient), u32::try_from(places).ok()?, places_max)?;
    Some(if is_whole { rounded } else { rounded.normalize() })
}

/// `digits` over 10^`scale`.
fn rounded(is_negative: bool, digits: Long, scale: u32, places_max: u32) -> Option<Decimal> {
    let mut cut = digits.count().saturating_sub(DIGITS_MAX).max(scale.saturating_sub(places_max));
    let mut kept = digits.without_last(cut);
    if kept == DECIMAL_END {
        kept /= 10;
        cut += 1;
    }
    // More is cut than there are places: the whole part has too many digits.
    let scale = scale.checked_sub(cut)?;
    Some(Decimal::from_parts(kept as u32, (kept >> 32) as u32, (kept >> 64) as u32, is_negative, scale))
}

/// `high` times 10^28 and `low`, which is less than that where there is a `high`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Long {
    high: u128,
    low: u128,
}

impl Long {
    fn of(low: u128) -> Self {
        Self { high: 0, low }
    }

    /// Times 10^`places`; of 96 bits, and at most 28.
    fn raised(number: u128, places: u32) -> Self {
        let (above, below) = (10_u128.pow(DIGITS_MAX - places), 10_u128.pow(places));
        Self { high: number / above, low: number % above * below }
    }

    /// Of 96 bits each. Multiplied by halves, as one does by digits on paper.
    fn product(left: u128, right: u128) -> Self {
        const HALF: u128 = 10_u128.pow(DIGITS_MAX / 2);
        if let (Ok(left), Ok(right)) = (u64::try_from(left), u64::try_from(right)) {
            let product = u128::from(left) * u128::from(right);
            return Self { high: product / DECIMAL_END, low: product % DECIMAL_END };
        }
        let ([left_high, left_low], [right_high, right_low]) = ([left / HALF, left % HALF], [right / HALF, right % HALF]);
        let middle = left_high * right_low + left_low * right_high;
        let low = middle % HALF * HALF + left_low * right_low;
        Self { high: left_high * right_high + middle / HALF + low / DECIMAL_END, low: low % DECIMAL_END }
    }

    fn plus(self, other: Self) -> Self {
        let low = self.low + other.low;
        Self { high: self.high + other.high + low / DECIMAL_END, low: low % DECIMAL_END }
    }

    /// Of one that is no more.
    fn minus(self, other: Self) -> Self {
        if self.low < other.low {
            Self { high: self.high - other.high - 1, low: self.low + DECIMAL_END - other.low }
        } else {
            Self { high: self.high - other.high, low: self.low - other.low }
        }
    }

    fn count(self) -> u32 {
        if self.high > 0 { digit_count(self.high) + DIGITS_MAX } else { digit_count(self.low) }
    }

    /// Rounded half to even, where 28 digits at most are left.
    fn without_last(self, cut: u32) -> u128 {
        if cut == 0 {
            return self.low;
        }
        // Of the number whose last digits are cut: what is left, what is cut, and whether there was more after that.
        let parts = if self.high == 0 {
            power(cut).map(|unit| (self.low / unit, self.low % unit, unit, false))
        } else if cut <= DIGITS_MAX {
            power(cut).map(|unit| (self.high * 10_u128.pow(DIGITS_MAX - cut) + self.low / unit, self.low % unit, unit, false))
        } else {
            power(cut - DIGITS_MAX).map(|unit| (self.high / unit, self.high % unit, unit, self.low > 0))
        };
        // Without such a power of ten among 128 bits, it is less than half of it.
        let Some((left, rest, unit, has_more)) = parts else { return 0 };
        let rounds_up = match (rest * 2).cmp(&unit) {
            Ordering::Less => false,
            Ordering::Equal => has_more || left % 2 == 1,
            Ordering::Greater => true,
        };
        left + u128::from(rounds_up)
    }
}

fn digits(number: Decimal) -> u128 {
    number.mantissa().unsigned_abs()
}

fn digit_count(number: u128) -> u32 {
    number.checked_ilog10().map_or(0, |last| last + 1)
}

/// `None`: it has more than 128 bits.
fn power(exponent: u32) -> Option<u128> {
    10_u128.checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Whole numbers of any size, digit by digit, the lowest first and none of them a leading zero.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Big(Vec<u8>);

    impl Big {
        fn of(number: u128) -> Self {
            Self::trimmed(number.to_string().bytes().rev().map(|digit| digit - b'0').collect())
        }

        fn trimmed(mut digits: Vec<u8>) -> Self {
            while digits.last() == Some(&0) {
                digits.pop();
            }
            Self(digits)
        }

        fn at(&self, place: usize) -> u8 {
            self.0.get(place).copied().unwrap_or(0)
        }

        fn raised(&self, places: u32) -> Self {
            Self::trimmed([vec![0; places as usize], self.0.clone()].concat())
        }

        fn plus(&self, other: &Self) -> Self {
            let mut carry = 0;
            let digits = (0..=self.0.len().max(other.0.len())).map(|place| {
                let sum = self.at(place) + other.at(place) + carry;
                carry = sum / 10;
                sum % 10
            });
            Self::trimmed(digits.collect())
        }

        fn minus(&self, other: &Self) -> Self {
            let mut borrowed = 0;
            let digits = (0..self.0.len()).map(|place| {
                let taken = other.at(place) + borrowed;
                borrowed = u8::from(self.at(place) < taken);
                self.at(place) + borrowed * 10 - taken
            });
            Self::trimmed(digits.collect())
        }

        fn apart(&self, other: &Self) -> Self {
            if self < other { other.minus(self) } else { self.minus(other) }
        }

        fn times(&self, other: &Self) -> Self {
            other.0.iter().rev().fold(Self(Vec::new()), |product, digit| (0..*digit).fold(product.raised(1), |sum, _| sum.plus(self)))
        }

        fn modulo(&self, divisor: &Self) -> Self {
            self.0.iter().rev().fold(Self(Vec::new()), |rest, digit| {
                let mut rest = rest.raised(1).plus(&Self::of(u128::from(*digit)));
                while rest >= *divisor {
                    rest = rest.minus(divisor);
                }
                rest
            })
        }
    }

    impl PartialOrd for Big {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Big {
        fn cmp(&self, other: &Self) -> Ordering {
            self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
        }
    }

    /// What is asked for exactly, without its sign: a whole number over another.
    fn exact(sign: char, left: Decimal, right: Decimal) -> (bool, Big, Big) {
        let negated = if sign == '-' { -right } else { right };
        let (one, other) = (Big::of(digits(left)), Big::of(digits(right)));
        let (left_below, right_below) = (left.is_sign_negative(), negated.is_sign_negative());
        let unit = |scale: u32| Big::of(1).raised(scale);
        match sign {
            '+' | '-' => {
                let (one, other) = (one.raised(right.scale()), other.raised(left.scale()));
                let below = if one < other { right_below } else { left_below };
                let sum = if left_below == right_below { one.plus(&other) } else { one.apart(&other) };
                (below, sum, unit(left.scale() + right.scale()))
            }
            '*' => (left_below != right_below, one.times(&other), unit(left.scale() + right.scale())),
            '/' => (left_below != right_below, one.raised(right.scale()), other.raised(left.scale())),
            _ => (left_below, one.raised(right.scale()).modulo(&other.raised(left.scale())), unit(left.scale() + right.scale())),
        }
    }

    /// That it is the exact one, rounded once.
    fn assert_rounded(found: Option<Decimal>, (is_negative, dividend, divisor): &(bool, Big, Big), asked: &str) {
        let Some(found) = found else {
            // Half a unit below the first number of 29 digits.
            let limit = Big::of(2 * DECIMAL_END - 1).times(divisor);
            assert!(dividend.times(&Big::of(2)) >= limit, "{asked} has a result");
            return;
        };
        assert!(fits_decimal(found) && (found.is_zero() || found.is_sign_negative() == *is_negative), "{asked} is not {found}");
        // In the least units that there may be of such a number; what is less than the least of 28 digits has less.
        let (mut mantissa, mut scale) = (digits(found), found.scale());
        while scale < DIGITS_MAX && (mantissa < DECIMAL_END / 10 || mantissa == DECIMAL_END / 10 && dividend.raised(scale) < Big::of(mantissa).times(divisor)) {
            (mantissa, scale) = (mantissa * 10, scale + 1);
        }
        let twice_off = dividend.raised(scale).apart(&Big::of(mantissa).times(divisor)).times(&Big::of(2));
        match twice_off.cmp(divisor) {
            Ordering::Less => {}
            Ordering::Equal => assert_eq!(mantissa % 2, 0, "{asked} is half a unit from {found}"),
            Ordering::Greater => panic!("{asked} is more than half a unit from {found}"),
        }
    }

    fn number(random: &mut ChaCha8Rng) -> Decimal {
        let count = random.random_range(1..=28);
        let end = 10_i128.pow(count);
        let mantissa = match random.random_range(0..8) {
            0 => end - random.random_range(1..=3).min(end),
            1 => end / 10 + random.random_range(0..=2),
            2 => end / 2 + random.random_range(-1..=1),
            3 => random.random_range(0..=20),
            4 => random.random_range(0..1 << 62) & !((1 << 40) - 1),
            _ => random.random_range(0..end),
        };
        let scale = if random.random() { random.random_range(0..=28) } else { random.random_range(0..=4) };
        let mut number = Decimal::from_i128_with_scale(mantissa, scale);
        number.set_sign_negative(random.random() && mantissa != 0);
        number
    }

    type Operation = fn(Decimal, Decimal) -> Option<Decimal>;
    const OPERATIONS: [(char, Operation, Operation); 5] = [
        ('+', add, |left, right| left.checked_add(right)),
        ('-', subtract, |left, right| left.checked_sub(right)),
        ('*', multiply, |left, right| left.checked_mul(right)),
        ('/', divide, |left, right| left.checked_div(right)),
        ('%', remainder, |left, right| left.checked_rem(right)),
    ];

    #[test]
    fn results_are_the_exact_ones_rounded_once() {
        let random = &mut ChaCha8Rng::seed_from_u64(11);
        for _ in 0..6_000 {
            let (left, right) = (number(random), number(random));
            for (sign, operation, _) in OPERATIONS {
                if right.is_zero() && matches!(sign, '/' | '%') {
                    assert_eq!(operation(left, right), None);
                } else {
                    assert_rounded(operation(left, right), &exact(sign, left, right), &format!("{left} {sign} {right}"));
                }
            }
        }
    }

    /// Of how many places a result has, which are seen in what is emitted: a quotient has no zeros at its end that it need not have.
    #[test]
    fn results_that_need_no_rounding_are_spelt_as_the_library_spells_them() {
        let random = &mut ChaCha8Rng::seed_from_u64(12);
        let mut seen = 0;
        for _ in 0..5_000 {
            let (left, right) = (number(random), number(random));
            for (sign, operation, of_library) in OPERATIONS {
                let Some(known) = of_library(left, right).filter(|known| fits_decimal(*known)) else { continue };
                let (_, dividend, divisor) = exact(sign, left, right);
                if dividend.raised(known.scale()) != Big::of(digits(known)).times(&divisor) {
                    continue;
                }
                seen += 1;
                let found = operation(left, right).expect("a result");
                let places =
                    if sign == '/' && !known.is_zero() { known.normalize().scale().max(left.scale().saturating_sub(right.scale())) } else { known.scale() };
                assert_eq!((found, found.scale()), (known, places), "{left} {sign} {right}");
            }
        }
        assert!(seen > 5_000, "{seen}");
    }
    #[test]
    fn small_results_have_28_places_and_large_ones_28_digits() {
        let number = |text: &str| text.parse::<Decimal>().expect("a number");
        let table = [
            ("1", '/', "3", Some("0.3333333333333333333333333333")),
            ("10", '/', "7", Some("1.428571428571428571428571429")),
            ("1", '/', "2", Some("0.5")),
            ("100.00", '/', "8", Some("12.50")),
            ("-7", '/', "4611686018427387904", Some("-0.0000000000000000015178830415")),
            ("0.0000000000000000000000000001", '*', "0.5", Some("0.0000000000000000000000000000")),
            ("0.0000000000000000000000000003", '*', "0.5", Some("0.0000000000000000000000000002")),
            ("9999999999999999999999999999", '+', "0.4", Some("9999999999999999999999999999")),
            ("9999999999999999999999999999", '+', "0.5", None),
            ("-9999999999999999999999999999", '-', "1", None),
            ("9999999999999999999999999.999", '+', "0.0005", Some("10000000000000000000000000.00")),
            ("5000000000000000000000000000", '*', "2", None),
            ("1", '/', "0.0000000000000000000000000001", None),
            ("-104816663378211635.2", '%', "0.0050000000000000000000001", Some("-0.0049979036667324357672961")),
            // What has more digits than there are now.
            ("79228162514264337593543950335", '+', "0", None),
            ("7.9228162514264337593543950335", '+', "0.000", Some("7.922816251426433759354395034")),
            ("0", '-', "7.9228162514264337593543950335", Some("-7.922816251426433759354395034")),
        ];
        for (left, sign, right, result) in table {
            let (_, operation, _) = OPERATIONS[OPERATIONS.iter().position(|(of, ..)| *of == sign).expect("an operation")];
            let found = operation(number(left), number(right)).map(|found| found.to_string());
            assert_eq!(found.as_deref(), result, "{left} {sign} {right}");
        }
    }

    #[test]
    fn nothing_is_rounded_before_it_is_rounded_to_a_whole_number() {
        let number = |text: &str| text.parse::<Decimal>().expect("a number");
        // 10^-28 more than 185866.5.
        assert_eq!(multiply_to_whole(number("999979"), number("0.1858704032784688478458047619")), Some(number("185867")));
        assert_eq!(multiply_to_whole(number("371733"), number("0.5")), Some(number("185866")));
        let random = &mut ChaCha8Rng::seed_from_u64(13);
        for _ in 0..5_000 {
            let (whole, other) = (Decimal::from(random.random::<i64>() >> random.random_range(0..63)), super::tests::number(random));
            for (sign, found) in [('*', multiply_to_whole(whole, other)), ('/', divide_to_whole(whole, other))] {
                if let Some(found) = found {
                    let (_, dividend, divisor) = exact(sign, whole, other);
                    let twice_off = dividend.apart(&Big::of(digits(found)).times(&divisor)).times(&Big::of(2));
                    assert!(
                        found.scale() == 0 && (twice_off < divisor || twice_off == divisor && digits(found).is_multiple_of(2)),
                        "{whole} {sign} {other} is not {found}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_float_becomes_the_digits_it_is_written_with() {
        let table = [
            (0.0, Some("0")),
            (-0.0, Some("0")),
            (1.0, Some("1")),
            (-1500.0, Some("-1500")),
            (0.1, Some("0.1")),
            (98_776_654_020_639.05, Some("98776654020639.05")),
            (8_629_660_109.041_504, Some("8629660109.041504")),
            (1e27, Some("1000000000000000000000000000")),
            (1e28, None),
            (-f64::MAX, None),
            (1.5e-28, Some("0.0000000000000000000000000002")),
            (2.5e-28, Some("0.0000000000000000000000000002")),
            (5e-324, Some("0.0000000000000000000000000000")),
        ];
        for (float, text) in table {
            assert_eq!(of_float(float).map(|number| number.to_string()).as_deref(), text, "{float}");
        }
        // There and back nothing is lost, where the digits have a place.
        let random = &mut ChaCha8Rng::seed_from_u64(14);
        for _ in 0..50_000 {
            let float = random.random_range(-1e17..1e17) / 10_f64.powi(random.random_range(0..27));
            let back = of_float(float).filter(|number| number.scale() < DIGITS_MAX).map(|number| to_float(number).expect("a float"));
            assert!(back.is_none_or(|back| back == float), "{float} comes back as {back:?}");
        }
    }

    #[test]
    fn a_decimal_becomes_the_nearest_float() {
        let random = &mut ChaCha8Rng::seed_from_u64(15);
        let known = ["91488312614955.83", "9007199254740993", "9007199254740992.5", "0.3", "-0.00", "0.0000000000000000000000000001"];
        let known = known.map(|text| text.parse().expect("a number"));
        for number in known.into_iter().chain((0..100_000).map(|_| number(random))) {
            // As the text is read, which is to the nearest.
            assert_eq!(to_float(number), number.to_string().parse().ok(), "{number}");
        }
    }
}
