//! Kafka's own matrix for transactions, with processes of ours: killed, frozen and ended, again and again.

use std::time::{Duration, Instant};

use crate::broker::{Broker, broker};
use crate::kafka::proxy::{END_TXN, JOIN_GROUP, Proxy, Trick};
use crate::kafka::torture::faults::{Fault, SESSION, Step, waves};
use crate::kafka::torture::fleet::Fleet;
use crate::kafka::torture::trial::Trial;
use crate::kafka::torture::workload::Form;

/// Sends the events over the time of the steps, and takes each step when its time has come.
fn disturb(trial: &mut Trial<'_>, steps: &[Step]) {
    let began = Instant::now();
    let length = steps.last().expect("some step").at;
    let mut next = steps.iter().peekable();
    while let Some(step) = next.peek() {
        let share = began.elapsed().as_secs_f64() / length.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small number")]
        trial.send_to((trial.number_of_events() as f64 * share) as usize);
        trial.fleet.tend();
        if began.elapsed() < step.at {
            std::thread::park_timeout(Duration::from_millis(10));
            continue;
        }
        match step.fault {
            Fault::Kill => trial.fleet.kill(step.slot),
            Fault::Freeze => trial.fleet.signal(step.slot, "STOP"),
            Fault::Thaw => trial.fleet.signal(step.slot, "CONT"),
            Fault::Terminate => trial.fleet.terminate(step.slot),
            Fault::Start => trial.fleet.start(step.slot),
        }
        next.next();
    }
}

fn transactions_matrix(form: Form, broker: &Broker, name: &str, number: usize, waves_wanted: usize) {
    let mut trial = Trial::of(form, broker, name, number, 3);
    let steps = waves(&mut trial.random, waves_wanted);
    (0..3).for_each(|slot| trial.fleet.start(slot));
    disturb(&mut trial, &steps);
    let times = |fault| steps.iter().filter(|step| step.fault == fault).count();
    let done = format!("{} kills, {} freezes, {} terminations", times(Fault::Kill), times(Fault::Freeze), times(Fault::Terminate));
    trial.finish(&done);
}

#[test]
fn three_processes_in_trouble_give_each_match_once() {
    let Some(broker) = broker() else { return };
    transactions_matrix(Form::AsPartitioned, broker, "transactions matrix", 20_000, 2);
}

/// `make torture`.
#[test]
#[ignore = "takes minutes"]
fn three_processes_in_trouble_for_long() {
    let Some(broker) = broker() else { return };
    transactions_matrix(Form::AsPartitioned, broker, "transactions matrix, long", 200_000, 18);
}

/// Both stages of each process meet each trouble.
#[test]
fn three_processes_with_two_stages_in_trouble_give_each_match_once() {
    let Some(broker) = broker() else { return };
    transactions_matrix(Form::Rekeyed, broker, "two stages", 12_000, 2);
}

/// `make torture`.
#[test]
#[ignore = "takes minutes"]
fn three_processes_with_two_stages_in_trouble_for_long() {
    let Some(broker) = broker() else { return };
    transactions_matrix(Form::Rekeyed, broker, "two stages, long", 200_000, 18);
}

/// Within which a zombie is to give up its tasks: by then the group would miss it for the second time, whatever it does. A second is the goal; how near that comes is told and
/// not judged, as it is the machine's as well.
const GIVES_UP_MAX: Duration = SESSION.saturating_mul(2);

