//! A pattern as the random tests make and shrink it: a small tree that prints as text of the language, over the stream `ev` of the conformance cases.

use std::fmt::{self, Display, Formatter};

pub const SCHEMA: &str = "stream ev {\n  id: int\n  t: string\n  v: int\n  ts: timestamp\n  time ts\n}\n\ndefine bs = ev where t == \"B\"\n\n";

#[derive(Clone, Debug)]
pub struct Sketch {
    pub items: Vec<Item>,
    pub withouts: Vec<(Condition, Option<(String, String)>)>,
    pub within_ms: Option<u32>,
    pub skip: String,
    pub on_timeout: bool,
}

#[derive(Clone, Debug)]
pub enum Item {
    Element(Element),
    Not(String, Condition, Option<u32>),
    NextNot(String, Condition),
}

#[derive(Clone, Debug)]
pub struct Element {
    /// `""`, `"next"` or `"any"`.
    pub how: &'static str,
    pub within_ms: Option<u32>,
    pub body: Body,
    pub loops: Loop,
}

#[derive(Clone, Debug)]
pub enum Body {
    Step(String, Condition),
    Group(Vec<Item>),
    Either(Vec<Vec<Item>>),
    All(Vec<(String, Condition)>),
}

#[derive(Clone, Debug, Default)]
pub struct Loop {
    /// `""`, `"?"`, `"+"`, `"{2,3}"` and the like.
    pub times: String,
    pub greedy: bool,
    /// `""`, `"consecutive"` or `"combinations"`.
    pub inside: &'static str,
    pub each_ms: Option<u32>,
    pub until: Option<Condition>,
}

/// What an event must be, as the language writes it; nothing: any.
#[derive(Clone, Debug, Default)]
pub struct Condition(pub Vec<String>);

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" and "))
    }
}

impl Condition {
    fn clause(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!(" where {self}") }
    }
}

impl Display for Sketch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "pattern p {{\n  from ev\n  match {}\n", sequence(&self.items, "\n   "))?;
        for (number, (condition, between)) in self.withouts.iter().enumerate() {
            let between = between.as_ref().map(|(from, to)| format!(" between {from} and {to}")).unwrap_or_default();
            writeln!(f, "  without w{number}: ev{}{between}", condition.clause())?;
        }
        if let Some(within_ms) = self.within_ms {
            writeln!(f, "  within {within_ms}ms")?;
        }
        writeln!(f, "  skip {}", self.skip)?;
        if self.on_timeout {
            writeln!(f, "  on timeout emit")?;
        }
        writeln!(f, "}}")
    }
}

fn sequence(items: &[Item], line_end: &str) -> String {
    let parts = items.iter().enumerate().map(|(place, item)| {
        let then = if place == 0 { "" } else { "then " };
        format!("{then}{}", self::item(item))
    });
    parts.collect::<Vec<_>>().join(&format!("{line_end} "))
}

fn item(item: &Item) -> String {
    match item {
        Item::Element(element) => self::element(element),
        Item::Not(name, condition, hold) => {
            let hold = hold.map(|hold| format!(" for {hold}ms")).unwrap_or_default();
            format!("not {name}: ev{}{hold}", condition.clause())
        }
        Item::NextNot(name, condition) => format!("next not {name}: ev{}", condition.clause()),
    }
}

