//! Calls of functions: how many arguments of which types, and what comes of them.

use crate::event::Type;
use crate::language::ast::{Expression as Ast, Name};
use crate::language::check::comparison::FLOAT_OR_DECIMAL;
use crate::language::check::expression::{Lowering, Typed, converted, settled};
use crate::language::check::kinds::{Clash, Kind};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::nearest;
use crate::language::span::Span;
use crate::pattern::{Aggregate, Expression, Function};

/// Every function, and how it is called.
const FUNCTIONS: [(&str, &str); 28] = [
    ("first", "first(x.field)"),
    ("last", "last(x.field)"),
    ("count", "count(x)"),
    ("sum", "sum(x.field)"),
    ("avg", "avg(x.field)"),
    ("min", "min(x.field)"),
    ("max", "max(x.field)"),
    ("distinct", "distinct(x.field)"),
    ("collect", "collect(x.field)"),
    ("lower", "lower(text)"),
    ("upper", "upper(text)"),
    ("len", "len(text)"),
    ("contains", "contains(text, part)"),
    ("starts_with", "starts_with(text, part)"),
    ("ends_with", "ends_with(text, part)"),
    ("matches", "matches(text, \"regular expression\")"),
    ("abs", "abs(number)"),
    ("round", "round(number)"),
    ("floor", "floor(number)"),
    ("ceil", "ceil(number)"),
    ("float", "float(number)"),
    ("decimal", "decimal(number)"),
    ("hour", "hour(time, \"Europe/Berlin\")"),
    ("weekday", "weekday(time, \"Europe/Berlin\")"),
    ("coalesce", "coalesce(value, other)"),
    ("if", "if(condition, then, otherwise)"),
    ("distance", "distance(latitude, longitude, latitude, longitude)"),
    ("in_network", "in_network(address, \"10.0.0.0/8\")"),
];

/// What other languages call them.
const FOREIGN: [(&str, &str); 14] = [
    ("average", "avg"),
    ("mean", "avg"),
    ("length", "len"),
    ("size", "len"),
    ("lowercase", "lower"),
    ("uppercase", "upper"),
    ("tolower", "lower"),
    ("toupper", "upper"),
    ("startswith", "starts_with"),
    ("endswith", "ends_with"),
    ("regex", "matches"),
    ("ceiling", "ceil"),
    ("ifnull", "coalesce"),
    ("cidrmatch", "in_network"),
];

