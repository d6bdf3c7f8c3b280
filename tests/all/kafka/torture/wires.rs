//! The answers on which it hangs whether a transaction has happened: swallowed, late, or cut off.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::kafka::proxy::{END_TXN, FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, PRODUCE, Proxy, TXN_OFFSET_COMMIT, Trick};
use crate::kafka::topic_id;
use crate::kafka::torture::tell;
use crate::kafka::torture::trial::Trial;

/// Longer than a transaction may take.
const TOO_LATE: Duration = Duration::from_secs(6);

/// Within which a process is to end: a call and another one, and what else it has to do.
const STOP_MAX: Duration = Duration::from_secs(15);

/// The same where it only waits for its records to be taken.
const STOP_RECORDS_MAX: Duration = Duration::from_secs(8);

#[test]
fn answers_that_do_not_come_leave_nothing_in_doubt() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "wires", 12_000, 2);
    (0..2).for_each(|slot| trial.fleet.start(slot));
    trial.await_shares(&[4, 4]);
    let tricks = [Trick::Swallow, Trick::Delay(Duration::from_millis(900)), Trick::Delay(TOO_LATE), Trick::Cut];
    for api in [END_TXN, TXN_OFFSET_COMMIT] {
        for trick in tricks {
            trial.send_more(1_000);
            let play = proxy.play(api, "slot-0", trick);
            trial.keep_sending_until("a transaction", |_| play.has_begun());
        }
    }
    trial.finish(&format!("{} answers swallowed, delayed or cut off", tricks.len() * 2));
}

/// While it waits for an answer that does not come: to its offsets, its commit, the start of its first producer or of the next.
#[test]
fn a_process_that_waits_for_brokers_ends_when_it_is_told_to() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "told to end", 6_000, 1);
    let mut ended = Vec::new();
    for apis in [&[INIT_PRODUCER_ID][..], &[TXN_OFFSET_COMMIT], &[END_TXN], &[END_TXN, INIT_PRODUCER_ID]] {
        let mut held = vec![proxy.play(apis[0], "slot-0", Trick::HoldAll)];
        trial.fleet.start(0);
        trial.keep_sending_until("a request", |_| held[0].has_begun());
        if let Some(&next) = apis.get(1) {
            held.push(proxy.play(next, "slot-0", Trick::HoldAll));
            trial.keep_sending_until("the next request", |_| held[1].has_begun());
        }
        let (status, after) = end(&mut trial, STOP_MAX);
        ended.push(after.as_millis());
        // It does not say that all is well where it could not find out.
        assert_eq!(status.success(), apis.len() == 1, "{apis:?}: {status}\n{}", trial.fleet.log_end(0));
        held.iter().for_each(|held| held.let_go());
    }
    trial.fleet.start(0);
    trial.finish(&format!("ended {ended:?} ms after it was told to"));
}

/// What is not committed is repeated anyway: there is no use in waiting for long, and when the records arrive all the same, they count for nothing.
#[test]
fn a_process_whose_records_are_not_taken_ends_soon() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "not taken", 6_000, 1);
    // Where that is less, the client gives records up by then.
    trial.fleet.reconfigure(0, "\"transaction.timeout.ms\" = \"4000\"", "\"transaction.timeout.ms\" = \"20000\"");
    trial.fleet.start(0);
    trial.await_shares(&[8]);
    let records = proxy.play(PRODUCE, "slot-0", Trick::HoldAll);
    trial.keep_sending_until("a record", |_| records.has_begun());
    let ended = end_well(&mut trial, STOP_RECORDS_MAX);
    records.let_go();
    trial.fleet.start(0);
    trial.finish(&format!("ended {ended:?} after it was told to"));
}

/// Whether its last transaction has happened, the journal would tell, and is not to be had. That is found out beside it: tasks move to whoever joins meanwhile.
#[test]
fn a_worker_without_an_answer_from_its_journal_stays_a_member_and_ends_when_it_is_told_to() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "no journal", 6_000, 2);
    trial.fleet.start(0);
    trial.await_shares(&[8]);
    let commits = proxy.play(END_TXN, "slot-0", Trick::HoldAll);
    trial.keep_sending_until("a commit", |_| commits.has_begun());
    let journal = proxy.play_about(FETCH, "slot-0", &topic_id(&broker.address, &trial.fleet.journal()), Trick::HoldAll);
    trial.keep_sending_until("the journal is asked", |_| journal.has_begun());
    commits.let_go();
    let joining = Instant::now();
    trial.fleet.start(1);
    trial.await_shares(&[4, 4]);
    let joined = joining.elapsed();
    let ended = end_well(&mut trial, STOP_MAX);
    assert_eq!(trial.fleet.failures, [""; 0], "none has ended by itself");
    journal.let_go();
    trial.fleet.start(0);
    trial.finish(&format!("another has its share after {joined:?}, and it ended after {ended:?}"));
}

/// A process that has come to the end of its own asks whether others have; it gets no answer.
#[test]
fn a_bounded_run_that_waits_to_hear_of_others_ends_when_it_is_told_to() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "others", 6_000, 2);
    trial.send_more(2_000);
    trial.fleet.start(1);
    trial.await_caught_up();
    trial.fleet.start_to_end(0);
    trial.keep_sending_until("its tasks", |fleet| {
        ["task starts", "epochs were repeated"].map(|said| fleet.log(0).matches(said).count()).iter().sum::<usize>() >= 4
    });
    let journal = proxy.play_about(LIST_OFFSETS, "slot-0", trial.fleet.journal().as_bytes(), Trick::HoldAll);
    trial.keep_sending_until("others are asked for", |_| journal.has_begun());
    let ended = end_well(&mut trial, STOP_MAX);
    tell(&format!("others: ended {ended:?} after it was told to"));
}

/// Tells the process to end, which it does within that time: how, and after how long.
#[track_caller]
fn end(trial: &mut Trial<'_>, at_most: Duration) -> (ExitStatus, Duration) {
    let told = Instant::now();
    let status = trial.fleet.tell_to_end(0).expect("it runs");
    let ended = told.elapsed();
    assert!(ended < at_most, "{ended:?}\n{}", trial.fleet.log_end(0));
    (status, ended)
}

/// The same, and without an error.
#[track_caller]
fn end_well(trial: &mut Trial<'_>, at_most: Duration) -> Duration {
    let (status, ended) = end(trial, at_most);
    assert!(status.success(), "{status}\n{}", trial.fleet.log_end(0));
    ended
}
