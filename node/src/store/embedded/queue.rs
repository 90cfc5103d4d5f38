//! The bounded queue between transactions and the one thread that commits them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::overlay::WriteBuffer;
use super::super::{Stamp, StoreError};
use super::conflict::ReadSet;

/// A transaction that wants to be committed.
pub(super) struct Request {
    pub(super) writes: WriteBuffer,
    pub(super) reads: ReadSet,
    pub(super) read_version: u64,
    pub(super) reply: oneshot::Sender<Result<Stamp, StoreError>>,
}

impl Request {
    fn weight_kib(&self) -> u32 {
        let bytes = self.writes.bytes().saturating_add(self.reads.bytes());
        u32::try_from(bytes / 1024)
            .unwrap_or(u32::MAX)
            .saturating_add(1)
            .min(QUEUE_KIB)
    }
}

/// How much may wait: 256 MiB of writes, every transaction counting for at least 1 KiB. Beyond that, committers wait in
/// line outside, which is what slows a flood down.
const QUEUE_KIB: u32 = 256 * 1024;
/// How many transactions share one fsync at most. A group this large makes the fsync's share of each negligible.
const GROUP_COUNT: usize = 1024;
/// How much one group may write, so that the first of it does not wait long for the last.
const GROUP_KIB: u32 = 64 * 1024;

/// See the module's documentation.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Request, OwnedSemaphorePermit)>,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
        }
    }

    /// Adds a request, waiting for room. Refused once the queue is closed.
    pub(super) async fn push(&self, request: Request) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let room = Arc::clone(&self.room);
        let permit = room
            .acquire_many_owned(request.weight_kib())
            .await
            .map_err(|_| closed())?;
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.waiting.push_back((request, permit));
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for requests and takes a group of them, in order. `None` once the queue is closed and empty.
    pub(super) fn take_group(&self) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        let mut group = Vec::new();
        let mut weight = 0_u32;
        while let Some((request, permit)) = state.waiting.pop_front() {
            weight = weight.saturating_add(request.weight_kib());
            if group.len() == GROUP_COUNT || (weight > GROUP_KIB && !group.is_empty()) {
                state.waiting.push_front((request, permit));
                break;
            }
            group.push(request);
        }
        Some(group)
    }

    /// Takes no more requests. Those that wait are still handed out.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.filled.notify_all();
    }

    /// Takes everything that waits, without waiting.
    pub(super) fn take_waiting(&self) -> Vec<Request> {
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        waiting.into_iter().map(|(request, _)| request).collect()
    }

    /// Waits for a request, but at most that long, and says whether the queue is closed.
    pub(super) fn wait_until_closed(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.closed && state.waiting.is_empty() {
            self.filled.wait_for(&mut state, at_most);
        }
        state.closed
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn request(bytes: usize) -> Request {
        let mut writes = WriteBuffer::default();
        writes.set(b"key", &vec![0; bytes]);
        let (reply, _) = oneshot::channel();
        Request {
            writes,
            reads: ReadSet::default(),
            read_version: 0,
            reply,
        }
    }

    #[tokio::test]
    async fn groups_are_bounded_by_count_and_bytes_and_keep_the_order() {
        let queue = Queue::new();
        for number in 0..GROUP_COUNT + 5 {
            queue.push(request(number % 7)).await.unwrap();
        }
        let first = queue.take_group().unwrap();
        assert_eq!(first.len(), GROUP_COUNT);
        assert!(
            first
                .iter()
                .zip(0..)
                .all(|(request, number)| request.writes.bytes() == 3 + number % 7)
        );
        assert_eq!(queue.take_group().unwrap().len(), 5);

        let third = GROUP_KIB as usize * 1024 / 3;
        for bytes in [third, third, third, third, 3 * third, 1] {
            queue.push(request(bytes)).await.unwrap();
        }
        let sizes: Vec<usize> = (0..4).map(|_| queue.take_group().unwrap().len()).collect();
        assert_eq!(sizes, [2, 2, 1, 1]);
    }

    #[tokio::test]
    async fn a_full_queue_makes_callers_wait_until_there_is_room_or_it_closes() {
        let queue = Queue::new();
        let half = QUEUE_KIB as usize * 1024 / 2;
        queue.push(request(half - 2048)).await.unwrap();
        queue.push(request(half - 2048)).await.unwrap();
        let mut third = Box::pin(queue.push(request(half)));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(queue.take_group().unwrap().len(), 1);
        third.await.unwrap();
        let mut fourth = Box::pin(queue.push(request(half)));
        assert!(fourth.as_mut().now_or_never().is_none());
        queue.close();
        assert!(matches!(fourth.await, Err(StoreError::Unavailable(_))));
        assert!(matches!(
            queue.push(request(1)).await,
            Err(StoreError::Unavailable(_))
        ));
        // What was in line before is still served.
        assert_eq!(queue.take_group().unwrap().len(), 1);
        assert_eq!(queue.take_group().unwrap().len(), 1);
        assert!(queue.take_group().is_none());
    }
}
