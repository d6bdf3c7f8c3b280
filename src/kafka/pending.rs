//! Calls of the library that may take far longer than they are told to, on a thread of their own: whoever waits for one can do other things meanwhile, and can leave it to itself.
//!
//! What is left goes on until the library lets go of it. What it works on must be its own by then, or be shared with it.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

type Call = Box<dyn FnOnce() + Send>;

/// A thread that makes one call after the other, and ends with the last once nobody has another for it. (With a thread for each call, a transaction took half as much processor time again.)
pub(super) struct Caller(Sender<Call>);

impl Caller {
    pub(super) fn new() -> Self {
        let (calls, called) = crossbeam_channel::unbounded::<Call>();
        let span = tracing::Span::current();
        std::thread::spawn(move || span.in_scope(|| called.into_iter().for_each(|call| call())));
        Self(calls)
    }

    pub(super) fn begin<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        // Nobody listens any more where the call was left. And where one has panicked before, there is nobody to make it: then it has no answer.
        drop(self.0.send(Box::new(move || drop(answer.send(call())))));
        Pending(answered)
    }
}

pub(super) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// The answer, told once; `None`: not yet.
    pub(super) fn wait(&self, wait: Duration) -> Option<T> {
        match self.0.recv_timeout(wait) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("a call has panicked, or was asked for its answer twice"),
        }
    }
}
