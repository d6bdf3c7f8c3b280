//! Bytes of the machine's memory for each live key, and for each partial match.
//!
//! Everything that the process has gained since it started is counted, what was freed and not given back included.

use std::sync::Arc;

use motif::engine::EngineOptions;
use motif::service::spill::Spill;
use motif::store::ScratchFolder;

use super::super::Plan;
use super::super::measure::{Spread, counted, resident_bytes, shown};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields};
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const BYTES_PER_KEY_MAX: f64 = 200.0;
const PAIR: &str = "match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 1d";

/// Keys, partial matches of each, and whether it is measured also where nobody asks for it by name.
const SIZES: [(u64, u64, bool); 3] = [(1_000_000, 1, true), (10_000_000, 1, false), (1_000, 1_000, true)];

/// Most of these lie on the disk.
const COLD_KEYS: u64 = 3_000_000;
const KEYS_IN_MEMORY: u64 = 100_000;

/// To be called first of all: what other benches leave behind would count.
pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let at_start = resident_bytes();
    for (keys, starts, is_usual) in SIZES {
        let what = if starts == 1 {
            "live keys with one partial match of two steps, bytes per key"
        } else {
            "keys with 1,000 partial matches each, bytes per partial match"
        };
        let name = format!("memory, {} {what}", counted(keys));
        if !plan.wants(SECTION, &name) || !is_usual && !plan.names(&name) {
            continue;
        }
        let keys = sized(plan, keys);
        let spread = Spread::of((0..plan.runs).map(|_| {
            let mut rig = Rig::of(PAIR);
            rig.feed(keys * starts, |number| Fields { k: (number % keys).cast_signed(), ..start(number) });
            (resident_bytes() - at_start) / (keys * starts) as f64
        }));
        let row = Row::new(name, spread).beside(format!("{} MB in all", shown(spread.median * (keys * starts) as f64 / f64::from(1 << 20))));
        table.add(if starts == 1 { row.at_most(spread.median, BYTES_PER_KEY_MAX) } else { row });
    }
    measure_cold(plan, table, at_start);
}

/// Where most keys lie on the disk.
fn measure_cold(plan: &Plan, table: &mut Table<'_>, at_start: f64) {
    let name = format!("memory, {} live keys, {few} of them ready and {few} packed, bytes per key", counted(COLD_KEYS), few = counted(KEYS_IN_MEMORY));
    if !plan.wants(SECTION, &name) {
        return;
    }
    let (keys, in_memory) = (sized(plan, COLD_KEYS), sized(plan, KEYS_IN_MEMORY));
    let in_memory = usize::try_from(in_memory).expect("fits into memory");
    let spread = Spread::of((0..plan.runs).map(|_| {
        let mut rig = Rig::new(&patterns([PAIR.to_owned()]), EngineOptions { ready_keys_max: in_memory, ..EngineOptions::default() });
        let mut spills = Spill::of_shards(Arc::new(ScratchFolder::temporary()), 1);
        rig.engine.spill_to(in_memory, |_| Box::new(spills.next().expect("for the only shard")));
        rig.feed(keys, start);
        let resident = resident_bytes() - at_start;
        assert_eq!(rig.engine.failure(), None);
        assert!(rig.engine.counters().cold_keys > keys / 2 || keys < COLD_KEYS / 10, "most of them lie there");
        resident / keys as f64
    }));
    table.add(Row::new(name, spread).beside(format!("{} MB in all", shown(spread.median * keys as f64 / f64::from(1 << 20)))));
}

/// The event of this number begins a partial match of the key of that number.
fn start(number: u64) -> Fields {
    Fields { k: number.cast_signed(), typ: 0, amt: 500, at_ms: FIRST_MS + (number / 10).cast_signed() }
}
