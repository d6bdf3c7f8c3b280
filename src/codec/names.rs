//! The places of fields, by their names.

use crate::codec::shape::FieldPlace;
use crate::event::{Field, Lookup, Type};

/// Among so few fields a name is found sooner by comparing it with each.
const FEW: usize = 8;

/// Of a stream or a record, and of the records in it. Made once; then a name is found at about the same cost however many fields there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Empty where there are few.
    places: Lookup<Box<str>, usize>,
    /// By field: of the record that it is or lists; else of none.
    inside: Box<[Names]>,
}

impl Names {
    pub(super) fn of_fields(fields: &[Field]) -> Self {
        let mut places = Lookup::default();
        for (place, field) in fields.iter().enumerate().filter(|_| fields.len() > FEW) {
            places.insert(field.name.as_str().into(), place);
        }
        Self { places, inside: fields.iter().map(|field| Self::of_type(&field.r#type)).collect() }
    }

    fn of_type(r#type: &Type) -> Self {
        match r#type {
            Type::Record(fields) => Self::of_fields(fields),
            Type::List(element) => Self::of_type(element),
            Type::Bool | Type::Int | Type::Float | Type::Decimal | Type::String | Type::Timestamp | Type::Duration => Self::default(),
        }
    }

    /// `fields`: those that the names were made of.
    #[inline]
    pub(super) fn find(&self, fields: &[Field], name: &str) -> FieldPlace {
        if fields.len() <= FEW { fields.iter().position(|field| field.name == name) } else { self.places.get(name).copied() }
    }

    /// Those in the type of this field.
    pub(super) fn inside(&self, place: usize) -> &Self {
        &self.inside[place]
    }
}
