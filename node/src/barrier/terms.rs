//! The data keys of an open add-on, by term, and how a node learns of terms that were added elsewhere.
//!
//! A new term is a row like any other, encrypted under the term before it, so every node that is open can open it too:
//! no key above the data keys stays in memory for that. The terms form a chain that begins in the
//! [keyring](crate::seal::keyring); whoever has one link and can read the store has all later ones. A node that meets
//! a row of a term that it does not know reads on in the chain, once, in the same transaction.
//!
//! Terms are only ever added, and a term read in a transaction is committed: only [`Rows::add_term`] writes one, and
//! nothing is read after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::envelope::{self, RowCipher};
use super::rows::decode;
use super::{Rows, Unsealed};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::seal::keyring::{Keyring, Term};
use crate::store::change::Facet;
use crate::store::key::{Key, Part, Scope, Table};

/// How many terms an add-on may have: more than a year of daily rotation. Each is kept in memory for as long as the
/// add-on is open, and read one by one when it opens.
pub const MAX_TERMS: u32 = 400;

/// One data key, expanded once.
struct OpenTerm {
    number: u32,
    created: Timestamp,
    cipher: RowCipher,
    /// What this node encrypted under it and has not yet counted in the store.
    encryptions: AtomicU64,
}

/// The data keys of an open add-on, oldest first.
pub(super) struct Terms(ArcSwap<Vec<Arc<OpenTerm>>>);

/// What is known of the newest term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TermStatus {
    /// Its number.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// How many rows were encrypted under it, by all nodes. Those that another node has not yet counted are missing,
    /// and what a node did not count before it ended stays missing: this serves rotation, and XChaCha20-Poly1305 with
    /// random nonces has no limit that a count must guard.
    pub encryptions: u64,
}

impl OpenTerm {
    fn of(term: &Term) -> Arc<Self> {
        Arc::new(Self {
            number: term.number,
            created: term.created,
            cipher: RowCipher::new(&term.key()),
            encryptions: AtomicU64::new(0),
        })
    }
}

impl Terms {
    /// The terms of a keyring.
    ///
    /// # Errors
    /// [`Error::Bug`] when it has none.
    pub fn new(keyring: &Keyring) -> Result<Self, Error> {
        let terms: Vec<_> = keyring.terms().iter().map(OpenTerm::of).collect();
        if terms.is_empty() {
            return Err(Error::Bug("a keyring without terms".into()));
        }
        Ok(Self(ArcSwap::from_pointee(terms)))
    }

    fn newest(&self) -> Result<Arc<OpenTerm>, Error> {
        let terms = self.0.load();
        let newest = terms.last().map(Arc::clone);
        newest.ok_or_else(|| Error::Bug("a keyring without terms".into()))
    }

    /// Adds the term that follows the newest; a term that is known already is none.
    fn learn(&self, term: &Term) {
        self.0.rcu(|terms| {
            let newest = terms.last().map_or(0, |newest| newest.number);
            let mut terms = Vec::clone(terms);
            if term.number == newest + 1 {
                terms.push(OpenTerm::of(term));
            }
            terms
        });
    }
}

impl Unsealed {
    /// Encrypts under the newest term for the row at `address`.
    pub(super) fn seal_row(&self, address: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let term = self.terms.newest()?;
        term.encryptions.fetch_add(1, Ordering::Relaxed);
        term.cipher
            .seal(&self.random, term.number, address, plaintext)
    }

    /// Decrypts a row of any term that is known here.
    pub(super) fn open_row(
        &self,
        address: &[u8],
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let number = envelope::term_of(envelope)?;
        let terms = self.terms.0.load();
        terms
            .iter()
            .rev()
            .find(|term| term.number == number)
            .ok_or_else(|| Error::Corrupt("a row of an unknown term".into()))
            .and_then(|term| term.cipher.open(address, envelope))
    }

