//! Reading messages. Whatever comes, it either is exactly one message or is refused.

use zeroize::Zeroizing;

use super::{Answer, Malformed, Question, VERSION};
use crate::id::{SealEpoch, TenantId};
use crate::seal::attempt::{AttemptId, Incarnation, Purpose, Subject};
use crate::seal::handover::{Ask, HandedOver, Refusal, Stored};
use crate::seal::peers::{Obeyed, Offer, Order};
use crate::seal::state::Parameters;
use crate::seal::{SHARE_BYTES, Share};
use crate::secret::Secret;

pub(super) fn question(bytes: &[u8]) -> Result<Question, Malformed> {
    let mut reader = Reader::versioned(bytes)?;
    let question = match reader.byte()? {
        1 => Question::Offer(reader.offer()?),
        2 => Question::Keys(reader.ask()?),
        3 => Question::Seal(reader.order()?),
        _ => return Err(Malformed),
    };
    reader.end().map(|()| question)
}

pub(super) fn answer(bytes: &[u8]) -> Result<Answer, Malformed> {
    let mut reader = Reader::versioned(bytes)?;
    let answer = match reader.byte()? {
        1 => Answer::Held(reader.flag()?),
        2 => Answer::Keys(HandedOver {
            ask: reader.ask()?,
            mac_key: Secret::new(reader.array()?),
            keyring_key: Secret::new(reader.array()?),
        }),
        3 => Answer::Refused(Refusal::from_number(reader.byte()?).ok_or(Malformed)?),
        4 => Answer::Sealed(Obeyed::from_number(reader.byte()?).ok_or(Malformed)?),
        5 => Answer::NotUnderstood,
        _ => return Err(Malformed),
    };
    reader.end().map(|()| answer)
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn versioned(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let mut reader = Self(bytes);
        match reader.byte()? {
            VERSION => Ok(reader),
            _ => Err(Malformed),
        }
    }

    fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn tenant(&mut self) -> Result<TenantId, Malformed> {
        self.array().map(TenantId::from_bytes)
    }

    fn incarnation(&mut self) -> Result<Incarnation, Malformed> {
        self.array().map(Incarnation)
    }

    fn epoch(&mut self) -> Result<SealEpoch, Malformed> {
        self.number().map(SealEpoch)
    }

    fn offer(&mut self) -> Result<Offer, Malformed> {
        let attempt = self.attempt()?;
        let parameters = match usize::from(u16::from_be_bytes(self.array()?)) {
            0 => None,
            length => {
                let bytes = Zeroizing::new(self.take(length)?.to_vec());
                Some(Parameters::new(bytes).map_err(|_| Malformed)?)
            }
        };
        let count = self.byte()?;
        let mut shares: Vec<Share> = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let bytes = <&[u8; SHARE_BYTES]>::try_from(self.take(SHARE_BYTES)?);
            let share = Share::from_bytes(bytes.map_err(|_| Malformed)?).map_err(|_| Malformed)?;
            // In order, so that none is there twice.
            if shares
                .last()
                .is_some_and(|last| last.index() >= share.index())
            {
                return Err(Malformed);
            }
            shares.push(share);
        }
        Ok(Offer {
            attempt,
            parameters,
            shares,
        })
    }

    fn attempt(&mut self) -> Result<AttemptId, Malformed> {
        Ok(AttemptId {
            incarnation: self.incarnation()?,
            tenant: self.tenant()?,
            purpose: Purpose::from_number(self.byte()?).ok_or(Malformed)?,
            generation: self.number()?,
            epoch: self.epoch()?,
            number: self.number()?,
            subject: Subject(self.array()?),
        })
    }

    fn ask(&mut self) -> Result<Ask, Malformed> {
        Ok(Ask {
            tenant: self.tenant()?,
            stored: Stored {
                incarnation: self.incarnation()?,
                generation: self.number()?,
                epoch: self.epoch()?,
            },
            nonce: self.array()?,
        })
    }

    fn order(&mut self) -> Result<Order, Malformed> {
        Ok(Order {
            tenant: self.tenant()?,
            incarnation: self.incarnation()?,
            through: self.epoch()?,
        })
    }
}