fn element(element: &Element) -> String {
    let mut words = vec![element.how.to_owned()];
    words.extend(element.within_ms.map(|within| format!("within {within}ms")));
    let Loop { times, greedy, inside, each_ms, until } = &element.loops;
    let mut looping = vec![times.clone(), if *greedy { "greedy".to_owned() } else { String::new() }, (*inside).to_owned()];
    looping.extend(each_ms.map(|each| format!("each within {each}ms")));
    let looping = looping.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    words.push(match &element.body {
        Body::Step(name, condition) => {
            let until = until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
            format!("{name}{looping}: ev{}{until}", condition.clause())
        }
        Body::Group(items) => format!("( {} ){looping}", sequence(items, "")),
        Body::Either(branches) => {
            let branches: Vec<String> = branches.iter().map(|branch| sequence(branch, "")).collect();
            format!("( {} ){looping}", branches.join(" | "))
        }
        Body::All(steps) => {
            let steps: Vec<String> = steps.iter().map(|(name, condition)| format!("{name}: ev{}", condition.clause())).collect();
            format!("all ( {} )", steps.join(", "))
        }
    });
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Smaller sketches, each with one thing taken away. Some may be no patterns any more: names may be missing.
pub fn smaller(sketch: &Sketch) -> Vec<Sketch> {
    let mut all = Vec::new();
    let with = |change: &dyn Fn(&mut Sketch)| {
        let mut changed = sketch.clone();
        change(&mut changed);
        changed
    };
    for place in 0..sketch.withouts.len() {
        all.push(with(&|sketch| drop(sketch.withouts.remove(place))));
    }
    if sketch.skip != "none" {
        all.push(with(&|sketch| sketch.skip = "none".to_owned()));
    }
    if sketch.within_ms.is_some() {
        all.push(with(&|sketch| sketch.within_ms = None));
    }
    if sketch.on_timeout {
        all.push(with(&|sketch| sketch.on_timeout = false));
    }
    all.extend(smaller_items(&sketch.items).into_iter().map(|items| with(&|sketch| sketch.items = items.clone())));
    all
}

fn smaller_items(items: &[Item]) -> Vec<Vec<Item>> {
    let mut all = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let with = |others: Vec<Item>| [&items[..place], &others, &items[place + 1..]].concat();
        all.push(with(Vec::new()));
        match item {
            Item::Element(element) => all.extend(smaller_elements(element).into_iter().map(|element| with(vec![Item::Element(element)]))),
            Item::Not(name, condition, hold) => {
                all.extend(smaller_conditions(condition).into_iter().map(|condition| with(vec![Item::Not(name.clone(), condition, *hold)])));
            }
            Item::NextNot(..) => {}
        }
    }
    all
}

fn smaller_elements(element: &Element) -> Vec<Element> {
    let mut all = Vec::new();
    let with = |body: Body| Element { body, ..element.clone() };
    if !element.loops.times.is_empty() {
        all.push(Element { loops: Loop::default(), ..element.clone() });
    }
    let loops = [
        Loop { greedy: false, ..element.loops.clone() },
        Loop { inside: "", ..element.loops.clone() },
        Loop { each_ms: None, ..element.loops.clone() },
        Loop { until: None, ..element.loops.clone() },
    ];
    let before = format!("{:?}", element.loops);
    all.extend(loops.into_iter().filter(|loops| format!("{loops:?}") != before).map(|loops| Element { loops, ..element.clone() }));
    if element.within_ms.is_some() {
        all.push(Element { within_ms: None, ..element.clone() });
    }
    match &element.body {
        Body::Step(name, condition) => {
            all.extend(smaller_conditions(condition).into_iter().map(|condition| with(Body::Step(name.clone(), condition))));
        }
        Body::Group(items) => all.extend(smaller_items(items).into_iter().map(|items| with(Body::Group(items)))),
        Body::Either(branches) => {
            all.extend(branches.iter().map(|branch| with(Body::Group(branch.clone()))));
            for (place, branch) in branches.iter().enumerate() {
                all.extend(smaller_items(branch).into_iter().map(|items| {
                    let mut branches = branches.clone();
                    branches[place] = items;
                    with(Body::Either(branches))
                }));
            }
        }
        Body::All(steps) => {
            all.extend(steps.iter().map(|(name, condition)| with(Body::Step(name.clone(), condition.clone()))));
            if steps.len() > 2 {
                all.push(with(Body::All(steps[1..].to_vec())));
            }
        }
    }
    all
}

fn smaller_conditions(condition: &Condition) -> Vec<Condition> {
    (0..condition.0.len())
        .map(|place| {
            let mut smaller = condition.clone();
            smaller.0.remove(place);
            smaller
        })
        .collect()
}
