//! Sharing of loads: requests that miss the same key at the same time wait for one load instead of making one each.
//!
//! A request may share a load only if it began after the request came, because "there is no such key" must not be
//! older than the question. So whoever comes while a load is under way waits for the next one, together with all others
//! who came meanwhile. There is at most one load per key at a time, and none for keys that nobody asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::Error;
use crate::store::key::Pseudonym;

/// The loads under way, of results that can be handed to several requests.
pub struct Flights<T>(Mutex<HashMap<Pseudonym, Arc<Flight<T>>>>);

struct Flight<T> {
    /// How many loads have begun.
    begun: AtomicU64,
    /// The last load that ended: its number and what it found. Locked while a load is under way.
    last: tokio::sync::Mutex<Option<(u64, Result<T, Shared>)>>,
}

/// A failed load as the requests that shared it see it.
#[derive(Clone, Copy)]
enum Shared {
    Sealed,
    Conflict,
    Other,
}

impl<T: Clone> Flights<T> {
    /// No loads.
    pub fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The result of a load of `pseudonym` that begins after this call: one that somebody else makes, or `load`.
    ///
    /// # Errors
    /// What the load says; somebody else's failure comes as [`Error::Unavailable`] where it cannot be repeated.
    pub async fn share(
        &self,
        pseudonym: Pseudonym,
        load: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let seat = self.join(pseudonym);
        let flight = &seat.flight;
        let begun_before = flight.begun.load(Ordering::SeqCst);
        let mut last = flight.last.lock().await;
        if let Some((number, result)) = &*last
            && *number > begun_before
        {
            return result.clone().map_err(retell);
        }
        let number = flight.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = load.await;
        *last = Some((number, result.as_ref().map_err(Shared::from).cloned()));
        result
    }

    fn join(&self, pseudonym: Pseudonym) -> Seat<'_, T> {
        let fresh = || {
            Arc::new(Flight {
                begun: AtomicU64::new(0),
                last: tokio::sync::Mutex::new(None),
            })
        };
        let flight = Arc::clone(self.0.lock().entry(pseudonym).or_insert_with(fresh));
        Seat {
            flights: self,
            pseudonym,
            flight,
        }
    }
}

/// A request's place in a flight. It is given up also when the request is dropped half-way.
struct Seat<'f, T> {
    flights: &'f Flights<T>,
    pseudonym: Pseudonym,
    flight: Arc<Flight<T>>,
}

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        // Seats are taken and given up under this lock: the map's own and this one left means nobody else is there.
        if Arc::strong_count(&self.flight) <= 2 {
            flights.remove(&self.pseudonym);
        }
    }
}

impl From<&Error> for Shared {
    fn from(error: &Error) -> Self {
        match error {
            Error::Sealed => Self::Sealed,
            Error::Conflict => Self::Conflict,
            _ => Self::Other,
        }
    }
}

fn retell(shared: Shared) -> Error {
    match shared {
        Shared::Sealed => Error::Sealed,
        Shared::Conflict => Error::Conflict,
        Shared::Other => Error::Unavailable("the key could not be read from the store".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    const KEY: Pseudonym = Pseudonym([1; 16]);

    #[actix::test]
    async fn those_who_come_during_a_load_share_the_next_one() {
        let flights = Flights::new();
        let loads = Cell::new(0);
        let load = async || {
            flights
                .share(KEY, async {
                    loads.set(loads.get() + 1);
                    let number = loads.get();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Ok(number)
                })
                .await
                .unwrap()
        };
        let seen = join_all((0..50).map(|_| load())).await;
        assert_eq!(loads.get(), 2);
        assert_eq!(seen.iter().filter(|number| **number == 1).count(), 1);
        assert_eq!(seen.iter().filter(|number| **number == 2).count(), 49);
        assert!(flights.0.lock().is_empty());
        assert_eq!(load().await, 3, "an old result is not handed out later");
    }

    #[actix::test]
    async fn a_request_that_goes_away_takes_nobody_with_it() {
        let flights = Flights::new();
        let stuck = flights.share(KEY, std::future::pending::<Result<u8, Error>>());
        let given_up = tokio::time::timeout(Duration::from_millis(2), stuck).await;
        assert!(given_up.is_err());
        assert!(flights.0.lock().is_empty());
        assert_eq!(flights.share(KEY, async { Ok(5) }).await.unwrap(), 5);
    }

    #[actix::test]
    async fn a_failure_is_shared_too() {
        let flights = Flights::<u8>::new();
        let fail = || {
            flights.share(KEY, async {
                tokio::task::yield_now().await;
                Err(Error::Sealed)
            })
        };
        for result in join_all([fail(), fail(), fail()]).await {
            assert!(matches!(result, Err(Error::Sealed)));
        }
    }
}
