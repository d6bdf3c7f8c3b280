//! What a pattern does, in words: what begins a match, what it waits for, what ends it, when it comes out, what it may hold in memory.
//!
//! One line for each fact, its heading in front. It says what the language reference says, applied to this pattern; a newcomer should need nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::event::{Schema, TimeSpan};
use crate::pattern::{
    Absence, Body, ConditionId, Connective, ContinuityInside, Element, EmitValue, OnTimeout, Part, Pattern, Quantifier, Sequence, Skip, StepId, WindowSpan,
};

/// How the partial matches of a key may grow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Growth {
    PerStart,
    PerEvent,
    Exponential,
}

impl Pattern {
    /// The pattern in words, a line for each fact. `schema` gives streams and fields their names.
    pub fn words(&self, schema: &Schema) -> String {
        let mut writer = Writer { pattern: self, schema, out: format!("{}\n", self.name) };
        writer.reads();
        writer.steps();
        writer.withouts();
        writer.window();
        writer.comes_out();
        writer.overlaps();
        writer.timeouts();
        writer.fields();
        writer.suppresses();
        writer.state();
        writer.out
    }
}

struct Writer<'a> {
    pattern: &'a Pattern,
    schema: &'a Schema,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, heading: &str, text: &str) {
        writeln!(self.out, "  {heading:<11}{text}").expect("text takes all");
    }

    fn reads(&mut self) {
        let mut streams: Vec<&str> = self.pattern.sources.iter().map(|source| self.schema.stream(source.stream).name.as_str()).collect();
        streams.dedup();
        let line = match self.pattern.key_names.as_slice() {
            [] => "all its events in one line, with no key".to_owned(),
            names => format!("one line of events for each {}", names.join(", ")),
        };
        self.line("Reads", &format!("{}; {line}", streams.join(", ")));
    }

    fn steps(&mut self) {
        let mut steps = Vec::new();
        self.sequence(&self.pattern.body, 0, &mut steps);
        for (place, step) in steps.iter().enumerate() {
            self.line(if place == 0 { "Begins" } else { "" }, step);
        }
    }

    fn sequence(&self, sequence: &Sequence, depth: usize, out: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        for (place, part) in sequence.0.iter().enumerate() {
            let is_last = place + 1 == sequence.0.len() && depth == 0;
            match part {
                Part::Element(element) => self.element(element, depth, out),
                Part::Absence(Absence::NextNot { condition }) => out.push(format!("{indent}and the very next event is not {}", self.condition(*condition))),
                Part::Absence(Absence::Not { condition, hold }) => out.push(match (is_last, hold) {
                    (_, Some(hold)) => format!("{indent}and then for {hold} none of {}", self.condition(*condition)),
                    (true, None) => format!("{indent}and then, until the window closes, none of {}", self.condition(*condition)),
                    (false, None) => format!("{indent}with none in between of {}", self.condition(*condition)),
                }),
            }
        }
    }

    fn element(&self, element: &Element, depth: usize, out: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        let how = match element.connective {
            Connective::Begin => "",
            Connective::Then => "then the first later ",
            Connective::ThenNext => "then as the very next event ",
            Connective::ThenAny => "then any later ",
        };
        let soon = element.within.map(|within| format!(", less than {within} after the event before it")).unwrap_or_default();
        let often = often(&element.quantifier);
        let until = element.quantifier.until.map(|until| format!(", until one fits {}", self.condition(until))).unwrap_or_default();
        match &element.body {
            Body::Step { step, condition } => {
                out.push(format!("{indent}{how}{}{often}: {}{soon}{until}", self.step(*step), self.condition(*condition)));
            }
            Body::Group(sequence) => {
                out.push(format!("{indent}{how}group{often}{soon}:"));
                self.sequence(sequence, depth + 1, out);
            }
            Body::Choice(branches) => {
                out.push(format!("{indent}{how}either{often}{soon}:"));
                for (place, branch) in branches.iter().enumerate() {
                    if place > 0 {
                        out.push(format!("{indent}or:"));
                    }
                    self.sequence(branch, depth + 1, out);
                }
            }
            Body::All(steps) => {
                out.push(format!("{indent}{how}of each of these one, in any order{soon}:"));
                out.extend(steps.iter().map(|(step, condition)| format!("{indent}  {}: {}", self.step(*step), self.condition(*condition))));
            }
        }
    }

    fn withouts(&mut self) {
        for without in &self.pattern.without {
            let end = |end: Option<StepId>, otherwise: &str| end.map_or_else(|| otherwise.to_owned(), |step| self.step(step).to_owned());
            let ends = format!("between {} and {}", end(without.from, "the first event"), end(without.to, "the last"));
            let text = format!("{} {ends}: it ends the partial match", self.condition(without.condition));
            self.line("Never", &text);
        }
    }

    fn window(&mut self) {
        let text = match self.pattern.within {
            Some(within) => format!("less than {within} from the first event to the last"),
            None => "no limit on the whole".to_owned(),
        };
        self.line("Within", &text);
    }

    fn comes_out(&mut self) {
        let text = match self.pattern.body.0.last() {
            Some(Part::Absence(Absence::Not { .. })) => "at the deadline of what must be absent, when the watermark has reached it: never early, and once",
            Some(Part::Absence(Absence::NextNot { .. })) => "at the next event of the line, or when the window closes, whichever is sooner",
            _ => "at the time of its last event, when the watermark has reached it",
        };
        self.line("Comes out", text);
    }

    fn overlaps(&mut self) {
        let text = match self.pattern.skip {
            Skip::None => "matches may overlap in every way (skip none)".to_owned(),
            Skip::ToNext => "of what begins with the same event one match only (skip to next)".to_owned(),
            Skip::PastLast => "a match removes what begins at or before its last event (skip past last)".to_owned(),
            Skip::ToFirst(step) => format!("a match removes what begins before its first {} (skip to first)", self.step(step)),
            Skip::ToLast(step) => format!("a match removes what begins before its last {} (skip to last)", self.step(step)),
        };
        self.line("Overlaps", &text);
    }

    fn timeouts(&mut self) {
        let text = match self.pattern.on_timeout {
            OnTimeout::Silent => "partial matches that run out of time are dropped silently",
            OnTimeout::EmitAsMatch | OnTimeout::Emit(_) => "partial matches that run out of time come out as timeouts, once each",
        };
        self.line("Timeouts", text);
    }

    fn fields(&mut self) {
        let names: Vec<&str> = match &self.pattern.emit {
            Some(fields) => fields.iter().map(|field| field.name.as_str()).collect(),
            None => self.pattern.key_names.iter().chain(self.pattern.steps.iter().map(|step| &step.name)).map(String::as_str).collect(),
        };
        self.line("Says", &names.join(", "));
    }

    fn suppresses(&mut self) {
        let Some(suppress) = &self.pattern.suppress else { return };
        let by: Vec<String> = suppress.by.iter().map(|by| self.emitted(by)).collect();
        let text = format!("for {} after a match, others with the same {} are counted instead of delivered", suppress.span, by.join(", "));
        self.line("Suppresses", &text);
    }

    fn emitted(&self, value: &EmitValue) -> String {
        match value {
            EmitValue::Expression { expression, .. } => expression.text(&crate::pattern::Names { schema: self.schema, pattern: self.pattern, stream: None }),
            EmitValue::Events(step) => self.step(*step).to_owned(),
            EmitValue::Key(place) => self.pattern.key_names[*place].clone(),
        }
    }

    fn state(&mut self) {
        let growth = growth(&self.pattern.body);
        let held = match growth {
            Growth::PerStart => "one partial match for each event that begins one",
            Growth::PerEvent => {
                "one partial match for each event that begins one and each end its loop may have; (`greedy` would leave one for each beginning)"
            }
            Growth::Exponential => "up to twice as many partial matches with each event that fits (`combinations`, `any` in a loop)",
        };
        let long = match self.horizon() {
            Some(horizon) => format!("at most {horizon} long"),
            None => "without end: nothing closes it".to_owned(),
        };
        let most = self.pattern.runs_max.map_or_else(|| "as many as `limits.runs_per_key_max` allows".to_owned(), |most| most.to_string());
        let text = format!("for each key {held}, {long}; {most} at most, then the oldest are dropped and counted");
        self.line("Holds", &text);
        // By stream: the longest; a session has no end.
        let mut kept: BTreeMap<&str, Option<TimeSpan>> = BTreeMap::new();
        for window in &self.pattern.windows {
            let long = match window.span {
                WindowSpan::Sliding(span) | WindowSpan::Tumbling(span) => Some(span),
                WindowSpan::Session(_) => None,
            };
            let longest = kept.entry(&self.schema.stream(window.events.stream).name).or_insert(long);
            *longest = longest.zip(long).map(|(longest, long)| longest.max(long));
        }
        for (stream, longest) in kept {
            let long = longest.map_or_else(|| "as long as the session lasts".to_owned(), |longest| format!("for {longest}"));
            self.line("", &format!("for each key the events of {stream} that its windows count, {long}; once for all patterns that count the same"));
        }
    }

    /// How long a partial match can live.
    fn horizon(&self) -> Option<TimeSpan> {
        let holds = self.pattern.body.0.iter().filter_map(|part| match part {
            Part::Absence(Absence::Not { hold, .. }) => *hold,
            _ => None,
        });
        let hold = holds.max();
        match self.pattern.within {
            Some(within) => Some(within.plus(hold.unwrap_or(TimeSpan::ZERO))),
            // One event, and then a time of quiet.
            None if self.pattern.body.0.iter().filter(|part| matches!(part, Part::Element(element) if element.quantifier == Quantifier::ONCE)).count() == 1 => {
                hold.filter(|_| self.pattern.body.0.iter().skip(1).all(|part| matches!(part, Part::Absence(Absence::Not { hold: Some(_), .. }))))
            }
            None => None,
        }
    }

    fn step(&self, step: StepId) -> &str {
        &self.pattern.step(step).name
    }

    fn condition(&self, id: ConditionId) -> String {
        self.pattern.condition(id).text(self.schema, self.pattern)
    }
}

