//! Random patterns and streams: few events, small alphabets, many ties, so that much happens.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use motif::event::{Event, EventTime, StreamId, Value};

use super::sketch::{Body, Condition, Element, Item, Loop, Sketch};

pub fn sketch(random: &mut ChaCha8Rng) -> Sketch {
    sketch_asking(random, &[])
}

/// Most conditions ask one of these as well, `x` being a step before. Where there are any, it never matters which event is the very next.
pub fn sketch_asking(random: &mut ChaCha8Rng, asked: &[&str]) -> Sketch {
    let mut maker = Maker { random, names: Vec::new(), made: 0, asked };
    let count = maker.random.random_range(1..=4);
    let mut items = maker.items(count, 2, Place { whole: true, firm_before: false });
    maker.ending(&mut items);
    let within_ms = maker.maybe(0.6).then(|| maker.random.random_range(2..30));
    if let (None, Some(Item::Not(_, _, hold @ None))) = (within_ms, items.last_mut()) {
        *hold = Some(7);
    }
    let withouts = (0..maker.count(&[0.7, 0.25, 0.05])).map(|_| maker.without()).collect();
    let skip = maker.skip();
    let on_timeout = maker.maybe(0.7);
    Sketch { items, withouts, within_ms, skip, on_timeout }
}

pub fn events(random: &mut ChaCha8Rng) -> Vec<Event> {
    events_up_to(random, 12)
}

pub fn events_up_to(random: &mut ChaCha8Rng, most: u64) -> Vec<Event> {
    let count = random.random_range(1..=most);
    let mut millis = 0;
    (0..count)
        .map(|place: u64| {
            millis += *[0, 0, 1, 1, 2, 3, 6].choose(random).expect("not empty");
            let kind = *["A", "A", "A", "B", "B", "C"].choose(random).expect("not empty");
            event(place, millis, kind, random.random_range(0..6))
        })
        .collect()
}

/// The event number `place` of the stream `ev`.
pub fn event(place: u64, millis: i64, kind: &str, v: i64) -> Event {
    let time = EventTime::from_millis(millis).expect("small");
    let id = i64::try_from(place).expect("small");
    let fields = [Value::Int(id), Value::text(kind), Value::Int(v), Value::Timestamp(time)];
    Event { stream: StreamId(0), partition: 0, offset: place, time, fields: fields.into() }
}

struct Maker<'a> {
    random: &'a mut ChaCha8Rng,
    /// Steps so far that conditions may name: those that stand before, in text order.
    names: Vec<String>,
    made: usize,
    asked: &'a [&'a str],
}

/// Where a sequence stands.
#[derive(Clone, Copy)]
struct Place {
    /// It is the whole pattern: its last absence may have a `for`.
    whole: bool,
    /// Something before it is certain to be chosen.
    firm_before: bool,
}

