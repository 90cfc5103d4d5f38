//! Shares: taking them, and doing what they were given for once there are enough.

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::act::{Finished, Outcome, act_for};
use crate::seal::actor::{Submission, Taken};
use crate::seal::attempt::{AttemptId, Purpose};
use crate::seal::init::{self, Opened};
use crate::seal::rows::SealRows;
use crate::seal::shamir;
use crate::seal::state::{Ceremony, Effect, Event, Parameters};
use crate::secret::Secret;

impl Shell {
    /// Starts an attempt at something that needs an open add-on.
    pub(super) async fn start_attempt(
        &mut self,
        purpose: Purpose,
        parameters: Parameters,
    ) -> Result<(), Error> {
        self.require_standing_for(purpose)?;
        self.refresh().await?;
        for effect in self.step(purpose, Event::Started(parameters)) {
            if let Effect::Refuse(refusal) = effect {
                return Err(refusal.into());
            }
        }
        Ok(())
    }

    /// Takes a share.
    pub(super) async fn submit(&mut self, submission: Submission) -> Result<Taken, Error> {
        let Submission {
            purpose,
            share,
            nonce,
        } = submission;
        self.finish_seal().await?;
        if purpose.is_always_open() && matches!(self.standing, Standing::Open(_)) {
            return Ok(Taken::default());
        }
        self.require_standing_for(purpose)?;
        let rows = self.refresh().await?;
        if let (Some(nonce), Some(attempt)) = (nonce, self.attempt(purpose))
            && nonce != attempt.nonce()
        {
            return Err(Error::invalid(
                "nonce",
                format!(
                    "incorrect nonce supplied; nonce for this operation is {:?}",
                    attempt.nonce().to_string()
                ),
            ));
        }
        let mut taken = Taken::default();
        for effect in self.step(purpose, Event::Submitted(share)) {
            match effect {
                Effect::Refuse(refusal) => return Err(refusal.into()),
                // A single node has nobody to give the share to.
                Effect::Replicate { .. } => taken.counted = true,
                Effect::Combine(attempt) => {
                    let rows = rows
                        .as_ref()
                        .ok_or_else(|| Error::Bug("shares without seal rows".into()))?;
                    taken.outcome = self.act(attempt, rows).await?;
                }
                Effect::Progress { .. } | Effect::Reload => {}
            }
        }
        Ok(taken)
    }

    /// Ends an attempt by request.
    pub(super) fn cancel(&mut self, purpose: Purpose) -> Result<(), Error> {
        if purpose.is_always_open() && matches!(self.standing, Standing::Open(_)) {
            return Err(Error::bad_request("vault is unsealed"));
        }
        self.end_attempt(purpose);
        Ok(())
    }

    /// Ends an attempt; where none was begun there is nothing to end.
    pub(super) fn end_attempt(&mut self, purpose: Purpose) {
        if self
            .ceremonies
            .get(&purpose)
            .is_some_and(Ceremony::is_started)
        {
            self.step(purpose, Event::Reset);
        }
    }

    /// Everything but an unseal needs an open add-on.
    fn require_standing_for(&self, purpose: Purpose) -> Result<(), Error> {
        if purpose.is_always_open() || matches!(self.standing, Standing::Open(_)) {
            return Ok(());
        }
        Err(Error::Sealed)
    }

    /// Does what there are enough shares for. An attempt that could only not be done now is kept.
    async fn act(&mut self, attempt: AttemptId, rows: &SealRows) -> Result<Option<Outcome>, Error> {
        let done = match self.combine(attempt.purpose) {
            Err(error) => Err(error),
            Ok(unseal_key) if attempt.purpose.is_always_open() => {
                self.open(rows, &unseal_key).await.map(|()| None)
            }
            Ok(unseal_key) => self.run_act(attempt, rows, &unseal_key).await.map(Some),
        };
        if !matches!(done, Err(Error::Unavailable(_) | Error::Conflict)) {
            self.step(attempt.purpose, Event::Finished(attempt));
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

    /// Opens the gate with keys that are proven.
    pub(super) async fn open_gate(&mut self, opened: Opened) -> Result<(), Error> {
        let Opened { unsealed, keys } = opened;
        self.standing = Standing::Opening;
        match self.in_time(self.parts.gate.open(unsealed)).await {
            Ok(()) => {
                self.standing = Standing::Open(keys);
                Ok(())
            }
            Err(error) => {
                self.parts.gate.close();
                self.standing = Standing::Sealed;
                Err(error)
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
