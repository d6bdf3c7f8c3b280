//! Samples: whatever the seed, the size and the keys, the patterns find exactly what was planted, before the input ends.
//!
//! `MOTIF_TEST_SEED=7` adds a seed.

use std::collections::BTreeSet;

use motif::codec::{DecodeOptions, Decoder, write_match};
use motif::engine::{Effect, Engine, EngineOptions, Input};
use motif::event::Schema;
use motif::ports::Record;
use motif::sample::{Comparison, Found, LineFile, Planted, PlantedKind, Sample, Scenario, Settings};

use crate::patterns::folder;
use crate::random_cases::asked_for;

fn patterns_of(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Payments => "fraud",
        Scenario::Sensors => "sensors",
        Scenario::Web => "web",
    }
}

/// What came of a sample: what was planted, what was found, and which events were late, by stream and offset.
struct Outcome {
    planted: Vec<Planted>,
    found: Vec<Found>,
    late: BTreeSet<String>,
    /// By stream.
    events: Vec<u64>,
}

/// Makes a sample and runs the scenario's patterns over it.
fn run(scenario: Scenario, settings: Settings, shards: usize) -> Outcome {
    let program = folder(patterns_of(scenario)).program;
    let streams: Vec<_> = scenario.streams().map(|name| program.schema.find(name).expect("the patterns declare it")).collect();
    let mut decoders: Vec<Decoder> = streams.iter().map(|stream| Decoder::new(&program.schema, *stream, DecodeOptions::default())).collect();
    let mut engine = Engine::new(&program, EngineOptions { shards, ..EngineOptions::default() });
    let mut effects = Vec::new();
    engine.apply_batch(streams.iter().map(|stream| Input::Open { stream: *stream, partition: 0 }), &mut effects);
    let mut outcome = Outcome { planted: Vec::new(), found: Vec::new(), late: BTreeSet::new(), events: vec![0; streams.len()] };
    for line in Sample::new(scenario, settings).expect("such a sample") {
        match line.file {
            LineFile::Planted(kind) => {
                outcome.planted.push(Planted::read(&line.text).expect("a case"));
                assert_eq!(outcome.planted.last().map(|planted| planted.kind), Some(kind));
            }
            LineFile::Stream(stream) => {
                let offset = outcome.events[stream];
                outcome.events[stream] += 1;
                let bytes = line.text.as_bytes();
                let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 };
                let event = decoders[stream].decode(&record, 0).unwrap_or_else(|rejection| panic!("{rejection:?}: {}", line.text));
                engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
            }
        }
    }
    let decided = effects.len();
    engine.apply(Input::End, &mut effects);
    assert_eq!(effects.len(), decided, "nothing waits for the end: {:?}", effects.last());
    for effect in &effects {
        outcome.take(effect, &program.schema);
    }
    let counters = engine.counters();
    assert_eq!((counters.null_keys, counters.faults, counters.runs_dropped), (0, 0, 0));
    outcome
}

impl Outcome {
    fn take(&mut self, effect: &Effect, schema: &Schema) {
        match effect {
            Effect::Matched(found) => {
                let mut line = Vec::new();
                write_match(found, schema, &mut line);
                self.found.push(Found::read(std::str::from_utf8(&line).expect("text")).expect("a match"));
            }
            Effect::Late { event, .. } => {
                let is_new = self.late.insert(format!("{}/0:{}", schema.stream(event.stream).name, event.offset));
                assert!(is_new, "late once");
            }
            Effect::TooFarAhead { .. } | Effect::HeldFull { .. } => panic!("kept out: {effect:?}"),
        }
    }

    /// The events that were planted as late.
    fn planted_late(&self, scenario: Scenario) -> BTreeSet<String> {
        let first = scenario.streams().next().expect("a stream");
        let late = self.planted.iter().flat_map(|planted| &planted.late);
        late.map(|address| if address.contains('/') { address.clone() } else { format!("{first}/{address}") }).collect()
    }
}