/// `, 3 times or more, in a row`; nothing for once.
fn often(quantifier: &Quantifier) -> String {
    let Quantifier { least, most, optional, greedy, inside, each_within, .. } = quantifier;
    let times = match (least, most) {
        (1, Some(1)) if *optional => ", once or not at all".to_owned(),
        (1, Some(1)) => return String::new(),
        (1, None) if *optional => ", any number or none".to_owned(),
        (least, Some(most)) if least == most => format!(", {least} times"),
        (least, Some(most)) => format!(", {least} to {most} times"),
        (least, None) => format!(", {least} times or more"),
    };
    let or_not = if *optional && (*least, *most) != (1, Some(1)) && (*least, *most) != (1, None) { " or not at all" } else { "" };
    let as_many = if *greedy { ", as many as come" } else { "" };
    let inside = match inside {
        ContinuityInside::Then => "",
        ContinuityInside::Consecutive => ", with nothing in between",
        ContinuityInside::Combinations => ", any of those that fit",
    };
    let each = each_within.map(|each| format!(", each less than {each} after the one before")).unwrap_or_default();
    format!("{times}{or_not}{as_many}{inside}{each}")
}

fn growth(sequence: &Sequence) -> Growth {
    sequence.0.iter().map(|part| if let Part::Element(element) = part { growth_of(element) } else { Growth::PerStart }).max().unwrap_or(Growth::PerStart)
}

fn growth_of(element: &Element) -> Growth {
    let Quantifier { least, most, greedy, inside, .. } = &element.quantifier;
    let repeats = *most != Some(1);
    let own = match inside {
        ContinuityInside::Combinations if repeats => Growth::Exponential,
        // A loop of a fixed number has one end.
        _ if repeats && !greedy && *most != Some(*least) => Growth::PerEvent,
        _ => Growth::PerStart,
    };
    let any = if element.connective == Connective::ThenAny { Growth::PerEvent } else { Growth::PerStart };
    let inner = match &element.body {
        Body::Step { .. } | Body::All(_) => Growth::PerStart,
        Body::Group(sequence) => growth(sequence),
        Body::Choice(branches) => branches.iter().map(growth).max().unwrap_or(Growth::PerStart),
    };
    let looped = if repeats && inner == Growth::PerEvent { Growth::Exponential } else { inner };
    own.max(any).max(looped)
}
