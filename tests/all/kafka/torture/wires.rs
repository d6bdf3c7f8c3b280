//! The answers on which it hangs whether a transaction has happened: swallowed, late, or cut off.

use std::time::Duration;

use crate::kafka::proxy::{END_TXN, Proxy, TXN_OFFSET_COMMIT, Trick};
use crate::kafka::torture::trial::Trial;

/// Longer than a transaction may take.
const TOO_LATE: Duration = Duration::from_secs(6);

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