fn check(scenario: Scenario, settings: Settings, shards: usize) {
    let outcome = run(scenario, settings, shards);
    assert_eq!(outcome.events.iter().sum::<u64>(), settings.events, "{scenario:?}, {settings:?}");
    assert_eq!(outcome.late, outcome.planted_late(scenario), "{scenario:?}, {settings:?}");
    let comparison = Comparison::new(outcome.planted, outcome.found);
    for (name, pattern) in &comparison.patterns {
        let differs = pattern.missing.first().map(|planted| format!("missing {planted:?}"));
        let differs = differs.or_else(|| pattern.unexpected.first().map(|unexpected| format!("{unexpected:?}")));
        assert_eq!(differs, None, "{name}, {scenario:?}, {settings:?}");
        assert!(pattern.planted > 0 && pattern.near_misses > 0, "{name} has cases of both kinds: {scenario:?}, {settings:?}");
    }
    let program = folder(patterns_of(scenario)).program;
    let patterns: Vec<&str> = program.patterns.iter().map(|pattern| pattern.name.as_str()).collect();
    assert_eq!(comparison.patterns.keys().collect::<Vec<_>>(), patterns, "every pattern has cases");
}

fn seeds() -> Vec<u64> {
    [1, 7, 4711].into_iter().chain(asked_for("MOTIF_TEST_SEED")).collect()
}

#[test]
fn what_is_found_is_what_was_planted() {
    for scenario in Scenario::ALL {
        for seed in seeds() {
            let least = scenario.events_min();
            for (events, keys) in [(least, 1), (least, 2), (least + 1, 3), (1_000, 1), (2_500, 2), (3_000, 7), (10_000, 40), (30_000, 3_000)] {
                check(scenario, Settings { events, keys, seed }, 1);
            }
        }
        check(scenario, Settings { events: 20_000, keys: 500, seed: 3 }, 3);
    }
}

#[test]
fn the_same_settings_give_the_same_lines_and_another_seed_gives_others() {
    for scenario in Scenario::ALL {
        let lines = |seed| Sample::new(scenario, Settings { events: 5_000, keys: 100, seed }).expect("such a sample").collect::<Vec<_>>();
        assert!(lines(1) == lines(1), "{scenario:?}");
        assert!(lines(1) != lines(2), "{scenario:?}");
    }
}

#[test]
fn every_case_is_planted_even_in_the_smallest_sample() {
    for scenario in Scenario::ALL {
        let reasons = |events, keys| -> BTreeSet<(String, PlantedKind, String)> {
            let lines = Sample::new(scenario, Settings { events, keys, seed: 1 }).expect("such a sample");
            let planted = lines.filter(|line| matches!(line.file, LineFile::Planted(_))).map(|line| Planted::read(&line.text).expect("a case"));
            planted.map(|planted| (planted.pattern, planted.kind, planted.why)).collect()
        };
        // What becomes of a failure is up to chance.
        let of_chance = |(pattern, ..): &(String, PlantedKind, String)| pattern == "restart";
        let (mut smallest, mut large) = (reasons(scenario.events_min(), 2), reasons(50_000, 100));
        smallest.retain(|reason| !of_chance(reason));
        large.retain(|reason| !of_chance(reason));
        assert_eq!(smallest, large, "{scenario:?}");
    }
}

#[test]
fn events_arrive_out_of_order() {
    for scenario in Scenario::ALL {
        let sample = Sample::new(scenario, Settings { events: 10_000, keys: 2_000, seed: 1 }).expect("such a sample");
        let texts: Vec<String> = sample.filter(|line| line.file == LineFile::Stream(0)).map(|line| line.text).collect();
        let at = |text: &String| text.split("\"at\":\"").nth(1).and_then(|rest| rest.split('"').next()).map(|at| at.to_owned());
        let back = texts.windows(2).filter(|pair| at(&pair[1]) < at(&pair[0])).count();
        assert!(back > texts.len() / 50, "{scenario:?}: {back} of {} go back in time", texts.len());
    }
}

#[test]
fn what_cannot_be_had_is_refused_with_the_least_that_can() {
    let fault = |events, keys| {
        let settings = Settings { events, keys, seed: 1 };
        Sample::new(Scenario::Web, settings).err().map(|fault| fault.to_string()).unwrap_or_default()
    };
    let least = Scenario::Web.events_min();
    assert_eq!(fault(least, 1), "");
    assert_eq!(fault(least - 1, 1), format!("the scenario web takes at least {least} events, to plant each of its cases once; {} are too few", least - 1));
    assert_eq!(fault(1_000, 0), "a sample takes at least 1 key");
    let few = fault(1_000_000, 5);
    let least: u64 = few.split("at least ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|least| least.parse().ok()).expect("a number");
    assert_eq!((fault(1_000_000, least), fault(1_000_000, least - 1).is_empty()), (String::new(), false), "{few}");
    assert!(fault(1 << 60, 1).starts_with("a sample has at most"));
    assert!(fault(1_000, 1 << 60).starts_with("a sample has at most"));
}
