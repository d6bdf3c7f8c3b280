use std::path::Path;

use super::*;
use crate::config::{AtEnd, StreamConfig};
use crate::language::{Source, compile};
use crate::service::state::{RunsRange, StoredRuns};
use crate::service::waiting::CHANGE_BYTES_WAITING_MAX;

const KEYS: usize = 2_000;

/// Every event begins a partial match of another key.
const OPEN: &str = "
    stream s { k: int  n: int  at: timestamp  time at }
    pattern p { from s by k  match a: s where n == 0 then b: s where n == 1 within 30d }
";

fn program(patterns: &str) -> Arc<Program> {
    let compiled = compile(&[Source { path: "p.motif".to_owned(), text: patterns.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

/// Reads these lines, with state and one epoch as far as the clock is concerned.
fn config(folder: &Path, lines: &str) -> Config {
    let input = folder.join("input.jsonl");
    std::fs::write(&input, lines).expect("written");
    let mut config = Config::one_shot(Vec::new());
    config.streams = [("s".to_owned(), StreamConfig::from_origin(Origin::File { path: input, at_end: AtEnd::Finish }))].into();
    config.output.matches = Some(folder.join("matches.jsonl"));
    config.state = Some(folder.join("state"));
    config.epoch_ms = 3_600_000;
    config.reference = Some(EventTime::from_micros(1_700_000_000_000_000));
    config
}

#[test]
fn an_epoch_ends_once_as_much_of_the_state_has_changed_as_may_wait() {
    let lines: String = (0..KEYS).map(|n| format!("{{\"k\":{n},\"n\":0,\"at\":{}}}\n", 1_700_000_000_000_u64 + n as u64)).collect();
    for workers in [1, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { workers, ..config(folder.path(), &lines) };
        let summary = run(&program(OPEN), &config, EndOfInput::KeepsOpen, &StopSignal::default()).expect("runs");
        assert_eq!(summary.records_read, KEYS as u64);
        let state = slot_folder(&folder.path().join("state"), 0).expect("it is free again");
        let store: Arc<dyn StateStore> = Arc::new(Rocks::open(&state, rocks_options(&config)).expect("opens"));
        let epochs = Meta::read(&*store).expect("read").expect("there").epoch;
        let (mut runs, mut kept) = (StoredRuns::of(store, [RunsRange::all()]).expect("a thread"), 0);
        while runs.visit_some(|_, _| kept += 1).expect("read") {}
        assert_eq!(kept, KEYS - 1, "{workers} workers: the last event is held");
        let least = KEYS * 400 / CHANGE_BYTES_WAITING_MAX / 10;
        assert!(epochs > least as u64, "{workers} workers: {epochs} epochs");
    }
}
