//! Expressions as text again, for dumps of the automaton and for the pattern's normal form: one spelling, parentheses wherever parts are joined.

use std::fmt::Write;

use crate::event::{Field, Schema, StreamId, Type, Value};
use crate::pattern::{Aggregate, Arithmetic, Comparison, Condition, Expression, Function, Measure, Occurrence, Pattern, StepId, WindowId, WindowSpan};

/// What gives fields and steps their names.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub schema: &'a Schema,
    pub pattern: &'a Pattern,
    /// The stream of the event at hand.
    pub stream: Option<StreamId>,
}

impl Condition {
    /// `payments where (amount < 2)`.
    pub fn text(&self, schema: &Schema, pattern: &Pattern) -> String {
        let mut out = schema.stream(self.stream).name.clone();
        if self.stands_as != 0 {
            let sources: Vec<String> = (0..u64::BITS).filter(|place| self.stands_as >> place & 1 == 1).map(|place| (place + 1).to_string()).collect();
            write!(out, " (source {})", sources.join(", ")).expect("text takes all");
        }
        if let Some(expression) = &self.expression {
            let names = Names { schema, pattern, stream: Some(self.stream) };
            write!(out, " where {}", expression.text(&names)).expect("text takes all");
        }
        out
    }
}

impl Expression {
    pub fn text(&self, names: &Names<'_>) -> String {
        let mut out = String::new();
        self.write(names, &mut out);
        out
    }

    fn write(&self, names: &Names<'_>, out: &mut String) {
        match self {
            Self::Constant(value) => write_value(value, out),
            Self::Field(path) => {
                let fields = names.stream.map(|stream| names.schema.stream(stream).fields.as_slice());
                write_path(fields.unwrap_or_default(), path, out);
            }
            Self::Chosen { step, occurrence, path } => {
                let name = &names.pattern.step(*step).name;
                match occurrence {
                    Occurrence::FromLast(0) => write!(out, "{name}."),
                    Occurrence::FromLast(place) => write!(out, "{name}[-{}].", place + 1),
                    Occurrence::FromFirst(place) => write!(out, "{name}[{place}]."),
                }
                .expect("text takes all");
                write_path(fields_of(names, *step), path, out);
            }
            Self::Count(step) => write!(out, "count({})", names.pattern.step(*step).name).expect("text takes all"),
            Self::Aggregate { aggregate, step, path } => {
                write!(out, "{}({}.", aggregate_name(*aggregate), names.pattern.step(*step).name).expect("text takes all");
                write_path(fields_of(names, *step), path, out);
                out.push(')');
            }
            Self::Window(window) => out.push_str(&window_text(names.schema, names.pattern, *window)),
            Self::Not(operand) => write_call("not ", [&**operand], names, out),
            Self::And(parts) => write_joined(" and ", parts, names, out),
            Self::Or(parts) => write_joined(" or ", parts, names, out),
            Self::Compare { comparison, left, right } => write_infix(left, comparison_sign(*comparison), right, names, out),
            Self::In { item, list } => write_infix(item, "in", list, names, out),
            Self::Among { item, among } => {
                out.push('(');
                item.write(names, out);
                out.push_str(" in ");
                write_list(among.values(), out);
                out.push(')');
            }
            Self::IsNull(operand) => write_call("is null", [&**operand], names, out),
            Self::Arithmetic { operation, left, right } => write_infix(left, arithmetic_sign(*operation), right, names, out),
            Self::Negate(operand) => write_call("-", [&**operand], names, out),
            Self::Element { list, place } => {
                list.write(names, out);
                write!(out, "[{place}]").expect("text takes all");
            }
            Self::Part { record, place } => {
                record.write(names, out);
                write!(out, ".{place}").expect("text takes all");
            }
            Self::List(parts) => {
                out.push('[');
                write_separated(", ", parts, names, out);
                out.push(']');
            }
            Self::If { condition, then, otherwise } => write_call("if", [&**condition, &**then, &**otherwise], names, out),
            Self::Coalesce(parts) => write_call("coalesce", parts, names, out),
            Self::Matches { text, regex } => {
                out.push_str("matches(");
                text.write(names, out);
                write!(out, ", {:?})", regex.as_str()).expect("text takes all");
            }
            Self::InNetwork { address, network } => {
                out.push_str("in_network(");
                address.write(names, out);
                write!(out, ", \"{network}\")").expect("text takes all");
            }
            Self::Hour { time, zone } | Self::Weekday { time, zone } => {
                out.push_str(if matches!(self, Self::Hour { .. }) { "hour(" } else { "weekday(" });
                time.write(names, out);
                write!(out, ", \"{zone}\")").expect("text takes all");
            }
            Self::Call { function, arguments } => write_call(function_name(*function), arguments, names, out),
        }
    }
}