    /// Takes what this node encrypted since it was asked last, by term, to be counted in the store.
    pub fn take_encryptions(&self) -> Vec<(u32, u64)> {
        let terms = self.terms.0.load();
        terms
            .iter()
            .map(|term| (term.number, term.encryptions.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Gives back what could not be counted.
    pub fn return_encryptions(&self, counts: &[(u32, u64)]) {
        for term in self.terms.0.load().iter() {
            for (_, count) in counts.iter().filter(|(number, _)| *number == term.number) {
                term.encryptions.fetch_add(*count, Ordering::Relaxed);
            }
        }
    }
}

impl Rows<'_> {
    /// Decrypts a row, whose term may be one that was added elsewhere.
    pub(super) async fn open(
        &mut self,
        address: &[u8],
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        if envelope::term_of(envelope)? > self.unsealed.terms.newest()?.number {
            self.catch_up().await?;
        }
        self.unsealed.open_row(address, envelope)
    }

    /// Learns of the terms that were added elsewhere. Returns the newest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when one does not open.
    pub async fn catch_up(&mut self) -> Result<u32, Error> {
        loop {
            let newest = self.unsealed.terms.newest()?.number;
            let address = self.term_address(newest + 1);
            let Some(envelope) = self.transaction.get(&address).await? else {
                return Ok(newest);
            };
            let row = self.unsealed.open_row(address.as_bytes(), &envelope)?;
            let term: Term = decode(&row)?;
            if term.number != newest + 1 {
                return Err(Error::Corrupt("a term in the place of another".into()));
            }
            self.unsealed.terms.learn(&term);
        }
    }

    /// Adds a term. Rows are encrypted under it once it is committed and [caught up with](Rows::catch_up), which other
    /// nodes are told to do. Nothing may be read from these rows afterwards: it would be taken for committed.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are too many, [`Error::Bug`] when it does not follow the newest.
    pub fn add_term(&mut self, term: &Term) -> Result<(), Error> {
        if term.number != self.unsealed.terms.newest()?.number + 1 {
            return Err(Error::Bug("a term that does not follow the newest".into()));
        }
        if term.number > MAX_TERMS {
            return Err(Error::bad_request(format!(
                "the keyring has {MAX_TERMS} terms, and cannot have more"
            )));
        }
        self.of(self.tenant_scope())
            .put_json(Table::Term, &[term_part(term.number)], term)?;
        self.note_change(Facet::Terms);
        Ok(())
    }

    /// The newest term, and how much it was used.
    ///
    /// # Errors
    /// As [`Rows::catch_up`].
    pub async fn term_status(&mut self) -> Result<TermStatus, Error> {
        self.catch_up().await?;
        let newest = self.unsealed.terms.newest()?;
        let address = self.count_address(newest.number);
        let counted = self
            .transaction
            .get(&address)
            .await?
            .and_then(|row| row.try_into().ok())
            .map_or(0, i64::from_le_bytes);
        let here = newest.encryptions.load(Ordering::Relaxed);
        Ok(TermStatus {
            number: newest.number,
            created: newest.created,
            encryptions: u64::try_from(counted).unwrap_or(0).saturating_add(here),
        })
    }

    /// Counts encryptions in the store. The counters are plaintext that anybody with the database can change: what they
    /// count shows in the database anyway, and a wrong count only rotates sooner or later.
    pub fn count_encryptions(&mut self, counts: &[(u32, u64)]) {
        for (number, count) in counts {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.transaction.add(&self.count_address(*number), count);
        }
    }

    fn tenant_scope(&self) -> Scope {
        Scope::Tenant(self.unsealed.tenant)
    }

    fn term_address(&self, number: u32) -> Key {
        Key::row(self.tenant_scope(), Table::Term, &[term_part(number)])
    }

    fn count_address(&self, number: u32) -> Key {
        Key::row(self.tenant_scope(), Table::TermUse, &[term_part(number)])
    }
}

fn term_part(number: u32) -> Part {
    Part::Number(u64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::View;
    use crate::barrier::testing::{addon, reopened, tenant_view};
    use crate::rng::OsRandom;
    use crate::secret::Secret;

    const HERE: [Part; 1] = [Part::Number(7)];

    async fn add_term(view: &View) -> Result<u32, Error> {
        let added = view
            .run(async |rows| {
                let number = rows.catch_up().await? + 1;
                let key = Secret::new(OsRandom.array());
                rows.add_term(&Term::new(number, Timestamp(5), &key))?;
                Ok(number)
            })
            .await?;
        assert_eq!(
            view.run(async |rows| rows.catch_up().await).await.unwrap(),
            added
        );
        Ok(added)
    }

    async fn write(view: &View, value: &[u8]) {
        view.run(async |rows| rows.put(Table::KvPlain, &HERE, value))
            .await
            .unwrap();
    }

    async fn read(view: &View) -> Result<Vec<u8>, Error> {
        let row = view.run(async |rows| rows.get(Table::KvPlain, &HERE).await);
        row.await.map(|row| row.unwrap().to_vec())
    }

    async fn stored_term(view: &View) -> u32 {
        let scope = Scope::Tenant(view.unsealed().tenant());
        let key = Key::row(scope, Table::KvPlain, &HERE);
        let row = crate::store::transact(view.store().as_ref(), async |transaction, _| {
            Ok(transaction.get(&key).await?)
        });
        let (row, _) = row.await.unwrap();
        envelope::term_of(&row.unwrap()).unwrap()
    }

    #[actix::test]
    async fn a_node_that_meets_an_unknown_term_reads_on_in_the_chain() {
        let (store, keyring, one) = addon().await;
        let two = reopened(&one, &keyring);
        let scope = Scope::Tenant(one.tenant());
        let one = View::new(Arc::clone(&store), Arc::new(one), scope);
        let two = View::new(store, Arc::new(two), scope);
        write(&one, b"under the first").await;
        assert_eq!(add_term(&one).await.unwrap(), 2);
        assert_eq!(read(&one).await.unwrap(), b"under the first");
        assert_eq!(add_term(&one).await.unwrap(), 3);
        write(&one, b"under the third").await;
        assert_eq!(stored_term(&one).await, 3);
        assert_eq!(two.unsealed().terms.newest().unwrap().number, 1);
        assert_eq!(read(&two).await.unwrap(), b"under the third");
        write(&two, b"also").await;
        assert_eq!(stored_term(&one).await, 3);
        assert_eq!(read(&one).await.unwrap(), b"also");
    }

    #[actix::test]
    async fn two_nodes_that_add_a_term_at_once_add_two() {
        let (store, keyring, one) = addon().await;
        let two = reopened(&one, &keyring);
        let scope = Scope::Tenant(one.tenant());
        let one = View::new(Arc::clone(&store), Arc::new(one), scope);
        let two = View::new(store, Arc::new(two), scope);
        let (first, second) = tokio::join!(add_term(&one), add_term(&two));
        let mut numbers = [first.unwrap(), second.unwrap()];
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);
        write(&one, b"x").await;
        assert_eq!(read(&two).await.unwrap(), b"x");
    }

    #[actix::test]
    async fn a_term_that_nobody_added_is_an_error_and_not_a_loop() {
        let view = tenant_view().await;
        write(&view, b"x").await;
        let scope = Scope::Tenant(view.unsealed().tenant());
        let key = Key::row(scope, Table::KvPlain, &HERE);
        crate::store::transact(view.store().as_ref(), async |transaction, _| {
            let mut row = transaction.get(&key).await?.unwrap();
            row[4] = 9;
            transaction.set(&key, &row);
            Ok(())
        })
        .await
        .unwrap();
        let refused = read(&view).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
    }

    #[actix::test]
    async fn a_link_in_the_place_of_another_breaks_the_chain() {
        let (store, keyring, one) = addon().await;
        let two = reopened(&one, &keyring);
        let scope = Scope::Tenant(one.tenant());
        let one = View::new(Arc::clone(&store), Arc::new(one), scope);
        let two = View::new(Arc::clone(&store), Arc::new(two), scope);
        add_term(&one).await.unwrap();
        add_term(&one).await.unwrap();
        let link = |number| Key::row(scope, Table::Term, &[term_part(number)]);
        crate::store::transact(store.as_ref(), async |transaction, _| {
            let third = transaction.get(&link(3)).await?.unwrap();
            transaction.set(&link(2), &third);
            Ok(())
        })
        .await
        .unwrap();
        assert!(two.run(async |rows| rows.catch_up().await).await.is_err());
    }

    #[actix::test]
    async fn terms_are_bounded() {
        let view = tenant_view().await;
        for _ in 1..MAX_TERMS {
            add_term(&view).await.unwrap();
        }
        let refused = add_term(&view).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
        write(&view, b"still").await;
    }

    #[actix::test]
    async fn encryptions_are_counted_over_nodes() {
        let (store, keyring, one) = addon().await;
        let two = reopened(&one, &keyring);
        let scope = Scope::Tenant(one.tenant());
        let one = View::new(Arc::clone(&store), Arc::new(one), scope);
        let two = View::new(store, Arc::new(two), scope);
        for _ in 0..3 {
            write(&one, b"x").await;
        }
        write(&two, b"x").await;
        let counts = two.unsealed().take_encryptions();
        assert_eq!(counts, [(1, 1)]);
        two.unsealed().return_encryptions(&counts);
        let counts = two.unsealed().take_encryptions();
        two.run(async |rows| {
            rows.count_encryptions(&counts);
            Ok(())
        })
        .await
        .unwrap();
        let status = one
            .run(async |rows| rows.term_status().await)
            .await
            .unwrap();
        assert_eq!((status.number, status.encryptions), (1, 4));
        add_term(&one).await.unwrap();
        let status = two
            .run(async |rows| rows.term_status().await)
            .await
            .unwrap();
        assert_eq!(
            (status.number, status.created, status.encryptions),
            (2, Timestamp(5), 0)
        );
    }
}