/// A process frozen in its commit, whose tasks are another's by the time it wakes up: its commit does not count, and it lets go of what is not its own any more.
#[test]
fn a_zombie_is_fenced_and_doubles_nothing() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "zombie", 12_000, 2);
    (0..2).for_each(|slot| trial.fleet.start(slot));
    trial.await_shares(&[4, 4]);
    let (mut given_up, mut told) = (Vec::new(), Vec::new());
    for zombie in [0, 1, 0] {
        trial.send_more(1_500);
        let commit = proxy.play(END_TXN, &format!("slot-{zombie}"), Trick::Hold);
        trial.keep_sending_until("a commit", |_| commit.has_begun());
        trial.fleet.signal(zombie, "STOP");
        // The other has all tasks, and has delivered everything.
        trial.await_shares(&[8]);
        trial.await_caught_up();
        let before = trial.fleet.log(zombie).len();
        trial.fleet.signal(zombie, "CONT");
        commit.let_go();
        let woken = Instant::now();
        // However it finds out.
        let gives_up = |log: &str| ["tasks are given up", "begin anew", "Lost(["].iter().any(|said| log.contains(said));
        trial.keep_sending_until("the zombie gives up its tasks", |fleet| gives_up(&fleet.log(zombie)[before..]));
        let took = woken.elapsed();
        assert!(took < GIVES_UP_MAX, "{took:?}\n{}", trial.fleet.log_end(zombie));
        given_up.push(took.as_millis());
        trial.keep_sending_until("the zombie is told", |fleet| fleet.log(zombie)[before..].contains("Lost(["));
        told.push(woken.elapsed().as_millis());
        trial.await_shares(&[4, 4]);
    }
    trial.finish(&format!("3 zombies, which gave up their tasks after {given_up:?} ms, and were told by the group after {told:?} ms"));
}

/// Tasks that were given back in the first step of a rebalance are nobody's until the second. Processes that are started anew between the two are given what the first step
/// left them; the group would never share out again by itself.
#[test]
fn tasks_that_a_rebalance_was_cut_off_from_find_somebody() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let mut trial = Trial::new(&broker, "half a rebalance", 4_000, 2);
    trial.fleet.start(0);
    trial.await_shares(&[8]);
    trial.send_more(1_000);
    // It joins for the first step, and is held up where it joins for the second.
    proxy.play(JOIN_GROUP, "slot-0", Trick::Delay(Duration::ZERO));
    let second = proxy.play(JOIN_GROUP, "slot-0", Trick::Hold);
    trial.fleet.start(1);
    trial.keep_sending_until("the second step", |_| second.has_begun());
    (0..2).for_each(|slot| trial.fleet.kill(slot));
    (0..2).for_each(|slot| trial.fleet.start(slot));
    trial.await_shares(&[4, 4]);
    trial.finish("a rebalance cut off in its middle");
}

/// A process has a name that stays. Killed, and started again before the group misses it, it has its tasks again, and the other one does not notice.
#[test]
fn a_restart_within_the_session_moves_no_task() {
    let Some(broker) = broker() else { return };
    let mut trial = Trial::new(broker, "restart", 6_000, 2);
    for slot in 0..2 {
        // However long a process takes to start, the group waits for it. Who polls less often than the session lasts, the client library refuses.
        for (setting, before) in [("session.timeout.ms", 6_000), ("max.poll.interval.ms", 10_000)] {
            trial.fleet.reconfigure(slot, &format!("\"{setting}\" = \"{before}\""), &format!("\"{setting}\" = \"300000\""));
        }
        trial.fleet.start(slot);
    }
    trial.await_shares(&[4, 4]);
    // Whoever leads the group is among them.
    for (killed, other) in [(0, 1), (1, 0)] {
        trial.send_more(1_000);
        // Each task is at work.
        trial.await_caught_up();
        let before = [0, 1].map(|slot| trial.fleet.log(slot).len());
        let since = |fleet: &Fleet, slot: usize| fleet.log(slot)[before[slot]..].to_owned();
        trial.fleet.kill(killed);
        trial.send_more(500);
        trial.fleet.start(killed);
        trial.keep_sending_until("it has its tasks again", |fleet| {
            ["task starts", "epochs were repeated"].map(|said| since(fleet, killed).matches(said).count()).iter().sum::<usize>() >= 4
        });
        trial.await_caught_up();
        trial.await_shares(&[4, 4]);
        let log = since(&trial.fleet, other);
        let noticed: Vec<_> = log
            .lines()
            .filter(|line| ["the group has changed", "task starts", "epochs are repeated", "given up"].iter().any(|said| line.contains(said)))
            .collect();
        assert_eq!(noticed, [""; 0], "the other process goes on as if nothing had been");
    }
    assert_eq!(trial.fleet.failures, [""; 0], "none has ended by itself");
    trial.finish("2 restarts within the session, which moved no task");
}
