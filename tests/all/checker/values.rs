//! What the checker says a value is, it is: random expressions are emitted by a pattern that runs on random events.

use motif::engine::{Effect, Engine, EngineOptions, Input, MatchField};
use motif::event::{Event, EventTime, Field, Schema, StreamId, TimeSpan, Type, Value};
use motif::pattern::Program;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::program;
use crate::printer::random_cases;

/// Expressions of one program.
const EXPRESSIONS: usize = 12;

#[test]
fn a_value_is_of_the_type_that_the_checker_says() {
    let (tried, sound) = (std::cell::Cell::new(0_u64), std::cell::Cell::new(0_u64));
    random_cases(|random| {
        let mut made = Expressions { random };
        let expressions: Vec<String> = (0..EXPRESSIONS).map(|_| made.expression(3)).collect();
        let conditions: Vec<String> = (0..EXPRESSIONS).map(|_| made.condition(3)).collect();
        tried.set(tried.get() + 2 * EXPRESSIONS as u64);
        // Those that can be compiled alone go on together.
        let emitted: Vec<&String> = expressions.iter().filter(|one| compiles(&pattern(&[one], "true"))).collect();
        let demanded: Vec<&String> = conditions.iter().filter(|one| compiles(&pattern(&[], one))).collect();
        sound.set(sound.get() + (emitted.len() + demanded.len()) as u64);
        let condition = demanded.iter().map(|one| format!("(({one}) or true)")).collect::<Vec<_>>().join(" and ");
        let text = pattern(&emitted, if condition.is_empty() { "true" } else { &condition });
        let (_, compiled) = program(&[&text]);
        assert!(!compiled.has_errors(), "each compiles alone: {text}\n{:#?}", compiled.diagnostics);
        run(&compiled.program, &text, random);
    });
    println!("{} of {} expressions compile", sound.get(), tried.get());
    assert!(sound.get() * 5 > tried.get(), "many expressions are sound");
}

fn pattern(emitted: &[&String], condition: &str) -> String {
    let fields: Vec<String> = emitted.iter().enumerate().map(|(number, one)| format!(", ({one}) as x{number}")).collect();
    format!(
        "pattern p {{ from payments by card_id match a: payments then b{{1,2}}: payments where {condition} then c?: payments within 1h skip none emit card_id{} }}",
        fields.concat()
    )
}

fn compiles(text: &str) -> bool {
    !program(&[text]).1.has_errors()
}

