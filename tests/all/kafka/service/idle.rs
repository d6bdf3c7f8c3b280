//! Inputs that fall silent, and a kill: what was decided by the clock is repeated as it was.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use super::{PARTITIONS, Running, Service, said};
use crate::broker::{LIMIT, Produced, Read};

impl Service {
    /// With a setting of the stream `orders`, or of both.
    fn set_idle(&self, setting: &str, of_both: bool) {
        let text = std::fs::read_to_string(self.config()).expect("a configuration");
        let text = text.replace("[streams.orders]\n", &format!("[streams.orders]\n{setting}\n"));
        let text = if of_both { text.replace("[streams.clicks]\n", &format!("[streams.clicks]\n{setting}\n")) } else { text };
        std::fs::write(self.config(), text).expect("written");
    }

    /// Everything is repeated by the next start.
    fn lose_state(&self) {
        std::fs::remove_dir_all(self.folder.path().join("state-0")).expect("removed");
    }

    /// Each epoch gives again what it gave, and `motif verify` finds the same.
    fn assert_repeated(&self) {
        let log = std::fs::read_to_string(self.log()).expect("a log");
        assert!(log.contains("epochs were repeated"), "{log}");
        assert!(!log.contains("DIGEST DIFFERS"), "{log}");
        self.assert_journal_accounts_for_outputs();
        let verified = Command::new(env!("CARGO_BIN_EXE_motif")).arg("verify").arg("--config").arg(self.config()).output().expect("motif starts");
        assert!(
            verified.status.success() && said(&verified).contains("each match is there once") && !said(&verified).contains("as far as"),
            "{}",
            said(&verified)
        );
    }

    /// By every task, so many times.
    fn await_repeated(&self, times: usize, running: &mut Running) {
        let deadline = Instant::now() + LIMIT;
        let tasks = usize::try_from(PARTITIONS).expect("few");
        let is_repeated = || std::fs::read_to_string(self.log()).expect("a log").matches("epochs were repeated").count() >= times * tasks;
        while !is_repeated() {
            assert!(Instant::now() < deadline, "nothing is repeated");
            running.assert_runs();
        }
    }

    fn of(&self, topic: &str, events: Vec<Produced>) -> Vec<Produced> {
        events.into_iter().filter(|event| event.topic == *topic).collect()
    }
}

fn ids(matches: &[Read]) -> BTreeSet<String> {
    let id = |read: &Read| serde_json::from_str::<serde_json::Value>(&read.value).expect("JSON")["id"].to_string();
    matches.iter().map(id).collect()
}

/// Without `idle_timeout` nothing would be decided while the orders are silent.
#[test]
fn a_silent_input_is_not_waited_for_and_after_a_kill_no_differently() {
    let Some(service) = Service::new() else { return };
    service.set_idle("idle_timeout = \"200ms\"", false);
    let clicks = service.of(&service.clicks, service.events(0..4_000));
    let mut before = 0;
    for part in clicks.chunks(clicks.len().div_ceil(2)) {
        let mut running = service.start_on(0);
        service.broker.produce(part);
        service.await_matches(before + 30, std::slice::from_mut(&mut running));
        before = service.matches().len();
        running.kill();
        service.lose_state();
    }
    // The orders come late, to where others have gone on without them.
    let mut running = service.start_on(0);
    service.broker.produce(&service.of(&service.orders, service.events(0..100)));
    service.await_late(20, std::slice::from_mut(&mut running));
    running.kill();
    service.lose_state();
    let output = service.command(&["--until-end", "--log", "info"]).output().expect("motif starts");
    assert!(output.status.success() && !said(&output).contains("DIGEST DIFFERS"), "{}", said(&output));
    service.assert_repeated();
    service.assert_equals_direct(&clicks);
}

/// All are silent: from then on the wall clock decides, which is years ahead of these events.
#[test]
fn where_nothing_comes_the_clock_decides_and_after_a_kill_no_differently() {
    let Some(service) = Service::new() else { return };
    service.set_idle("idle_after = \"400ms\"", true);
    let events = service.events(0..1_000);
    service.broker.produce(&events);
    let all: usize = service.direct(&events).iter().map(Vec::len).sum();
    let mut running = service.start_on(0);
    service.await_matches(all, std::slice::from_mut(&mut running));
    let decided = service.matches();
    assert_eq!(ids(&decided).len(), decided.len(), "each once");
    running.kill();
    service.lose_state();
    // Of 2023 as well, so too late now; and one of today.
    let more = service.events(1_000..1_100);
    service.broker.produce(&more);
    let mut running = service.start_on(0);
    service.await_late(more.len(), std::slice::from_mut(&mut running));
    running.kill();
    service.lose_state();
    let mut running = service.start_on(0);
    service.await_repeated(2, &mut running);
    running.terminate();
    assert_eq!(service.matches(), decided, "what is too late joins nothing");
    assert_eq!(service.broker.read(&service.late).len(), more.len(), "and is set aside once");
    service.assert_repeated();
}
