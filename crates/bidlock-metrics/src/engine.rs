//! Whether a store answers, and its errors: the same for engines of locks and for the ledger.

use metrics::{Counter, Gauge};

use crate::series::{BACKEND_ERRORS, BACKEND_UP};

/// The instruments of one engine. It counts as up until a call fails in a way that says otherwise.
#[derive(Clone, Debug)]
pub struct Engine {
    name: &'static str,
    up: Gauge,
    errors: Vec<(&'static str, Counter)>,
}

impl Engine {
    /// Of the engine with this name, whose errors have these reasons.
    pub fn new(name: &'static str, reasons: impl IntoIterator<Item = &'static str>) -> Engine {
        let up = BACKEND_UP.gauge(&[name]);
        up.set(1.0);
        let errors = reasons.into_iter().map(|reason| (reason, BACKEND_ERRORS.counter(&[name, reason])));
        Engine { name, up, errors: errors.collect() }
    }

    /// It answered.
    pub fn answered(&self) {
        self.up.set(1.0);
    }

    /// It did not answer: it is down.
    pub fn is_down(&self) {
        self.up.set(0.0);
    }

    /// A call failed. Whether the engine is down is for the caller to say.
    pub fn failed(&self, reason: &'static str) {
        match self.errors.iter().find(|(known, _)| *known == reason) {
            Some((_, errors)) => errors.increment(1),
            None => BACKEND_ERRORS.counter(&[self.name, reason]).increment(1),
        }
    }
}
