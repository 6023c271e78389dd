//! The queue before the lane: bounded in rows, two classes (interactive before bulk). A full queue refuses at
//! once instead of growing; nobody waits to be let in.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who goes first: alerts and people, or bulk imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// What the rules concluded: before everything, and never refused for want of room.
    Alarm,
    Interactive,
    Bulk,
}

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

struct State<T> {
    interactive: VecDeque<(usize, T)>,
    bulk: VecDeque<(usize, T)>,
    rows: usize,
    closed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { interactive: VecDeque::new(), bulk: VecDeque::new(), rows: 0, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    /// A panic elsewhere while the lock was held leaves the queue itself whole.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One job of so many rows. A job larger than the whole queue is let in when nothing else waits.
    pub(super) fn push(&self, rows: usize, priority: Priority, job: T) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        if priority != Priority::Alarm && state.rows > 0 && state.rows + rows > self.capacity {
            return Err(Refused::Full);
        }
        state.rows += rows;
        match priority {
            Priority::Alarm => state.interactive.push_front((rows, job)),
            Priority::Interactive => state.interactive.push_back((rows, job)),
            Priority::Bulk => state.bulk.push_back((rows, job)),
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Everything that waits, up to about `rows`; blocks while there is nothing. None: closed and empty.
    pub(super) fn take(&self, rows: usize) -> Option<Vec<T>> {
        let mut state = self.state();
        while state.rows == 0 {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut count = 0;
        while count < rows {
            let Some((size, job)) = state.interactive.pop_front().or_else(|| state.bulk.pop_front()) else { break };
            count += size;
            taken.push(job);
        }
        state.rows -= count;
        Some(taken)
    }

    /// Rows that wait now.
    pub(super) fn depth(&self) -> usize {
        self.state().rows
    }

    /// Whether so many rows more would fill it by more than half.
    pub(super) fn is_crowded(&self, rows: usize) -> bool {
        self.state().rows + rows > self.capacity / 2
    }

    /// Nothing more comes in; what waits is still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interactive_jobs_go_first_and_a_full_queue_refuses() {
        let queue = Queue::new(10);
        queue.push(6, Priority::Bulk, "b").unwrap();
        queue.push(4, Priority::Interactive, "i").unwrap();
        assert_eq!(queue.push(1, Priority::Interactive, "x"), Err(Refused::Full));
        assert_eq!((queue.depth(), queue.take(4).unwrap()), (10, vec!["i"]));
        assert_eq!(queue.take(100).unwrap(), ["b"]);
        queue.push(1000, Priority::Bulk, "large").unwrap();
        queue.close();
        assert_eq!(queue.push(1, Priority::Bulk, "late"), Err(Refused::Closed));
        assert_eq!((queue.take(1), queue.take(1)), (Some(vec!["large"]), None));
    }
}
