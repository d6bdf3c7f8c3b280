//! The values of an event's fields: all of them, or those that are kept.
//!
//! An event that waits for others keeps what they, or the match, may still ask it for, and no more: of a payment of thirty fields a rule looks back at two or three. Fields keep their numbers, the places
//! that the stream declares them at; which of them are there is told by a bit each ([`Kept`]), and where by the bits before it.

use crate::event::Value;

/// Which of a stream's fields an event keeps: of the first 64 a bit each; of the others all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept(u64);

impl Kept {
    pub const ALL: Self = Self(u64::MAX);

    /// None of the first 64.
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn with(self, field: usize) -> Self {
        Self(self.0 | if field < u64::BITS as usize { 1 << field } else { 0 })
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same of a stream with so many fields: all, if it is all of them.
    #[must_use]
    pub fn of_fields(self, fields: usize) -> Self {
        Self(self.0 | u64::MAX.checked_shl(u32::try_from(fields).unwrap_or(u32::MAX)).unwrap_or(0))
    }

    /// How many of the first so many fields.
    pub(super) fn of_first(self, fields: usize) -> usize {
        fields - self.left_out_before(fields)
    }

    /// Where the fields that are kept stand in the stream: to be asked for one after the other, counted from 0.
    #[inline]
    pub(super) fn places(self) -> impl FnMut(usize) -> usize {
        let (mut left, left_out) = (self.0, self.left_out_before(u64::BITS as usize));
        move |number| {
            let next = left.trailing_zeros() as usize;
            let is_told = left != 0;
            left &= left.wrapping_sub(1);
            if is_told { next } else { number + left_out }
        }
    }

    pub fn has(self, field: usize) -> bool {
        field >= u64::BITS as usize || self.0 >> field & 1 == 1
    }

    /// Of how many fields before this one there is no value.
    #[inline]
    fn left_out_before(self, field: usize) -> usize {
        let before = if field >= u64::BITS as usize { u64::MAX } else { (1 << field) - 1 };
        (!self.0 & before).count_ones() as usize
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::ALL
    }
}

/// Values of fields, found by the fields' places in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    values: &'a [Value],
    kept: Kept,
}

impl<'a> Fields<'a> {
    pub(super) fn new(values: &'a [Value], kept: Kept) -> Self {
        Self { values, kept }
    }

    /// Of a field that is kept.
    #[inline]
    pub fn at(self, field: usize) -> &'a Value {
        if self.kept == Kept::ALL {
            return &self.values[field];
        }
        assert!(self.kept.has(field), "a field that an event is asked for is kept");
        &self.values[field - self.kept.left_out_before(field)]
    }

    /// As many as the stream declares.
    pub fn len(self) -> usize {
        self.values.len() + self.kept.left_out_before(u64::BITS as usize)
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// In the order in which the stream declares them; null where a field is not kept.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a Value> {
        (0..self.len()).map(move |field| if self.kept.has(field) { self.at(field) } else { &Value::Null })
    }
}

/// All of them.
impl<'a> From<&'a [Value]> for Fields<'a> {
    fn from(values: &'a [Value]) -> Self {
        Self::new(values, Kept::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_numbers_whichever_are_left_out() {
        for width in [1, 3, 12, 63, 64, 65, 100] {
            for every in [1, 2, 3, 7, 64] {
                let asked_for: Vec<bool> = (0..width).map(|field| field % every == 0).collect();
                let kept = (0..width).filter(|field| asked_for[*field]).fold(Kept::NONE, Kept::with).of_fields(width);
                let number = |field: usize| Value::Int(i64::try_from(field).expect("small"));
                let is_kept = |field: &usize| asked_for[*field] || *field >= 64;
                let values: Vec<Value> = (0..width).filter(is_kept).map(number).collect();
                let fields = Fields::new(&values, kept);
                let shown = (0..width).map(|field| if is_kept(&field) { number(field) } else { Value::Null });
                assert!(fields.iter().eq(shown.collect::<Vec<_>>().iter()), "each {every}. of {width}");
                assert!((0..width).filter(is_kept).all(|field| *fields.at(field) == number(field)));
                assert_eq!((fields.len(), kept == Kept::ALL), (width, (0..width).all(|field| is_kept(&field))));
            }
        }
    }
}
