//! Connections that may have to make room for others: those that say nothing, the longest silent first (G9).
//!
//! What a connection is for is not known before it asked, and whoever never asks costs nothing to open. So
//! where all places are taken, silence does not keep one: whoever asks soon after connecting is answered
//! before it is the longest silent, unless more connect in that time than there are places. A request that is
//! half there is silence, too; one that the shard works on is not. An answer that its client does not take is
//! silence again: held for it, a place would be anybody's who asks and does not read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::oneshot;

/// Who is silent. Whoever is dropped from here is closed.
#[derive(Default)]
pub(super) struct Silent(Rc<RefCell<Line>>);

#[derive(Default)]
struct Line {
    last: u64,
    silent: BTreeMap<u64, oneshot::Sender<()>>,
}

/// One connection's place among the silent, while it is.
pub(super) struct Place {
    line: Rc<RefCell<Line>>,
    number: Cell<u64>,
    /// While it speaks.
    close: Cell<Option<oneshot::Sender<()>>>,
}

// === impl Silent ===

impl Silent {
    /// A connection that has said nothing yet, and what ends when it must make room.
    pub(super) fn join(&self) -> (Place, oneshot::Receiver<()>) {
        let (close, closed) = oneshot::channel();
        let number = Cell::new(self.0.borrow_mut().push(close));
        (Place { line: self.0.clone(), number, close: Cell::new(None) }, closed)
    }

    /// Closes whoever has been silent longest. Whether there was somebody.
    pub(super) fn make_room(&self) -> bool {
        self.0.borrow_mut().silent.pop_first().is_some()
    }

    /// How many are silent.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().silent.len()
    }
}

// === impl Line ===

impl Line {
    fn push(&mut self, close: oneshot::Sender<()>) -> u64 {
        self.last += 1;
        self.silent.insert(self.last, close);
        self.last
    }
}

// === impl Place ===

impl Place {
    /// It asked, and keeps its place until it is silent again.
    pub(super) fn speaks(&self) {
        let close = self.line.borrow_mut().silent.remove(&self.number.get());
        if close.is_some() {
            self.close.set(close);
        }
    }

    /// It was answered: nobody has been silent for a shorter time. One that had to make room has none.
    pub(super) fn falls_silent(&self) {
        if let Some(close) = self.close.take() {
            self.number.set(self.line.borrow_mut().push(close));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.borrow_mut().silent.remove(&self.number.get());
    }
}
