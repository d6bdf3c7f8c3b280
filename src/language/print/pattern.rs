//! A pattern: its clauses, and its steps one a line.

use crate::language::ast::{
    Clause, ClauseKind, Connective, Count, EmitField, Expression, How, Inside, MetaField, Name, Pattern, Quantifier, Sequence, Skip, Step, StepKind,
};
use crate::language::print::items::{aligned_column, padded};
use crate::language::print::layout::Piece;
use crate::language::print::printer::{Blank, Printer, Words};
use crate::language::span::Span;

const BREAK: Piece = Piece::Line { flat: " " };

/// Columns by which `then` stands further right than `match`, so that their steps stand in one column.
const THEN_INDENT: usize = 1;

impl Printer<'_> {
    pub(super) fn pattern(&mut self, pattern: &Pattern) {
        let name = self.name(&pattern.name.node, Words::Free);
        self.text(format!("pattern {name} {{"));
        let column = self.head_column(pattern);
        self.nest(2, |printer| {
            printer.line_gap(pattern.from_span.start, Blank::None);
            printer.from(&pattern.from, &pattern.by);
            printer.steps(&pattern.body, column);
            for clause in &pattern.clauses {
                printer.line_gap(clause.span.start, Blank::Kept);
                printer.clause(clause, column);
            }
            printer.comments_before(pattern.span.end, Blank::Kept);
        });
        self.pieces.push(Piece::Hard);
        self.text("}");
    }

    /// The column in which the streams of the steps stand.
    fn head_column(&self, pattern: &Pattern) -> usize {
        let steps = pattern.body.steps.iter().filter_map(|step| {
            let indent = if step.connective.is_some() { THEN_INDENT } else { 0 };
            Some(self.step_head(step)?.chars().count() + indent)
        });
        let clauses = pattern.clauses.iter().filter_map(|clause| match &clause.kind {
            ClauseKind::Without { name, .. } => Some(self.without_head(name).chars().count()),
            _ => None,
        });
        aligned_column(steps.chain(clauses))
    }

    fn from(&mut self, from: &[Name], by: &[Expression]) {
        self.group(4, |printer| {
            printer.text("from ");
            for (place, name) in from.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                    printer.gap(Piece::Fill, name.span.start);
                }
                printer.text(printer.name(&name.node, Words::Reserved));
            }
            if let Some(first) = by.first() {
                printer.gap(Piece::Fill, first.span.start);
                printer.text("by ");
                printer.filled(by, |expression| expression.span, Self::expression);
            }
        });
    }

    /// Commas between, as many on a line as it takes.
    fn filled<T>(&mut self, items: &[T], span: impl Fn(&T) -> Span, print: impl Fn(&mut Self, &T)) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.text(",");
                self.gap(Piece::Fill, span(item).start);
            }
            print(self, item);
        }
    }

    // Steps.

    /// The steps of the pattern itself, each on its own line.
    fn steps(&mut self, body: &Sequence, column: usize) {
        for (place, step) in body.steps.iter().enumerate() {
            if place == 0 {
                self.line_gap(body.span.start, Blank::Kept);
                self.group(4, |printer| printer.step(step, column));
            } else {
                self.nest(THEN_INDENT, |printer| {
                    printer.line_gap(step.span.start, Blank::Kept);
                    printer.group(3, |printer| printer.step(step, column.saturating_sub(THEN_INDENT)));
                });
            }
        }
    }

    /// What stands before the stream of an event or a `not`, with the word that begins the line.
    fn step_head(&self, step: &Step) -> Option<String> {
        let begin = step.connective.as_ref().map_or_else(|| "match ".to_owned(), |connective| self.connective(connective));
        match &step.what {
            StepKind::Event { name, quantifier, .. } => {
                Some(format!("{begin}{}{}:", self.name(&name.node, Words::Reserved), self.quantifier(quantifier.as_ref())))
            }
            StepKind::Not { name, .. } => Some(format!("{begin}not {}:", self.name(&name.node, Words::Reserved))),
            StepKind::Group { .. } | StepKind::All { .. } => None,
        }
    }

    fn step(&mut self, step: &Step, column: usize) {
        match self.step_head(step) {
            Some(head) => {
                self.text(padded(head, column));
                self.step_events(&step.what);
            }
            None => {
                self.text(step.connective.as_ref().map_or_else(|| "match ".to_owned(), |connective| self.connective(connective)));
                self.steps_in_brackets(&step.what, step.span.end);
            }
        }
    }

    /// A step inside a group, on one line if it fits.
    fn inner_step(&mut self, step: &Step) {
        self.group(3, |printer| {
            let head = printer.step_head(step).map(|head| if step.connective.is_none() { head.replacen("match ", "", 1) } else { head });
            match head {
                Some(head) => {
                    printer.text(head + " ");
                    printer.step_events(&step.what);
                }
                None => {
                    if let Some(connective) = &step.connective {
                        printer.text(printer.connective(connective));
                    }
                    printer.steps_in_brackets(&step.what, step.span.end);
                }
            }
        });
    }

    fn step_events(&mut self, what: &StepKind) {
        match what {
            StepKind::Event { events, until, .. } => {
                self.events(events);
                if let Some(until) = until {
                    self.gap(BREAK, until.span.start);
                    self.text("until ");
                    self.expression(until);
                }
            }
            StepKind::Not { events, hold, .. } => {
                self.events(events);
                if let Some(hold) = hold {
                    self.gap(BREAK, hold.span.start);
                    self.text(format!("for {}", self.duration(hold)));
                }
            }
            StepKind::Group { .. } | StepKind::All { .. } => unreachable!("these have no head"),
        }
    }

    /// `end` is where the step ended: its quantifier stands before it, after the bracket.
    fn steps_in_brackets(&mut self, what: &StepKind, end: u32) {
        let (word, quantifier) = match what {
            StepKind::Group { quantifier, .. } => ("(", quantifier),
            StepKind::All { quantifier, .. } => ("all (", quantifier),
            StepKind::Event { .. } | StepKind::Not { .. } => unreachable!("these have a head"),
        };
        self.brackets([word, ")"], BREAK, quantifier.as_ref().map_or(end, |quantifier| quantifier.span.start), |printer| match what {
            StepKind::All { steps, .. } => {
                for (place, step) in steps.iter().enumerate() {
                    if place > 0 {
                        printer.text(",");
                    }
                    printer.gap(BREAK, step.span.start);
                    printer.inner_step(step);
                }
            }
            StepKind::Group { branches, .. } => {
                for (place, branch) in branches.iter().enumerate() {
                    printer.gap(BREAK, branch.span.start);
                    if place > 0 {
                        printer.text("| ");
                    }
                    printer.sequence(branch);
                }
            }
            StepKind::Event { .. } | StepKind::Not { .. } => {}
        });
        let quantifier = self.quantifier(quantifier.as_ref());
        self.text(quantifier);
    }

    fn sequence(&mut self, sequence: &Sequence) {
        self.group(THEN_INDENT, |printer| {
            for (place, step) in sequence.steps.iter().enumerate() {
                if place > 0 {
                    printer.gap(BREAK, step.span.start);
                }
                printer.inner_step(step);
            }
        });
    }

    /// With a blank after it.
    fn connective(&self, connective: &Connective) -> String {
        let how = match connective.how {
            How::Then => "then ",
            How::Next => "then next ",
            How::Any => "then any ",
        };
        let within = connective.within.as_ref().map(|within| format!("within {} ", self.duration(within)));
        how.to_owned() + &within.unwrap_or_default()
    }

    fn quantifier(&self, quantifier: Option<&Quantifier>) -> String {
        let Some(quantifier) = quantifier else { return String::new() };
        let mut text = match quantifier.count {
            Count::Unsaid => String::new(),
            Count::Optional => "?".to_owned(),
            Count::Plus => "+".to_owned(),
            Count::Star => "*".to_owned(),
            Count::Exactly(number) => format!("{{{number}}}"),
            Count::Between(least, most) => format!("{{{least},{most}}}"),
            Count::AtLeast(least) => format!("{{{least},}}"),
        };
        if quantifier.optional {
            text.push('?');
        }
        if quantifier.greedy.is_some() {
            text.push_str(" greedy");
        }
        match quantifier.inside.as_ref().map(|inside| inside.node) {
            Some(Inside::Consecutive) => text.push_str(" consecutive"),
            Some(Inside::Combinations) => text.push_str(" combinations"),
            None => {}
        }
        if let Some(span) = &quantifier.each_within {
            text.push_str(&format!(" each within {}", self.duration(span)));
        }
        text
    }

    // Clauses.

    fn without_head(&self, name: &Name) -> String {
        format!("without {}:", self.name(&name.node, Words::Reserved))
    }

    fn clause(&mut self, clause: &Clause, column: usize) {
        match &clause.kind {
            ClauseKind::Without { name, events, between } => self.group(4, |printer| {
                let head = printer.without_head(name);
                printer.text(padded(head, column));
                printer.events(events);
                if let Some((first, last)) = between {
                    printer.gap(BREAK, first.span.start);
                    let (first, last) = (printer.name(&first.node, Words::Reserved), printer.name(&last.node, Words::Reserved));
                    printer.text(format!("between {first} and {last}"));
                }
            }),
            ClauseKind::Within(span) => self.text(format!("within {}", self.duration(span))),
            ClauseKind::Skip(skip) => self.text(self.skip(skip)),
            ClauseKind::Emit(fields) => self.emit("emit", fields),
            ClauseKind::OnTimeout(fields) => self.emit("on timeout emit", fields),
            ClauseKind::Suppress { span, by } => self.group(4, |printer| {
                printer.text(format!("suppress {} by ", printer.duration(span)));
                printer.filled(by, |expression| expression.span, Self::expression);
            }),
            ClauseKind::LimitRuns(number) => self.text(format!("limit runs {}", number.node)),
            ClauseKind::Meta(fields) => self.meta(fields, clause.span),
        }
    }

    fn skip(&self, skip: &Skip) -> String {
        match skip {
            Skip::None => "skip none".to_owned(),
            Skip::ToNext => "skip to next".to_owned(),
            Skip::PastLast => "skip past last".to_owned(),
            Skip::ToFirst(name) => format!("skip to first {}", self.name(&name.node, Words::Reserved)),
            Skip::ToLast(name) => format!("skip to last {}", self.name(&name.node, Words::Reserved)),
        }
    }

    fn emit(&mut self, words: &str, fields: &[EmitField]) {
        self.text(words);
        if fields.is_empty() {
            return;
        }
        self.text(" ");
        self.group(4, |printer| {
            printer.filled(
                fields,
                |field| field.value.span,
                |printer, field| {
                    printer.expression(&field.value);
                    if let Some(name) = &field.name {
                        let name = printer.name(&name.node, Words::Reserved);
                        printer.text(format!(" as {name}"));
                    }
                },
            );
        });
    }

    fn meta(&mut self, fields: &[MetaField], span: Span) {
        self.text("meta ");
        if fields.is_empty() {
            return self.text("{}");
        }
        self.brackets(["{", "}"], BREAK, span.end, |printer| {
            for (place, field) in fields.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                }
                printer.gap(BREAK, field.name.span.start);
                let name = printer.name(&field.name.node, Words::Reserved);
                printer.text(format!("{name}: "));
                printer.expression(&field.value);
            }
        });
    }
}
