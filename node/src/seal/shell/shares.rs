//! Shares: taking them, and doing what they were given for once there are enough.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::act::{Finished, Outcome, act_for};
use crate::seal::actor::{Submission, Taken, Told};
use crate::seal::attempt::{AttemptId, Nonce, Purpose};
use crate::seal::init::{self, Opened};
use crate::seal::peers::end_at;
use crate::seal::rows::SealRows;
use crate::seal::shamir;
use crate::seal::state::{Ceremony, Event, Parameters};
use crate::seal::watch::Bar;
use crate::secret::Secret;

impl Shell {
    /// Starts an attempt at something that needs an open add-on.
    pub(super) async fn start_attempt(
        &mut self,
        purpose: Purpose,
        parameters: Parameters,
    ) -> Result<Told, Error> {
        self.require_standing_for(purpose)?;
        self.refresh().await?;
        self.require_standing_for(purpose)?;
        let advance = self.advance(purpose, Event::Started(parameters));
        advance.refused()?;
        Ok(advance.told)
    }

    /// Takes a share.
    pub(super) async fn submit(&mut self, submission: Submission) -> Result<Taken, Error> {
        let Submission {
            purpose,
            share,
            nonce,
        } = submission;
        self.finish_seal().await?;
        let rows = self.refresh().await?;
        if purpose.is_always_open() && matches!(self.standing, Standing::Open(_)) {
            return Ok(Taken {
                counted: false,
                told: Box::pin(async {}),
                outcome: None,
            });
        }
        self.require_standing_for(purpose)?;
        self.require_nonce(purpose, nonce)?;
        let advance = self.advance(purpose, Event::Submitted(share));
        advance.refused()?;
        let told = advance.told.shared();
        let mut outcome = None;
        if let Some(attempt) = advance.combine {
            let rows = rows.ok_or_else(|| Error::Bug("shares without seal rows".into()))?;
            outcome = self.act(attempt, &rows, told.clone().boxed()).await?;
        }
        Ok(Taken {
            counted: advance.counted,
            told: told.boxed(),
            outcome,
        })
    }

    fn require_nonce(&self, purpose: Purpose, nonce: Option<Nonce>) -> Result<(), Error> {
        match (nonce, self.attempt(purpose)) {
            (Some(nonce), Some(attempt)) if nonce != attempt.nonce() => Err(Error::invalid(
                "nonce",
                format!(
                    "incorrect nonce supplied; nonce for this operation is {}",
                    attempt.nonce()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Ends an attempt by request.
    pub(super) fn cancel(&mut self, purpose: Purpose) -> Result<Told, Error> {
        if purpose.is_always_open() && matches!(self.standing, Standing::Open(_)) {
            return Err(Error::bad_request("vault is unsealed"));
        }
        Ok(self.end_attempt(purpose))
    }

    /// Ends an attempt; where none was begun there is nothing to end.
    pub(super) fn end_attempt(&mut self, purpose: Purpose) -> Told {
        if self
            .ceremonies
            .get(&purpose)
            .is_some_and(Ceremony::is_started)
        {
            return self.advance(purpose, Event::Reset).told;
        }
        Box::pin(async {})
    }

    /// Everything but an unseal needs an open add-on.
    fn require_standing_for(&self, purpose: Purpose) -> Result<(), Error> {
        if purpose.is_always_open() || matches!(self.standing, Standing::Open(_)) {
            return Ok(());
        }
        Err(Error::Sealed)
    }

    /// Does what there are enough shares for. An attempt that could only not be done now is kept. Its end is told to the
    /// other nodes after `told`, so that they have the last share before they hear that it is over.
    pub(super) async fn act(
        &mut self,
        attempt: AttemptId,
        rows: &SealRows,
        told: Told,
    ) -> Result<Option<Outcome>, Error> {
        let done = match self.combine(attempt.purpose) {
            Err(error) => Err(error),
            Ok(unseal_key) if attempt.purpose.is_always_open() => {
                self.open(rows, &unseal_key).await.map(|()| None)
            }
            Ok(unseal_key) => self.run_act(attempt, rows, &unseal_key).await.map(Some),
        };
        if let Ok(Some(_)) = done
            && let Err(error) = self.refresh().await
        {
            // What was done stands; the store is read again with the next share.
            tracing::warn!(tenant = %self.parts.tenant, %error, "the store could not be read after a ceremony");
        }
        if !matches!(done, Err(Error::Unavailable(_) | Error::Conflict)) {
            self.step(attempt.purpose, Event::Finished(attempt));
            if let Some(next) = self.attempt(attempt.purpose) {
                let peers = Arc::clone(&self.parts.peers);
                actix::spawn(async move {
                    told.await;
                    peers.tell_attempt(next, 0);
                    peers.offer(end_at(next)).await;
                });
            }
        }
        done
    }

    fn combine(&self, purpose: Purpose) -> Result<Secret<[u8; 32]>, Error> {
        let ceremony = self.ceremony(purpose)?;
        let threshold = ceremony
            .basis()
            .map_or(0, |basis| basis.config.quorum().threshold());
        shamir::combine(ceremony.shares().take(usize::from(threshold)))
    }

    /// Opens the gate.
    async fn open(&mut self, rows: &SealRows, unseal_key: &Secret<[u8; 32]>) -> Result<(), Error> {
        let opened = init::open(self.parts.tenant, rows, unseal_key)?;
        self.open_gate(opened).await?;
        tracing::info!(tenant = %self.parts.tenant, "unsealed");
        Ok(())
    }

    /// Opens the gate with keys that are proven, unless a seal came in between.
    pub(super) async fn open_gate(&mut self, opened: Opened) -> Result<(), Error> {
        let Opened { unsealed, keys } = opened;
        let stored = self.stored().ok_or(Error::Sealed)?;
        let opening = (stored.incarnation, keys.epoch());
        self.standing = Standing::Opening;
        let barred = match self.in_time(self.parts.gate.open(unsealed)).await {
            Ok(publish) => {
                let mut watch = self.shared.watch.lock();
                let opened = watch.open(opening);
                if opened.is_ok() {
                    publish();
                }
                opened
            }
            Err(error) => {
                self.close();
                return Err(error);
            }
        };
        match barred {
            Ok(()) => {
                self.standing = Standing::Open(keys);
                Ok(())
            }
            Err(bar) => {
                self.close();
                if bar == Bar::Ordered {
                    // The node that was told to seal may never be back to do it.
                    self.plan(keys.intent(stored.incarnation)?);
                }
                Err(Error::Unavailable(
                    "the add-on was sealed meanwhile; give the shares again".into(),
                ))
            }
        }
    }

    async fn run_act(
        &self,
        attempt: AttemptId,
        rows: &SealRows,
        unseal_key: &Secret<[u8; 32]>,
    ) -> Result<Outcome, Error> {
        let parameters = self.ceremony(attempt.purpose)?.parameters();
        let parameters =
            parameters.ok_or_else(|| Error::Bug("an attempt that was not started".into()))?;
        let proof = init::prove(self.parts.tenant, rows, unseal_key)?;
        let act = act_for(attempt.purpose)?;
        act.run(Finished {
            parts: &self.parts,
            attempt,
            parameters,
            rows,
            proof: &proof,
        })
        .await
    }
}
