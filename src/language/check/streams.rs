//! Streams: their fields, their types, and which field is the time.

use std::collections::BTreeMap;

use crate::event::{self, TimeSpan, Type};
use crate::language::ast::{self, Name, TypeKind};
use crate::language::check::declarations::{ONE_OF_THEM, twice};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::spelling::listed;

/// Fields of one stream or record: numbered by 16 bits.
const FIELDS_MAX: usize = 10_000;

const TYPES: [(&str, Type); 7] = [
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("float", Type::Float),
    ("decimal", Type::Decimal),
    ("string", Type::String),
    ("timestamp", Type::Timestamp),
    ("duration", Type::Duration),
];

/// What other languages call them.
const FOREIGN_TYPES: [(&str, &str); 17] = [
    ("str", "string"),
    ("text", "string"),
    ("varchar", "string"),
    ("boolean", "bool"),
    ("integer", "int"),
    ("int32", "int"),
    ("int64", "int"),
    ("long", "int"),
    ("bigint", "int"),
    ("double", "float"),
    ("float64", "float"),
    ("real", "float"),
    ("number", "decimal"),
    ("numeric", "decimal"),
    ("datetime", "timestamp"),
    ("time", "timestamp"),
    ("interval", "duration"),
];

/// A stream as declared.
pub(super) struct Stream<'a> {
    pub name: &'a Name,
    pub fields: Vec<Field<'a>>,
    /// Of the fields, by their names.
    places: BTreeMap<&'a str, u16>,
    time_field: Option<usize>,
    lateness: Option<TimeSpan>,
}

pub(super) struct Field<'a> {
    pub name: &'a Name,
    /// [`Kind::Unknown`] where there is something wrong with its type.
    pub kind: Kind,
    pub nullable: bool,
}

impl<'a> Stream<'a> {
    /// The place of a field; its number fits 16 bits.
    pub(super) fn field(&self, name: &str) -> Option<(u16, &Field<'a>)> {
        let place = *self.places.get(name)?;
        Some((place, &self.fields[usize::from(place)]))
    }

    pub(super) fn time_field(&self) -> Option<usize> {
        self.time_field
    }

    /// Something is wrong with the type of a field, which has been said.
    pub(super) fn has_unknown_type(&self) -> bool {
        self.fields.iter().any(|field| field.kind.is_unknown())
    }

    /// As the engine knows it.
    pub(super) fn typed(&self) -> event::Stream {
        let field = |field: &Field<'_>| event::Field { name: field.name.node.clone(), r#type: field.kind.settled(), nullable: field.nullable };
        event::Stream { name: self.name.node.clone(), fields: self.fields.iter().map(field).collect(), time_field: self.time_field, lateness: self.lateness }
    }
}

pub(super) fn declared<'a>(stream: &'a ast::Stream, findings: &mut Findings) -> Stream<'a> {
    let fields = different(&stream.fields, findings);
    let places = fields.iter().map(|field| field.name.node.as_str()).zip(0..).collect();
    let fields = fields.into_iter().map(|field| {
        let kind = r#type(&field.r#type, findings).map_or(Kind::Unknown, |r#type| Kind::of(&r#type));
        Field { name: &field.name, kind, nullable: field.nullable }
    });
    let mut declared = Stream { name: &stream.name, fields: fields.collect(), places, time_field: None, lateness: None };
    if let Some(time) = stream.times.first() {
        declared.time_field = time_field(&declared, &time.field, findings);
        declared.lateness = time.late_after.map(|late_after| late_after.node);
        for again in &stream.times[1..] {
            let diagnostic = Diagnostic::new(Code::RepeatedClause, again.span, "a stream has one `time`", "here again");
            findings.add(diagnostic.also(time.span, "first here").help(ONE_OF_THEM));
        }
    }
    declared
}