impl Maker<'_> {
    fn maybe(&mut self, chance: f64) -> bool {
        self.random.random_bool(chance)
    }

    /// A number from 0, by these chances.
    fn count(&mut self, chances: &[f64]) -> usize {
        let mut left: f64 = self.random.random();
        chances
            .iter()
            .position(|chance| {
                left -= chance;
                left < 0.0
            })
            .unwrap_or(0)
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("s{}", self.made)
    }

    fn items(&mut self, count: usize, depth: u32, place: Place) -> Vec<Item> {
        let mut items = Vec::new();
        let mut firm = place.firm_before;
        for at in 0..count {
            if at > 0 && firm && self.maybe(0.2) {
                items.push(self.absence(None));
            }
            // The whole pattern begins with something certain, so that it is one, and absences have something before them.
            let must = place.whole && at == 0;
            let element = self.element(at == 0, must, depth, firm);
            firm |= !leaves_out(&element);
            items.push(Item::Element(element));
        }
        items
    }

    /// Sometimes an absence at the end.
    fn ending(&mut self, items: &mut Vec<Item>) {
        for _ in 0..self.count(&[0.75, 0.2, 0.05]) {
            let hold = self.maybe(0.5).then(|| self.random.random_range(1..10));
            let absence = self.absence(hold);
            // Only one that is held for a time may stand before another.
            if !items.iter().any(|item| matches!(item, Item::NextNot(..))) {
                items.push(absence);
            }
        }
    }

    fn absence(&mut self, hold: Option<u32>) -> Item {
        let condition = self.condition(None);
        let name = self.name();
        if self.maybe(0.3) && self.asked.is_empty() { Item::NextNot(name, condition) } else { Item::Not(name, condition, hold) }
    }

    fn element(&mut self, first: bool, must: bool, depth: u32, firm: bool) -> Element {
        let how = match *["", "", "", "next", "any"].choose(self.random).expect("not empty") {
            _ if first => "",
            "next" if !self.asked.is_empty() => "",
            how => how,
        };
        let within_ms = (!first && self.maybe(0.15)).then(|| self.random.random_range(1..8));
        let kind = if depth == 0 { 0 } else { self.count(&[0.7, 0.12, 0.1, 0.08]) };
        let body = match kind {
            0 => return self.step(how, within_ms, must),
            1 => {
                let count = self.random.random_range(1..=2);
                Body::Group(self.items(count, depth - 1, Place { whole: false, firm_before: firm && !first }))
            }
            2 => self.either(depth, firm && !first),
            _ => {
                let count = self.random.random_range(2..=3);
                let mut steps: Vec<(String, Condition)> = Vec::new();
                for _ in 0..count {
                    let (name, mut condition) = (self.name(), self.condition(None));
                    if let (Some((beside, _)), true) = (steps.last(), self.maybe(0.4)) {
                        condition.0.extend(self.asked_of(beside).map(|asked| format!("count({beside}) == 0 or {asked}")));
                    }
                    steps.push((name, condition));
                }
                self.names.extend(steps.iter().map(|(name, _)| name.clone()));
                return Element { how, within_ms, body: Body::All(steps), loops: Loop::default() };
            }
        };
        let times = if must { ["", "", "{1,2}", "{2}", "+"].as_slice() } else { &["", "", "?", "{2}", "{1,2}", "+", "*"] };
        let times = (*times.choose(self.random).expect("not empty")).to_owned();
        let mut loops = Loop { times, ..Loop::default() };
        self.inside(&mut loops);
        Element { how, within_ms, body, loops }
    }

    /// Branches do not see each other's names.
    fn either(&mut self, depth: u32, firm: bool) -> Body {
        let before = self.names.len();
        let mut seen = self.names.clone();
        let branches = (0..self.random.random_range(2..=3))
            .map(|_| {
                let count = self.random.random_range(1..=2);
                let items = self.items(count, depth - 1, Place { whole: false, firm_before: firm });
                seen.extend(self.names.drain(before..));
                items
            })
            .collect();
        self.names = seen;
        Body::Either(branches)
    }

    fn step(&mut self, how: &'static str, within_ms: Option<u32>, must: bool) -> Element {
        let times = if must { ["", "", "+", "{2}", "{1,2}", "{2,}"].as_slice() } else { &["", "", "", "?", "+", "*", "{2}", "{1,3}", "{2,}", "{2,3}?"] };
        let times = (*times.choose(self.random).expect("not empty")).to_owned();
        let repeats = !matches!(times.as_str(), "" | "?");
        let name = self.name();
        let condition = self.condition(repeats.then_some(&name));
        let mut loops = Loop { greedy: !times.is_empty() && times != "{2}" && self.maybe(0.3), times, ..Loop::default() };
        self.inside(&mut loops);
        if repeats && self.maybe(0.15) {
            loops.until = Some(self.condition(None));
        }
        self.names.push(name.clone());
        Element { how, within_ms, body: Body::Step(name, condition), loops }
    }

    fn inside(&mut self, loops: &mut Loop) {
        if !matches!(loops.times.as_str(), "" | "?") {
            let inside = *["", "", "consecutive", "combinations"].choose(self.random).expect("not empty");
            loops.inside = if inside == "consecutive" && !self.asked.is_empty() { "" } else { inside };
            loops.each_ms = self.maybe(0.15).then(|| self.random.random_range(1..6));
        }
    }

    /// `own`: the loop whose condition it is.
    fn condition(&mut self, own: Option<&str>) -> Condition {
        let mut parts = Vec::new();
        if self.maybe(0.85) {
            let kind = *["A", "A", "B", "C"].choose(self.random).expect("not empty");
            parts.push(format!("t == \"{kind}\""));
        }
        let sign = *["<", "<=", ">", ">=", "!="].choose(self.random).expect("not empty");
        let number: i64 = self.random.random_range(0..6);
        if self.maybe(0.3) {
            parts.push(format!("v {sign} {number}"));
        }
        if let (true, Some(own)) = (self.maybe(0.15), own) {
            parts.push(format!("count({own}) == 0 or v {sign} {own}.v"));
        }
        if self.maybe(0.1) {
            let span = *["", "", "tumbling ", "session "].choose(self.random).expect("not empty");
            let millis = self.random.random_range(1..9);
            let of = *["ev", "bs"].choose(self.random).expect("not empty");
            parts.push(match self.random.random_range(0..4) {
                0 | 1 => format!("count({of} over {span}{millis}ms) {sign} {}", number / 2),
                2 => format!("sum({of}.v over {span}{millis}ms) {sign} {number}"),
                _ => format!("distinct({of}.v over {span}{millis}ms) {sign} {}", number / 2),
            });
        }
        if self.maybe(0.25) && !self.names.is_empty() {
            let name = self.names.choose(self.random).expect("not empty").clone();
            parts.push(self.look_back(&name, sign, number));
        }
        parts.extend(self.asked_before());
        if let Some(own) = own.filter(|_| !self.asked.is_empty() && self.maybe(0.4)) {
            let none = format!("count({own}) == 0");
            parts.extend(self.asked_of(own).map(|asked| if asked.len() % 2 == 0 { format!("{none} or {asked}") } else { format!("{asked} or {none}") }));
        }
        Condition(parts)
    }

    /// Mostly of a step that all branches see.
    fn asked_before(&mut self) -> Option<String> {
        if self.asked.is_empty() || self.names.is_empty() || !self.maybe(0.7) {
            return None;
        }
        let last = if self.maybe(0.7) { 0 } else { self.names.len() - 1 };
        let name = self.names[self.random.random_range(0..=last)].clone();
        self.asked_of(&name)
    }

    fn asked_of(&mut self, name: &str) -> Option<String> {
        self.asked.choose(self.random).map(|asked| asked.replace('x', name))
    }

    fn look_back(&mut self, name: &str, sign: &str, number: i64) -> String {
        match self.random.random_range(0..14) {
            0 => format!("v {sign} first({name}.v)"),
            1 | 2 => format!("v {sign} {name}.v"),
            3 => format!("v {sign} count({name})"),
            4 => format!("sum({name}.v) {sign} {number} + v"),
            5 => format!("not (v > max({name}.v))"),
            6 => format!("v * 2 {sign} avg({name}.v) + min({name}.v)"),
            7 => format!("v - {name}.v {sign} {}", number - 3),
            8 => format!("{number} - v + sum({name}.v) {sign} count({name})"),
            9 => format!("ts - {name}.ts {sign} {}ms", number + 1),
            10 => format!("-(ts - first({name}.ts)) {sign} {name}.ts - ts"),
            11 => format!("v {sign} distinct({name}.v)"),
            12 => format!("v {sign} {name}[{}].v", number - 3),
            _ => format!("len(collect({name}.v)) {sign} v"),
        }
    }

    fn without(&mut self) -> (Condition, Option<(String, String)>) {
        let between = (self.names.len() > 1 && self.maybe(0.5)).then(|| {
            let from = self.random.random_range(0..self.names.len() - 1);
            let to = self.random.random_range(from + 1..self.names.len());
            (self.names[from].clone(), self.names[to].clone())
        });
        let kind = *["A", "B", "B", "C", "C"].choose(self.random).expect("not empty");
        let mut parts = vec![format!("t == \"{kind}\"")];
        if self.maybe(0.5) {
            parts.push(format!("v > {}", self.random.random_range(0..5)));
        }
        parts.extend(self.asked_before());
        (Condition(parts), between)
    }

    fn skip(&mut self) -> String {
        let name = self.names.choose(self.random).expect("a pattern has a step").clone();
        match self.count(&[0.4, 0.15, 0.25, 0.1, 0.1]) {
            0 => "none".to_owned(),
            1 => "to next".to_owned(),
            2 => "past last".to_owned(),
            3 => format!("to first {name}"),
            _ => format!("to last {name}"),
        }
    }
}

fn leaves_out(element: &Element) -> bool {
    let times = element.loops.times.as_str();
    times.ends_with('?')
        || times == "*"
        || matches!(&element.body, Body::Group(items) if items.iter().all(all_out))
        || matches!(&element.body, Body::Either(branches) if branches.iter().any(|items| items.iter().all(all_out)))
}

fn all_out(item: &Item) -> bool {
    match item {
        Item::Element(element) => leaves_out(element),
        Item::Not(..) | Item::NextNot(..) => true,
    }
}