/// `sum(payments where (amount < 2) .amount over 10m)`.
fn window_text(schema: &Schema, pattern: &Pattern, id: WindowId) -> String {
    let window = pattern.window(id);
    let (name, field) = match &window.measure {
        Measure::Count => ("count", String::new()),
        Measure::Aggregate { aggregate, path } => {
            let mut field = " .".to_owned();
            write_path(&schema.stream(window.events.stream).fields, path, &mut field);
            (aggregate_name(*aggregate), field)
        }
    };
    let over = match window.span {
        WindowSpan::Sliding(span) => span.to_string(),
        WindowSpan::Tumbling(span) => format!("tumbling {span}"),
        WindowSpan::Session(span) => format!("session {span}"),
    };
    format!("{name}({}{field} over {over})", window.events.text(schema, pattern))
}

fn fields_of<'a>(names: &Names<'a>, step: StepId) -> &'a [Field] {
    &names.schema.stream(names.pattern.step(step).stream).fields
}

fn write_path(mut fields: &[Field], path: &[u16], out: &mut String) {
    for (depth, place) in path.iter().enumerate() {
        let field = &fields[usize::from(*place)];
        if depth > 0 {
            out.push('.');
        }
        out.push_str(&field.name);
        fields = match &field.r#type {
            Type::Record(fields) => fields,
            _ => &[],
        };
    }
}

/// A literal; text in quotes with JSON's escapes.
pub fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => write!(out, "{value}").expect("text takes all"),
        Value::Int(value) => write!(out, "{value}").expect("text takes all"),
        Value::Float(value) => write!(out, "{value:?}f").expect("text takes all"),
        Value::Decimal(value) => write!(out, "{}", value.normalize()).expect("text takes all"),
        Value::Text(text) => write!(out, "{:?}", &**text).expect("text takes all"),
        Value::Timestamp(time) => write!(out, "{time}").expect("text takes all"),
        Value::Duration(span) => write!(out, "{span}").expect("text takes all"),
        Value::List(values) | Value::Record(values) => write_list(values, out),
    }
}

fn write_list(values: &[Value], out: &mut String) {
    out.push('[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        write_value(value, out);
    }
    out.push(']');
}

fn write_infix(left: &Expression, sign: &str, right: &Expression, names: &Names<'_>, out: &mut String) {
    out.push('(');
    left.write(names, out);
    write!(out, " {sign} ").expect("text takes all");
    right.write(names, out);
    out.push(')');
}

fn write_joined(between: &str, parts: &[Expression], names: &Names<'_>, out: &mut String) {
    out.push('(');
    write_separated(between, parts, names, out);
    out.push(')');
}

fn write_separated(between: &str, parts: &[Expression], names: &Names<'_>, out: &mut String) {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            out.push_str(between);
        }
        part.write(names, out);
    }
}

fn write_call<'a>(name: &str, arguments: impl IntoIterator<Item = &'a Expression>, names: &Names<'_>, out: &mut String) {
    write!(out, "{name}(").expect("text takes all");
    for (place, argument) in arguments.into_iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        argument.write(names, out);
    }
    out.push(')');
}

fn aggregate_name(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Average => "avg",
        Aggregate::Least => "min",
        Aggregate::Most => "max",
        Aggregate::Distinct => "distinct",
        Aggregate::Collect => "collect",
    }
}

fn comparison_sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn arithmetic_sign(operation: Arithmetic) -> &'static str {
    match operation {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Remainder => "%",
    }
}

fn function_name(function: Function) -> &'static str {
    match function {
        Function::Lower => "lower",
        Function::Upper => "upper",
        Function::Length => "len",
        Function::Contains => "contains",
        Function::StartsWith => "starts_with",
        Function::EndsWith => "ends_with",
        Function::Absolute => "abs",
        Function::Round => "round",
        Function::Floor => "floor",
        Function::Ceiling => "ceil",
        Function::Distance => "distance",
        Function::Float => "float",
        Function::Decimal => "decimal",
    }
}