/// The fields, without those whose name stands already.
fn different<'a>(fields: &'a [ast::Field], findings: &mut Findings) -> Vec<&'a ast::Field> {
    let mut first: BTreeMap<&str, &Name> = BTreeMap::new();
    let mut kept = Vec::new();
    for field in fields {
        if let Some(known) = first.get(field.name.node.as_str()) {
            findings.add(twice(&field.name.node, field.name.span, known.span));
            continue;
        }
        first.insert(&field.name.node, &field.name);
        kept.push(field);
    }
    if let Some(field) = kept.get(FIELDS_MAX) {
        findings.add(
            Diagnostic::new(Code::TooMany, field.name.span, format!("more than {FIELDS_MAX} fields"), "one too many")
                .help("declare only those that patterns name"),
        );
        kept.truncate(FIELDS_MAX);
    }
    kept
}

/// `None` if something is wrong with it, which is then said.
fn r#type(written: &ast::Type, findings: &mut Findings) -> Option<Type> {
    match &written.kind {
        TypeKind::List(element) => r#type(element, findings).map(|element| Type::List(Box::new(element))),
        TypeKind::Record(fields) => {
            let fields = different(fields, findings).into_iter().map(|field| {
                let r#type = r#type(&field.r#type, findings)?;
                Some(event::Field { name: field.name.node.clone(), r#type, nullable: field.nullable })
            });
            // All of them first, so that all that is wrong is said.
            let fields: Vec<Option<event::Field>> = fields.collect();
            fields.into_iter().collect::<Option<Vec<_>>>().map(Type::Record)
        }
        TypeKind::Named(name) => {
            let known = TYPES.iter().find(|(ours, _)| ours == name).map(|(_, r#type)| r#type.clone());
            if known.is_none() {
                let diagnostic = unknown_type(name, written, findings);
                findings.add(diagnostic);
            }
            known
        }
    }
}

fn unknown_type(name: &str, written: &ast::Type, findings: &Findings) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownType, written.span, format!("unknown type `{name}`"), "not a type");
    let small = name.to_ascii_lowercase();
    if let Some((_, ours)) = FOREIGN_TYPES.iter().find(|(theirs, _)| *theirs == small) {
        return diagnostic.help(format!("write `{ours}`"));
    }
    diagnostic.help_nearest(findings, name, TYPES.iter().map(|(ours, _)| *ours), || {
        "types are bool, int, float, decimal, string, timestamp, duration, `list of T`, `{ field: T }`".to_owned()
    })
}

fn time_field(stream: &Stream<'_>, name: &Name, findings: &mut Findings) -> Option<usize> {
    let Some((place, field)) = stream.field(&name.node) else {
        let diagnostic = unknown_field(stream, name, findings);
        findings.add(diagnostic);
        return None;
    };
    let wrong = match field.kind {
        Kind::STRING | Kind::INT => {
            Some(("a time is a timestamp", field.kind.to_string(), "declare it a `timestamp`: RFC 3339 text and milliseconds since 1970 are read as such"))
        }
        Kind::Unknown => None,
        Kind::TIMESTAMP if field.nullable => {
            Some(("the event time cannot be absent", "may be null".to_owned(), "leave the `?` out: an event without its time is rejected when it is read"))
        }
        Kind::TIMESTAMP => return Some(usize::from(place)),
        _ => Some(("a time is a timestamp", field.kind.to_string(), "name a field that is a `timestamp`")),
    };
    if let Some((message, label, help)) = wrong {
        findings.add(Diagnostic::new(Code::TimeField, name.span, message, label).also(field.name.span, "declared here").help(help));
    }
    None
}

/// A field that the stream does not have.
pub(super) fn unknown_field(stream: &Stream<'_>, name: &Name, findings: &Findings) -> Diagnostic {
    let message = format!("unknown field `{}` on `{}`", name.node, stream.name.node);
    let diagnostic = Diagnostic::new(Code::UnknownField, name.span, message, format!("not a field of `{}`", stream.name.node));
    let names = || stream.fields.iter().map(|field| field.name.node.as_str());
    diagnostic.help_nearest(findings, &name.node, names(), || its_fields(names()))
}

/// What there is where no field is near to what was written.
pub(super) fn its_fields<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names = listed(names);
    if names.is_empty() { "it has no fields: declare them, as in `amount: decimal`".to_owned() } else { format!("its fields are {names}") }
}