fn run(program: &Program, text: &str, random: &mut ChaCha8Rng) {
    let stream = program.schema.find("payments").expect("it is declared");
    let mut engine = Engine::new(program, EngineOptions::default());
    let mut effects = Vec::new();
    for offset in 0..6 {
        let event = event(&program.schema, stream, offset, random);
        engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
    }
    engine.apply(Input::End, &mut effects);
    let mut seen = 0;
    for effect in effects {
        let Effect::Matched(found) = effect else { continue };
        for (name, field) in found.fields() {
            let MatchField::Value(value, r#type) = field else { continue };
            assert!(value.is_null() || is_of(value, r#type), "{name} is {value:?}, and not {type} as the checker says: {text}");
            seen += 1;
        }
    }
    assert!(seen > 0, "something comes out: {text}");
}

fn is_of(value: &Value, r#type: &Type) -> bool {
    match (value, r#type) {
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Float(_), Type::Float)
        | (Value::Decimal(_), Type::Decimal)
        | (Value::Text(_), Type::String)
        | (Value::Timestamp(_), Type::Timestamp)
        | (Value::Duration(_), Type::Duration) => true,
        // A sum of nothing.
        (Value::Int(0), Type::Decimal) => true,
        (Value::List(items), Type::List(element)) => items.iter().all(|item| item.is_null() || is_of(item, element)),
        (Value::Record(values), Type::Record(fields)) => {
            values.len() == fields.len() && values.iter().zip(fields).all(|(value, field)| value.is_null() || is_of(value, &field.r#type))
        }
        _ => false,
    }
}

fn event(schema: &Schema, stream: StreamId, offset: u64, random: &mut ChaCha8Rng) -> Event {
    let time = EventTime::from_millis(i64::try_from(offset).expect("small") * 1_000).expect("small");
    let fields = &schema.stream(stream).fields;
    let value = |field: &Field| match field.name.as_str() {
        "at" => Value::Timestamp(time),
        "card_id" => Value::text("1"),
        _ => value(field, random),
    };
    let fields = fields.iter().map(value).collect();
    Event { stream, partition: 0, offset, time, fields }
}

fn value(field: &Field, random: &mut ChaCha8Rng) -> Value {
    if field.nullable && random.random_bool(0.4) { Value::Null } else { value_of(&field.r#type, random) }
}

fn value_of(r#type: &Type, random: &mut ChaCha8Rng) -> Value {
    let number = *[0, 1, -1, 7, 1_000, i64::MAX, i64::MIN].choose(random).expect("not empty");
    match r#type {
        Type::Bool => Value::Bool(random.random_bool(0.5)),
        Type::Int => Value::Int(number),
        Type::Float => Value::Float(*[0.0, -0.5, 1e300, -1e-300, 52.5].choose(random).expect("not empty")),
        Type::Decimal => Value::Decimal(number.into()),
        Type::String => Value::text(["", "a", "DE", "10.1.2.3", "Aé"].choose(random).expect("not empty")),
        Type::Timestamp => Value::Timestamp(EventTime::from_micros(number)),
        Type::Duration => Value::Duration(TimeSpan::from_micros(number)),
        Type::List(element) => Value::List((0..random.random_range(0..3)).map(|_| value_of(element, random)).collect()),
        Type::Record(fields) => Value::Record(fields.iter().map(|field| value(field, random)).collect()),
    }
}

/// Random expressions over what the cases' streams have; most of them sound.
struct Expressions<'r> {
    random: &'r mut ChaCha8Rng,
}

impl Expressions<'_> {
    fn pick(&mut self, texts: &[&str]) -> String {
        (*texts.choose(self.random).expect("not empty")).to_owned()
    }

    fn expression(&mut self, depth: u32) -> String {
        match self.random.random_range(0..7) {
            0 | 1 => self.number(depth),
            2 => self.text(depth),
            3 => self.span(depth),
            4 => self.condition(depth),
            5 => self.pick(&[
                "a.tags",
                "b.geo",
                "c.items",
                "a.items[0]",
                "b.items[-1].price",
                "collect(b.tries)",
                "a.tags[0]",
                "[a.amount, 5]",
                "[1, 2.5]",
                "null",
                "a.at",
            ]),
            _ => {
                let (condition, one, other) =
                    (self.condition(depth.saturating_sub(1)), self.number(depth.saturating_sub(1)), self.text(depth.saturating_sub(1)));
                let value = if self.random.random_bool(0.5) { one } else { other };
                format!("if({condition}, {value}, {})", self.pick(&["null", "1", "a.tries", "a.amount", "a.score", "\"x\""]))
            }
        }
    }

    fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.pick(&[
                "a.tries",
                "b.amount",
                "a.score",
                "c.tries",
                "first(b.amount)",
                "b[1].tries",
                "1",
                "2.5",
                "-3",
                "count(b)",
                "count(c)",
                "len(a.status)",
            ]);
        }
        let (one, other) = (self.number(depth - 1), self.number(depth - 1));
        match self.random.random_range(0..9) {
            0..=3 => format!("({one} {} {other})", self.pick(&["+", "-", "*", "/", "%"])),
            4 => format!("{}({one})", self.pick(&["abs", "round", "floor", "ceil", "float", "decimal"])),
            5 => format!("coalesce({one}, {other})"),
            6 => format!("-{one}"),
            7 => self.pick(&[
                "sum(b.tries)",
                "sum(b.amount)",
                "avg(b.tries)",
                "avg(b.score)",
                "min(b.amount)",
                "max(b.tries)",
                "distinct(b.country)",
                "sum(c.score)",
                "hour(a.at, \"Europe/Berlin\")",
            ]),
            _ => format!("if({}, {one}, {other})", self.condition(depth - 1)),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.pick(&["a.status", "b.country", "c.account", "\"x\"", "a.geo.place", "card_id", "first(b.status)", "a.tags[0]"]);
        }
        let inner = self.text(depth - 1);
        match self.random.random_range(0..3) {
            0 => format!("lower({inner})"),
            1 => format!("coalesce({inner}, {})", self.text(depth - 1)),
            _ => format!("if({}, {inner}, {})", self.condition(depth - 1), self.text(depth - 1)),
        }
    }

    fn span(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.pick(&["a.wait", "(b.at - a.at)", "5m", "max(b.wait)", "sum(c.wait)", "avg(b.wait)"]);
        }
        let (one, other) = (self.span(depth - 1), self.span(depth - 1));
        match self.random.random_range(0..5) {
            0 => format!("({one} {} {other})", self.pick(&["+", "-", "%", "/"])),
            1 => format!("({one} {} {})", self.pick(&["*", "/"]), self.number(0)),
            2 => format!("({} * {one})", self.number(0)),
            3 => format!("(a.at {} {one})", self.pick(&["+", "-"])),
            _ => format!("abs({one})"),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.pick(&[
                "a.approved",
                "true",
                "contains(a.status, \"a\")",
                "matches(b.country, \"^D\")",
                "in_network(a.ip, \"10.0.0.0/8\")",
                "a.country in trusted",
            ]);
        }
        let inner = self.condition(depth - 1);
        match self.random.random_range(0..7) {
            0 | 1 => format!("({} {} {})", self.number(depth - 1), self.pick(&["<", "<=", ">", "==", "!="]), self.number(depth - 1)),
            2 => format!("({} {} {})", self.text(depth - 1), self.pick(&["==", "!=", "<"]), self.text(depth - 1)),
            3 => format!("({} < {})", self.span(depth - 1), self.span(depth - 1)),
            4 => format!("(not {inner})"),
            5 => format!("({inner} {} {})", self.pick(&["and", "or"]), self.condition(depth - 1)),
            _ => format!("({} {})", self.expression(depth - 1), self.pick(&["is null", "is not null"])),
        }
    }
}
