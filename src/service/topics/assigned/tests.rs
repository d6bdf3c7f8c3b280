use super::*;
use crate::config::{Config, Origin, StreamConfig};
use crate::language::{Source, compile};
use crate::ports::Record;
use crate::service::topics::pattern_set::PatternSet;
use crate::store::Memory;

const PATTERN: &str = "
stream sent { account: int v: int at: timestamp time at }
pattern p { from sent by account match a: sent where v == 1 then b: sent where v == 2 within 2s }
";

const INPUT: InputPartition = InputPartition { stream: StreamId(0), partition: 0 };

/// A task that has seen nothing.
fn task() -> Assigned {
    let source = || Source { path: "p.motif".to_owned(), text: PATTERN.to_owned() };
    let compiled = compile(&[source()]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    let mut config = Config::one_shot(Vec::new());
    config.streams = [("sent".to_owned(), StreamConfig::from_origin(Origin::Topic("sent".to_owned())))].into();
    let evaluation = Evaluation::new(&Arc::new(compiled.program), PatternSet::new(&[source()], &config));
    let parts = Parts {
        number: 0,
        evaluation: Arc::new(evaluation),
        store: Arc::new(Memory::default()),
        meta: Meta { format: state::FORMAT, ..Meta::default() },
        inputs: vec![TaskInput { name: "sent".to_owned(), topic: "sent".to_owned(), source: INPUT, begin: 0 }],
        strictness: Strictness::SetAside,
        memory: KeysInMemory { ready_keys_max: usize::MAX, packed_keys_max: usize::MAX },
        reset: false,
    };
    Assigned::restore(parts).expect("in memory")
}

/// One start of each account at this second.
fn starts(first_offset: u64, accounts: u64, second: u64) -> RecordBatch {
    let mut batch = RecordBatch::new(INPUT.stream, INPUT.partition);
    for account in 0..accounts {
        let (offset, bytes) = (first_offset + account, format!("{{\"account\":{account},\"v\":1,\"at\":{}}}", second * 1_000));
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: bytes.as_bytes(), full_bytes: bytes.len() as u64 });
    }
    batch
}

const NOW: ProcessingTime = ProcessingTime::from_micros(0);

/// Where time jumps over more keys than one call lets go of, how many of them an epoch's changes tell of depends on how often the task was called; the digest must not.
#[test]
fn a_repeated_epoch_tells_of_no_other_state_however_often_the_task_was_called() {
    const JUMP: u64 = STATE_DIGEST_EPOCHS;
    for (accounts, calls) in [(100, 0), (200_000, 0), (200_000, 1), (200_000, 9)] {
        let mut original = task();
        let (mut epochs, mut offset) = (Vec::new(), 0);
        for number in 1..=2 * JUMP {
            let (accounts, second) = match number {
                14 => (accounts, number),
                _ if number < JUMP => (1, number),
                _ => (3, 3_600 + number),
            };
            let batch = starts(offset, accounts, second);
            offset += accounts;
            original.apply(&batch, None, NOW).expect("not strict");
            (0..calls).for_each(|_| original.tick(NOW));
            let part = original.take_part(NOW, NOW, Quiet::Counts).expect("in memory").expect("something was read");
            let record = part.record.clone();
            original.keep(part, &record, None).expect("in memory");
            epochs.push((batch, record));
        }
        let (mut repeated, mut told) = (task(), 0);
        for (batch, record) in &epochs {
            repeated.begin_repeating(record);
            repeated.apply(batch, None, NOW).expect("not strict");
            let part = repeated.take_repeated(record).expect("in memory").expect("all is there");
            assert!(!part.record.tells_of_other_state(record), "{accounts} accounts, {calls} calls, epoch {}", record.epoch);
            told += usize::from(part.record.state_digest.is_some() && record.state_digest.is_some());
            repeated.keep(part, record, None).expect("in memory");
        }
        assert_eq!(told, if accounts == 100 { 2 } else { 1 }, "it is told where nothing is overdue");
    }
}