const NUMBERS: &[Type] = &[Type::Int, Type::Decimal, Type::Float];

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn call(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let name = function.node.as_str();
        let numbers_and_spans = &[Type::Int, Type::Decimal, Type::Float, Type::Duration];
        match name {
            "count" => self.count(function, arguments, span),
            "first" | "last" => self.first_or_last(function, arguments, span),
            "sum" => self.aggregate(Aggregate::Sum, function, arguments, span),
            "avg" => self.aggregate(Aggregate::Average, function, arguments, span),
            "min" => self.aggregate(Aggregate::Least, function, arguments, span),
            "max" => self.aggregate(Aggregate::Most, function, arguments, span),
            "distinct" => self.aggregate(Aggregate::Distinct, function, arguments, span),
            "collect" => self.aggregate(Aggregate::Collect, function, arguments, span),
            "lower" => self.of_one(Function::Lower, &[Type::String], function, arguments, span),
            "upper" => self.of_one(Function::Upper, &[Type::String], function, arguments, span),
            "abs" => self.of_one(Function::Absolute, numbers_and_spans, function, arguments, span),
            "round" => self.of_one(Function::Round, NUMBERS, function, arguments, span),
            "floor" => self.of_one(Function::Floor, NUMBERS, function, arguments, span),
            "ceil" => self.of_one(Function::Ceiling, NUMBERS, function, arguments, span),
            "float" => self.conversion(Function::Float, Kind::FLOAT, function, arguments, span),
            "decimal" => self.conversion(Function::Decimal, Kind::DECIMAL, function, arguments, span),
            "len" => self.length(function, arguments, span),
            "contains" => self.text_predicate(Function::Contains, function, arguments, span),
            "starts_with" => self.text_predicate(Function::StartsWith, function, arguments, span),
            "ends_with" => self.text_predicate(Function::EndsWith, function, arguments, span),
            "matches" => self.matches(function, arguments, span),
            "in_network" => self.in_network(function, arguments, span),
            "hour" | "weekday" => self.part_of_time(function, arguments, span),
            "coalesce" => self.coalesce(function, arguments, span),
            "if" => self.choice(function, arguments, span),
            "distance" => self.distance(function, arguments, span),
            _ => self.unknown_function(function, arguments, span),
        }
    }

    fn unknown_function(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let name = function.node.as_str();
        self.lower_all(arguments);
        let diagnostic = Diagnostic::new(Code::UnknownFunction, function.span, format!("unknown function `{name}`"), "not a function");
        let small = name.to_ascii_lowercase();
        let help = match small.as_str() {
            "now" => Some("conditions know event time only: the time of the event at hand is its own field".to_owned()),
            "concat" => Some("texts are not joined; emit the fields one by one".to_owned()),
            "exists" | "isnotnull" => Some("write `field is not null`".to_owned()),
            "isnull" | "missing" => Some("write `field is null`".to_owned()),
            _ => foreign(&small),
        };
        let diagnostic = match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic.help_nearest_or_word(self.findings, name, FUNCTIONS.iter().map(|(name, _)| *name), &["not"], || {
                let names = || FUNCTIONS.map(|(name, _)| name).join(", ");
                nearest(&small, FOREIGN.iter().map(|(theirs, _)| *theirs)).and_then(foreign).unwrap_or_else(|| format!("functions are {}", names()))
            }),
        };
        self.wrong(span, diagnostic)
    }

    fn lower_all(&mut self, arguments: &'a [Ast]) {
        for argument in arguments {
            self.lower(argument);
        }
    }

    // Arguments.

    /// The arguments, if there are as many as the function takes; else that is said, and what is wrong in them.
    pub(super) fn exactly<const COUNT: usize>(&mut self, function: &Name, arguments: &'a [Ast]) -> Option<&'a [Ast; COUNT]> {
        if let Ok(arguments) = arguments.try_into() {
            return Some(arguments);
        }
        let plural = if COUNT == 1 { "" } else { "s" };
        self.miscounted(function, arguments, &format!("{COUNT} argument{plural}"));
        None
    }

    pub(super) fn miscounted(&mut self, function: &Name, arguments: &'a [Ast], takes: &str) {
        self.lower_all(arguments);
        let name = &function.node;
        let found = if arguments.is_empty() { "none".to_owned() } else { arguments.len().to_string() };
        let diagnostic = Diagnostic::new(Code::ArgumentCount, function.span, format!("`{name}` takes {takes}, found {found}"), format!("takes {takes}"));
        self.add(diagnostic.help(format!("write `{}`", usage(name))));
    }

    /// An argument of one of these types; a number that is written out is a decimal where one may be. `None`: it is not, or not known to be.
    pub(super) fn argument(&mut self, function: &Name, argument: &'a Ast, types: &[Type]) -> Option<Typed<'a>> {
        let typed = self.lower(argument);
        let fits = match &typed.kind {
            Kind::Unknown => return None,
            Kind::Of(r#type) => types.contains(r#type),
            Kind::Whole | Kind::Fraction => types.contains(&Type::Decimal),
            Kind::Null | Kind::List(_) => false,
        };
        if fits {
            return Some(typed);
        }
        let diagnostic = self.unfit(function, &typed, &alternatives(types));
        self.add(diagnostic);
        None
    }

    pub(super) fn unfit(&self, function: &Name, typed: &Typed<'_>, takes: &str) -> Diagnostic {
        let message = format!("`{}` takes {takes}, and this is {}", function.node, typed.kind);
        Diagnostic::new(Code::ArgumentType, typed.span, message, typed.kind.to_string()).help(format!("write `{}`", usage(&function.node)))
    }

    // Functions of values.

    /// The type stays what it is.
    fn of_one(&mut self, function: Function, types: &[Type], name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(name, arguments) else { return Typed::unknown(span) };
        let Some(typed) = self.argument(name, argument, types) else { return Typed::unknown(span) };
        let kind = Kind::of(&typed.kind.settled());
        let written = typed.kind.is_written_number() && matches!(typed.expression, Expression::Constant(_));
        let expression = Expression::Call { function, arguments: vec![typed.expression] };
        if written { self.calculated(&expression, span) } else { Typed::new(expression, kind, typed.nullable, span) }
    }

    fn conversion(&mut self, function: Function, to: Kind, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(name, arguments) else { return Typed::unknown(span) };
        let Some(typed) = self.argument(name, argument, NUMBERS) else { return Typed::unknown(span) };
        let written = typed.kind.is_written_number();
        let expression = settled(typed.expression, &typed.kind, &to);
        let expression = match expression {
            constant @ Expression::Constant(_) if written => constant,
            expression => Expression::Call { function, arguments: vec![expression] },
        };
        Typed::new(expression, to, typed.nullable, span)
    }

    fn length(&mut self, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(name, arguments) else { return Typed::unknown(span) };
        let typed = self.lower(argument);
        if !matches!(typed.kind, Kind::List(_) | Kind::Unknown | Kind::Of(Type::String)) {
            let diagnostic = self.unfit(name, &typed, "a string or a list");
            return self.wrong(span, diagnostic);
        }
        let expression = Expression::Call { function: Function::Length, arguments: vec![typed.expression] };
        Typed::new(expression, Kind::INT, typed.nullable, span)
    }

    fn text_predicate(&mut self, function: Function, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([text, part]) = self.exactly(name, arguments) else { return Typed::unknown(span) };
        let (one, other) = (self.text_argument(name, text), self.text_argument(name, part));
        let (Some(one), Some(other)) = (one, other) else { return Typed::unknown(span) };
        let absent = one.nullable.then_some(text).or(other.nullable.then_some(part));
        let expression = Expression::Call { function, arguments: vec![one.expression, other.expression] };
        Typed { false_if_absent: absent, ..Typed::new(expression, Kind::BOOL, false, span) }
    }

    fn text_argument(&mut self, name: &Name, argument: &'a Ast) -> Option<Typed<'a>> {
        let typed = self.lower(argument);
        match &typed.kind {
            Kind::Unknown => None,
            Kind::Of(Type::String) => Some(typed),
            kind => {
                let list = name.node == "contains" && matches!(kind, Kind::List(_));
                let diagnostic = self.unfit(name, &typed, "texts");
                self.add(if list { diagnostic.help("to look for a value in a list write `value in list`") } else { diagnostic });
                None
            }
        }
    }

    fn distance(&mut self, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([..]) = self.exactly::<4>(name, arguments) else { return Typed::unknown(span) };
        let places: Vec<Option<Typed<'a>>> = arguments.iter().map(|argument| self.argument(name, argument, NUMBERS)).collect();
        let Some(places) = places.into_iter().collect::<Option<Vec<_>>>() else { return Typed::unknown(span) };
        let nullable = places.iter().any(|place| place.nullable);
        let arguments = places.into_iter().map(|place| settled(place.expression, &place.kind, &Kind::FLOAT)).collect();
        Typed::new(Expression::Call { function: Function::Distance, arguments }, Kind::FLOAT, nullable, span)
    }

    // Choosing between values.

    fn coalesce(&mut self, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        if arguments.len() < 2 {
            self.miscounted(name, arguments, "2 arguments or more");
            return Typed::unknown(span);
        }
        let typed: Vec<Typed<'a>> = arguments.iter().map(|argument| self.lower(argument)).collect();
        let Some(kind) = self.common(&typed) else { return Typed::unknown(span) };
        let nullable = typed.iter().all(|typed| typed.nullable);
        let parts = typed.into_iter().map(|typed| converted(typed.expression, &typed.kind, &kind)).collect();
        Typed::new(Expression::Coalesce(parts), kind, nullable, span)
    }

    fn choice(&mut self, name: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([condition, then, otherwise]) = self.exactly(name, arguments) else { return Typed::unknown(span) };
        let condition = self.lower(condition);
        let condition = self.truth(condition, "the first argument of `if`");
        let values = [self.lower(then), self.lower(otherwise)];
        let Some(kind) = self.common(&values) else { return Typed::unknown(span) };
        let nullable = values.iter().any(|value| value.nullable);
        let [then, otherwise] = values.map(|value| Box::new(converted(value.expression, &value.kind, &kind)));
        let expression = Expression::If { condition: Box::new(condition.expression), then, otherwise };
        Typed::new(expression, kind, nullable, span)
    }

    /// The type that all of them have, or that holds all.
    fn common(&mut self, values: &[Typed<'a>]) -> Option<Kind> {
        let mut kind = Kind::Null;
        for value in values {
            kind = match kind.joined(&value.kind) {
                Ok(kind) => kind,
                Err(clash) => {
                    let (code, message) = match clash {
                        Clash::FloatWithDecimal => (Code::FloatWithDecimal, "`float` and `decimal` do not mix by themselves".to_owned()),
                        Clash::Different => (Code::TypeMismatch, format!("one value cannot be {} or {}", kind, value.kind)),
                    };
                    let diagnostic = Diagnostic::new(code, value.span, message, value.kind.to_string()).also(values[0].span, kind.to_string());
                    self.add(diagnostic.help(if clash == Clash::FloatWithDecimal { FLOAT_OR_DECIMAL } else { "write values of one type" }));
                    return None;
                }
            };
        }
        (!kind.is_unknown()).then_some(kind)
    }
}

/// What to write instead of another language's name.
fn foreign(name: &str) -> Option<String> {
    FOREIGN.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| format!("write `{}`", usage(ours)))
}

/// How a function is called.
pub(super) fn usage(name: &str) -> &'static str {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, usage)| usage)
}

/// "an int, a decimal or a float".
fn alternatives(types: &[Type]) -> String {
    let names: Vec<String> = types.iter().map(|r#type| Kind::of(r#type).to_string()).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
