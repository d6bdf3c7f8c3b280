//! Bounded runs at the end of which much is open.

use std::collections::BTreeMap;
use std::time::Instant;

use motif::service::topics::journal::EpochRecord;

use super::{PATTERNS, Running, Service, program_of};
use crate::broker::LIMIT;

/// Decided by the end alone.
const LONG_ABSENCE: &str = "
pattern no_refund {
  from clicks, orders by user
  match click: clicks then not refund: orders where amount < 0 for 30d
  skip none
}
";

impl Service {
    /// By task: how many epochs have closed windows and were not the last.
    fn closing_epochs(&self) -> BTreeMap<u32, usize> {
        let mut closing = BTreeMap::new();
        for read in self.broker.read(&format!("{}.journal", self.group)) {
            let record = EpochRecord::decode(&read.raw.expect("a record")).expect("of this format");
            *closing.entry(record.task).or_default() += usize::from(record.closing);
        }
        closing
    }
}

/// More is open than one transaction takes.
#[test]
fn an_end_that_a_kill_interrupts_is_finished_by_the_next_run_whatever_was_added() {
    let Some(service) = Service::new() else { return };
    let patterns = format!("{PATTERNS}{LONG_ABSENCE}");
    std::fs::write(service.folder.path().join("patterns.motif"), &patterns).expect("written");
    let events = service.events(0..60_000);
    service.broker.produce(&events);
    let running = Running(Some(service.command(&["--until-end"]).spawn().expect("motif starts")));
    let deadline = Instant::now() + LIMIT;
    while service.closing_epochs().values().sum::<usize>() == 0 {
        assert!(Instant::now() < deadline, "no windows are closed");
    }
    running.kill();
    service.broker.produce(&service.events(60_000..60_100));
    let sentence = service.refusal(&["--until-end"]);
    assert!(sentence.contains("--until-end has closed all windows"), "{sentence}");
    service.assert_equals(&service.direct_by(&program_of(&patterns), &events));
    service.assert_journal_accounts_for_outputs();
    assert!(service.closing_epochs().values().sum::<usize>() > 2, "{:?}", service.closing_epochs());
}
