//! Work beside a worker: what has to wait for brokers, on a thread of its own. So the worker goes on being a member of its group meanwhile, and ends when it is told to.
//!
//! What nobody waits for any more goes on until the brokers answer, or the process ends.

use crossbeam_channel::{Receiver, TryRecvError};

use crate::event::{ProcessingTime, TimeSpan};

/// Where such work is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beside {
    /// While the worker goes on.
    OnThreads,
    /// On the worker's own: everything then happens in one order, which a simulation needs.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the simulation"))]
    InTurn,
}

impl Beside {
    pub(super) fn run(self, work: impl FnOnce() + Send + 'static) {
        match self {
            Self::OnThreads => {
                let span = tracing::Span::current();
                drop(std::thread::spawn(move || span.in_scope(work)));
            }
            Self::InTurn => work(),
        }
    }
}

/// An inquiry to the brokers, one at a time.
pub(super) struct Inquiry<T>(Option<Receiver<T>>);

impl<T> Default for Inquiry<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Inquiry<T> {
    /// No answer is awaited.
    pub(super) fn is_free(&self) -> bool {
        self.0.is_none()
    }

    /// Whatever was asked before is not awaited any more.
    pub(super) fn ask(&mut self, beside: Beside, find_out: impl FnOnce() -> T + Send + 'static) {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.0 = Some(answered);
        // Nobody listens any more where the worker has ended.
        beside.run(move || drop(answer.send(find_out())));
    }

    /// Told once; `None`: none yet.
    pub(super) fn answer(&mut self) -> Option<T> {
        match self.0.as_ref()?.try_recv() {
            Ok(answer) => {
                self.0 = None;
                Some(answer)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("who was to find out has panicked"),
        }
    }
}

/// Inquiries that are made again and again, not sooner than an interval after the one before.
pub(super) struct Inquiries<T> {
    interval: TimeSpan,
    asked: Option<ProcessingTime>,
    inquiry: Inquiry<T>,
}

impl<T: Send + 'static> Inquiries<T> {
    pub(super) fn new(interval: TimeSpan) -> Self {
        Self { interval, asked: None, inquiry: Inquiry::default() }
    }

    pub(super) fn is_due(&self, now: ProcessingTime) -> bool {
        self.inquiry.is_free() && self.asked.is_none_or(|asked| now.since(asked) >= self.interval)
    }

    pub(super) fn ask(&mut self, now: ProcessingTime, beside: Beside, find_out: impl FnOnce() -> T + Send + 'static) {
        self.asked = Some(now);
        self.inquiry.ask(beside, find_out);
    }

    /// As [`Inquiry::answer`] has it.
    pub(super) fn answer(&mut self) -> Option<T> {
        self.inquiry.answer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_once_and_the_next_inquiry_is_free_then() {
        let mut inquiry = Inquiry::default();
        assert!(inquiry.is_free());
        let (answer, answered) = crossbeam_channel::bounded(0);
        inquiry.ask(Beside::OnThreads, move || answered.recv());
        assert!(!inquiry.is_free() && inquiry.answer().is_none(), "it is not waited for");
        answer.send(7).expect("awaited");
        let told = loop {
            if let Some(told) = inquiry.answer() {
                break told;
            }
            std::thread::yield_now();
        };
        assert_eq!((told, inquiry.is_free(), inquiry.answer()), (Ok(7), true, None));
        inquiry.ask(Beside::InTurn, || Ok(8));
        assert_eq!(inquiry.answer(), Some(Ok(8)));
    }
}
