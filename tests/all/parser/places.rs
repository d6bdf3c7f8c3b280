//! Every expression and name of a tree, for asking where it stands.

use motif::language::Span;
use motif::language::ast::{
    Cell, ClauseKind, EventSet, Expression, ExpressionKind, File, Item, Name, Pattern, RecordLiteral, RecordValue, Sequence, StepKind, Table, TestLine,
    TestLineKind, When,
};

pub trait Visit {
    fn expression(&mut self, expression: &Expression);
    fn name(&mut self, name: &str, span: Span);
}

pub fn file(file: &File, visit: &mut impl Visit) {
    for item in &file.items {
        match item {
            Item::Stream(stream) => {
                name(&stream.name, visit);
                stream.fields.iter().for_each(|field| name(&field.name, visit));
                stream.times.iter().for_each(|time| name(&time.field, visit));
            }
            Item::List(list) => {
                name(&list.name, visit);
                list.items.iter().for_each(|item| expression(item, visit));
            }
            Item::Define(define) => {
                name(&define.name, visit);
                events(&define.events, visit);
            }
            Item::Pattern(written) => pattern(written, visit),
            Item::Test(test) => {
                name(&test.pattern, visit);
                test.lines.iter().for_each(|line| test_line(line, visit));
            }
            Item::Table(written) => table(written, visit),
        }
    }
}

fn table(table: &Table, visit: &mut impl Visit) {
    name(&table.pattern, visit);
    table.columns.iter().for_each(|column| name(column, visit));
    for line in &table.lines {
        if let When::Column(column) = &line.at {
            name(column, visit);
        }
        name(&line.stream, visit);
        line.fields.iter().for_each(|fields| record(fields, visit));
    }
    for case in &table.cases {
        for cell in &case.cells {
            if let Cell::Value(held) = cell {
                value(held, visit);
            }
        }
        case.expected.iter().for_each(|line| test_line(line, visit));
    }
}

fn test_line(line: &TestLine, visit: &mut impl Visit) {
    match &line.kind {
        TestLineKind::Event { stream, fields, .. } => {
            name(stream, visit);
            record(fields, visit);
        }
        TestLineKind::Watermark { stream, .. } => name(stream, visit),
        TestLineKind::Expect { fields, .. } => fields.iter().for_each(|fields| record(fields, visit)),
        TestLineKind::ExpectLate { .. } | TestLineKind::ExpectNone => {}
    }
}

fn name(name: &Name, visit: &mut impl Visit) {
    visit.name(&name.node, name.span);
}

fn events(events: &EventSet, visit: &mut impl Visit) {
    name(&events.stream, visit);
    events.condition.iter().for_each(|condition| expression(condition, visit));
}

fn pattern(pattern: &Pattern, visit: &mut impl Visit) {
    name(&pattern.name, visit);
    pattern.from.iter().for_each(|from| name(from, visit));
    pattern.by.iter().for_each(|by| expression(by, visit));
    sequence(&pattern.body, visit);
    for clause in &pattern.clauses {
        match &clause.kind {
            ClauseKind::Without { name: own, events: absent, between } => {
                name(own, visit);
                events(absent, visit);
                between.iter().for_each(|(first, last)| [first, last].into_iter().for_each(|step| name(step, visit)));
            }
            ClauseKind::Emit(fields) | ClauseKind::OnTimeout(fields) => {
                for field in fields {
                    expression(&field.value, visit);
                    field.name.iter().for_each(|own| name(own, visit));
                }
            }
            ClauseKind::Suppress { by, .. } => by.iter().for_each(|by| expression(by, visit)),
            ClauseKind::Meta(fields) => fields.iter().for_each(|field| {
                name(&field.name, visit);
                expression(&field.value, visit);
            }),
            ClauseKind::Within(_) | ClauseKind::Skip(_) | ClauseKind::LimitRuns(_) => {}
        }
    }
}

fn sequence(steps: &Sequence, visit: &mut impl Visit) {
    steps.steps.iter().for_each(|step| what(&step.what, visit));
}

fn what(kind: &StepKind, visit: &mut impl Visit) {
    match kind {
        StepKind::Event { name: own, events: set, until, .. } => {
            name(own, visit);
            events(set, visit);
            until.iter().for_each(|until| expression(until, visit));
        }
        StepKind::Not { name: own, events: set, .. } => {
            name(own, visit);
            events(set, visit);
        }
        StepKind::Group { branches, .. } => branches.iter().for_each(|branch| sequence(branch, visit)),
        StepKind::All { steps, .. } => steps.iter().for_each(|step| what(&step.what, visit)),
    }
}

fn record(fields: &RecordLiteral, visit: &mut impl Visit) {
    for (own, held) in &fields.fields {
        name(own, visit);
        value(held, visit);
    }
}

fn value(held: &RecordValue, visit: &mut impl Visit) {
    match held {
        RecordValue::Expression(literal) => expression(literal, visit),
        RecordValue::Record(fields) => record(fields, visit),
        RecordValue::Column(column) => name(column, visit),
        RecordValue::List(_, values) => values.iter().for_each(|held| value(held, visit)),
    }
}

fn expression(whole: &Expression, visit: &mut impl Visit) {
    visit.expression(whole);
    match &whole.kind {
        ExpressionKind::Text(_) | ExpressionKind::Number(_) | ExpressionKind::Bool(_) | ExpressionKind::Null | ExpressionKind::Duration(_) => {}
        ExpressionKind::Name(own) => visit.name(own, whole.span),
        ExpressionKind::List(items) => items.iter().for_each(|item| expression(item, visit)),
        ExpressionKind::Member { base, field } => {
            expression(base, visit);
            name(field, visit);
        }
        ExpressionKind::Index { base: inner, .. }
        | ExpressionKind::Not(inner)
        | ExpressionKind::Negate(inner)
        | ExpressionKind::IsNull { operand: inner, .. }
        | ExpressionKind::Parenthesized(inner) => expression(inner, visit),
        ExpressionKind::Call { function, arguments } => {
            name(function, visit);
            arguments.iter().for_each(|argument| expression(argument, visit));
        }
        ExpressionKind::Window { function, argument, .. } => {
            name(function, visit);
            expression(argument, visit);
        }
        ExpressionKind::Binary { left, right, .. } => {
            expression(left, visit);
            expression(right, visit);
        }
    }
}
