//! Writing messages. The room for a message is made beforehand, so that no secret is left behind where it grew out of.

use conclave_cluster::Body;
use zeroize::Zeroizing;

use super::{Answer, Malformed, Question, VERSION};
use crate::seal::attempt::AttemptId;
use crate::seal::handover::{Ask, Stored};
use crate::seal::peers::{Offer, Order};
use crate::seal::{MAX_PARAMETERS_BYTES, SHARE_BYTES};

/// Room for everything but shares and parameters.
const FIXED_BYTES: usize = 256;

pub(super) fn question(question: &Question) -> Result<Body, Malformed> {
    let shares = match question {
        Question::Offer(offer) => offer.shares.len(),
        Question::Keys(_) | Question::Seal(_) => 0,
    };
    let room = FIXED_BYTES + MAX_PARAMETERS_BYTES + shares * SHARE_BYTES;
    let mut writer = Writer::new(room);
    match question {
        Question::Offer(offer) => {
            writer.byte(1);
            writer.offer(offer)?;
        }
        Question::Keys(ask) => {
            writer.byte(2);
            writer.ask(ask);
        }
        Question::Seal(order) => {
            writer.byte(3);
            writer.order(order);
        }
    }
    writer.into_body().map_err(|_| Malformed)
}

pub(super) fn answer(answer: &Answer) -> Body {
    let mut writer = Writer::new(FIXED_BYTES);
    match answer {
        Answer::Held(held) => {
            writer.byte(1);
            writer.byte(u8::from(*held));
        }
        Answer::Keys(handed) => {
            writer.byte(2);
            writer.ask(&handed.ask);
            writer.bytes(handed.mac_key.expose());
            writer.bytes(handed.keyring_key.expose());
        }
        Answer::Refused(refusal) => {
            writer.byte(3);
            writer.byte(*refusal as u8);
        }
        Answer::Sealed(obeyed) => {
            writer.byte(4);
            writer.byte(*obeyed as u8);
        }
        Answer::NotUnderstood => writer.byte(5),
    }
    // Every answer is far shorter than a body may be.
    writer.into_body().unwrap_or_default()
}

struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn new(room: usize) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.push(VERSION);
        Self(bytes)
    }

    fn into_body(mut self) -> Result<Body, conclave_cluster::TooLong> {
        Body::new(std::mem::take(&mut *self.0))
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    fn offer(&mut self, offer: &Offer) -> Result<(), Malformed> {
        self.attempt(&offer.attempt);
        let parameters = offer.parameters.as_ref();
        let parameters = parameters.map_or(&[][..], |parameters| parameters.as_bytes());
        let length = u16::try_from(parameters.len()).map_err(|_| Malformed)?;
        self.bytes(&length.to_be_bytes());
        self.bytes(parameters);
        self.byte(u8::try_from(offer.shares.len()).map_err(|_| Malformed)?);
        for share in &offer.shares {
            self.bytes(share.expose());
        }
        Ok(())
    }

    fn attempt(&mut self, attempt: &AttemptId) {
        self.bytes(&attempt.incarnation.0);
        self.bytes(attempt.tenant.as_bytes());
        self.byte(attempt.purpose as u8);
        self.number(attempt.generation);
        self.number(attempt.epoch.0);
        self.number(attempt.number);
        self.bytes(&attempt.subject.0);
    }

    fn ask(&mut self, ask: &Ask) {
        let Stored {
            incarnation,
            generation,
            epoch,
        } = &ask.stored;
        self.bytes(ask.tenant.as_bytes());
        self.bytes(&incarnation.0);
        self.number(*generation);
        self.number(epoch.0);
        self.bytes(&ask.nonce);
    }

    fn order(&mut self, order: &Order) {
        self.bytes(order.tenant.as_bytes());
        self.bytes(&order.incarnation.0);
        self.number(order.through.0);
    }
}
