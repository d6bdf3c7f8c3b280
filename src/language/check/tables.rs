//! The cases of a `table` as tests: in each the columns have that case's values.
//!
//! What is wrong with a value is found where the case has it, and what is wrong with a line, in the line.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::TimeSpan;
use crate::language::ast::{Case, Cell, Expression, ExpressionKind, Name, RecordLiteral, RecordValue, Table, TableLine, Test, TestLine, TestLineKind, When};
use crate::language::check::declarations::twice;
use crate::language::check::findings::Findings;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::language::spelling::{code, spelled};

/// A test for each case that has as many values as there are columns.
pub(super) fn cases(table: &Table, findings: &mut Findings) -> Vec<Test> {
    check_columns(table, findings);
    let mut tests = Vec::new();
    for case in &table.cases {
        if check_length(table, case, findings) {
            let values = table.columns.iter().map(|name| name.node.as_str()).zip(&case.cells).collect();
            tests.push(Row { values, findings }.test(table, case));
        }
    }
    tests
}

/// Columns differ, and each is used.
fn check_columns(table: &Table, findings: &mut Findings) {
    for (place, name) in table.columns.iter().enumerate() {
        if let Some(first) = table.columns[..place].iter().find(|first| first.node == name.node) {
            findings.add(twice(&name.node, name.span, first.span));
        }
    }
    let mut used = BTreeSet::new();
    for line in &table.lines {
        if let When::Column(name) = &line.at {
            used.insert(name.node.as_str());
        }
        line.fields.iter().for_each(|fields| names_of_record(fields, &mut used));
    }
    // A name that is no column may be a misspelling of one, and that is said.
    if used.iter().any(|used| table.columns.iter().all(|name| name.node != *used)) {
        return;
    }
    for name in table.columns.iter().filter(|name| !used.contains(name.node.as_str())) {
        let message = format!("no line uses the column `{}`", name.node);
        let diagnostic = Diagnostic::new(Code::SaysNothing, name.span, message, "changes nothing");
        findings.add(diagnostic.help(format!("write its name where its value is meant, as in {}", code(&format!("{{ amount: {} }}", spelled(&name.node))))));
    }
}

fn names_of_record<'a>(record: &'a RecordLiteral, used: &mut BTreeSet<&'a str>) {
    record.fields.iter().for_each(|(_, value)| names_of_value(value, used));
}

fn names_of_value<'a>(value: &'a RecordValue, used: &mut BTreeSet<&'a str>) {
    match value {
        RecordValue::Column(name) => _ = used.insert(&name.node),
        RecordValue::Record(record) => names_of_record(record, used),
        RecordValue::List(_, values) => values.iter().for_each(|value| names_of_value(value, used)),
        RecordValue::Expression(_) => {}
    }
}

fn check_length(table: &Table, case: &Case, findings: &mut Findings) -> bool {
    let (columns, cells) = (table.columns.len(), case.cells.len());
    if columns == cells {
        return true;
    }
    let values = |count: usize| format!("{count} value{}", if count == 1 { "" } else { "s" });
    let message = format!("the case has {}, and the table {columns} column{}", values(cells), if columns == 1 { "" } else { "s" });
    let place = case.cells.get(columns).or(case.cells.last()).map_or(case.span, Cell::span);
    let label = if cells > columns { "one too many".to_owned() } else { format!("no value of `{}` behind this", table.columns[cells].node) };
    let diagnostic = Diagnostic::new(Code::CaseLength, place, message, label).also(table.columns_span, "the columns are named here");
    findings.add(diagnostic.help("write a value for each column, in their order, with commas between"));
    false
}

/// What a case has in each column.
struct Row<'a, 'f> {
    values: BTreeMap<&'a str, &'a Cell>,
    findings: &'f mut Findings,
}

impl Row<'_, '_> {
    fn test(mut self, table: &Table, case: &Case) -> Test {
        let mut lines: Vec<TestLine> = table.lines.iter().filter_map(|line| self.line(line)).collect();
        lines.extend(case.expected.iter().cloned());
        let name = Spanned { node: format!("{}: {}", table.name.node, case.name.node), span: case.name.span };
        Test { span: case.span, name, pattern: table.pattern.clone(), from: table.from.clone(), lines }
    }

    /// `None`: the case leaves it out, or it has something wrong in it.
    fn line(&mut self, line: &TableLine) -> Option<TestLine> {
        let at = match &line.at {
            When::Said(at) => *at,
            When::Column(name) => self.time(name)?,
        };
        let stream = line.stream.clone();
        let kind = match &line.fields {
            Some(fields) => TestLineKind::Event { at, stream, fields: self.record(fields)? },
            None => TestLineKind::Watermark { at, stream },
        };
        Some(TestLine { span: line.span, kind })
    }

    fn time(&mut self, column: &Name) -> Option<Spanned<TimeSpan>> {
        let wrong = match self.cell(column)? {
            Cell::None(_) => return None,
            Cell::Value(RecordValue::Expression(Expression { kind: ExpressionKind::Duration(node), span })) => {
                return Some(Spanned { node: *node, span: *span });
            }
            Cell::Value(value) => value.span(),
        };
        let message = format!("`{}` is when a line comes, and this is no duration", column.node);
        let diagnostic = Diagnostic::new(Code::FieldValue, wrong, message, "not a duration").also(column.span, "it is a time here");
        self.findings.add(diagnostic.help("a duration has a unit: `5s`; `none` leaves the line out"));
        None
    }

    fn record(&mut self, record: &RecordLiteral) -> Option<RecordLiteral> {
        let filled: Vec<_> = record.fields.iter().map(|(name, value)| Some((name.clone(), self.value(value)?))).collect();
        Some(RecordLiteral { span: record.span, fields: filled.into_iter().collect::<Option<_>>()? })
    }

    fn value(&mut self, value: &RecordValue) -> Option<RecordValue> {
        Some(match value {
            RecordValue::Expression(_) => value.clone(),
            RecordValue::Record(record) => RecordValue::Record(self.record(record)?),
            RecordValue::List(span, items) => {
                let items: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                RecordValue::List(*span, items.into_iter().collect::<Option<_>>()?)
            }
            RecordValue::Column(name) => match self.cell(name)? {
                Cell::Value(value) => value.clone(),
                Cell::None(span) => {
                    let span = *span;
                    self.none_as_value(name, span);
                    return None;
                }
            },
        })
    }

    fn none_as_value(&mut self, column: &Name, span: Span) {
        let message = format!("`{}` is a value, and `none` is none", column.node);
        let diagnostic = Diagnostic::new(Code::FieldValue, span, message, "not a value").also(column.span, "it is a value here");
        self.findings.add(diagnostic.help("`none` stands for a time, and leaves the line out; a field without value is `null`"));
    }

    fn cell(&mut self, column: &Name) -> Option<&Cell> {
        if let Some(cell) = self.values.get(column.node.as_str()) {
            return Some(cell);
        }
        let message = format!("the table has no column `{}`", column.node);
        let diagnostic = Diagnostic::new(Code::UnknownName, column.span, message, "not a column");
        let text = format!("name it behind `columns`; a text stands in double quotes: `\"{}\"`", column.node);
        let diagnostic = diagnostic.help_nearest(self.findings, &column.node, self.values.keys().copied(), || text);
        self.findings.add(diagnostic);
        None
    }
}
