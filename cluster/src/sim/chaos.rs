//! What goes wrong in a [`Scenario`], and what its nodes are asked to do meanwhile.

use std::time::Duration;

use super::probe::Asked;
use super::scenario::{Deaths, FORGED, NOISY, Scenario};
use super::world::Place;
use super::{calm, gentle, rough};
use crate::bounded::Body;
use crate::event::Event;
use crate::facts::{Fact, FactKey, FactName, FactValue};
use crate::hints::{Hint, HintContent};
use crate::id::Tenant;

impl Scenario {
    pub(super) fn something_happens(&mut self) {
        let place = self.somebody();
        match self.random.below(100) {
            0..30 => self.publish(place),
            30..40 => self.hint(place),
            40..60 => self.ask(place, false),
            60..63 => self.make_noise(place),
            63..66 => {
                let outsider = self
                    .outsiders
                    .get(usize::from(self.random.below(2) == 0))
                    .copied();
                outsider
                    .into_iter()
                    .for_each(|outsider| self.forge(outsider));
            }
            66..72 => self.crash_or_start(place),
            72..78 => self.stall_or_resume(place),
            78..86 => self.cut(place),
            86..91 => {
                self.fault("all lines are whole".into());
                self.world.heal();
            }
            91..94 => self.set_clock(place),
            94..97 => self.change_weather(),
            _ => self.describe(place),
        }
    }

    fn publish(&mut self, place: Place) {
        let number = u8::try_from(self.random.below(20)).unwrap_or(0);
        let life = if self.random.below(2) == 0 {
            Duration::from_millis(1_000 + self.random.below(4_000))
        } else {
            Duration::from_secs(60)
        };
        let fact = Fact {
            key: FactKey {
                tenant: Tenant([number / 4; 16]),
                name: FactName::new(&[number]).expect("a few bytes"),
            },
            version: self.random.below(50),
            value: FactValue::new(&[u8::from(self.random.below(2) == 0)]).expect("a few bytes"),
            life,
        };
        if self.world.is_awake(place) {
            self.note(format!("n{place} publishes {}", describe_fact(&fact)));
            self.tell(place, fact);
        }
    }

    fn tell(&mut self, place: Place, fact: Fact) {
        self.ledger.borrow_mut().summary.published += 1;
        let dies = self.world.now() + fact.life;
        let told = (fact.key.clone(), fact.version, fact.value.clone());
        let deaths = self.published.entry(told);
        let deaths = deaths.or_insert(Deaths {
            first: dies,
            last: dies,
        });
        deaths.first = deaths.first.min(dies);
        deaths.last = deaths.last.max(dies);
        self.world.handle(place, Event::Published(fact));
    }

    fn hint(&mut self, place: Place) {
        let tenant = Tenant([u8::try_from(self.random.below(4)).unwrap_or(0); 16]);
        let content = HintContent::new(&self.random.number().to_be_bytes()).expect("a few bytes");
        let hint = Hint { tenant, content };
        self.world.handle(place, Event::Hinted(hint));
    }

    /// A tenant tells far more than it may.
    fn make_noise(&mut self, place: Place) {
        if !self.world.is_awake(place) {
            return;
        }
        self.note(format!("n{place} is flooded by a tenant"));
        for _ in 0..60 {
            let name = self.random.below(200).to_be_bytes();
            let fact = Fact {
                key: FactKey {
                    tenant: NOISY,
                    name: FactName::new(&name).expect("a few bytes"),
                },
                version: self.random.below(5),
                value: FactValue::default(),
                life: Duration::from_secs(60),
            };
            self.tell(place, fact);
        }
        for _ in 0..2000 {
            let content =
                HintContent::new(&self.random.number().to_be_bytes()).expect("a few bytes");
            let tenant = NOISY;
            self.world
                .handle(place, Event::Hinted(Hint { tenant, content }));
        }
    }

    /// An outsider tries to be heard. It believes that all are alive, so that it speaks to all.
    pub(super) fn forge(&mut self, outsider: Place) {
        let fact = Fact {
            key: FactKey {
                tenant: FORGED,
                name: FactName::default(),
            },
            version: self.random.below(1000),
            value: FactValue::default(),
            life: Duration::from_secs(60),
        };
        self.world.handle(outsider, Event::Published(fact));
    }

    fn ask(&mut self, place: Place, must_succeed: bool) {
        let to = self.somebody();
        self.ask_node(place, to, must_succeed);
    }

    fn ask_node(&mut self, by: Place, to: Place, must_succeed: bool) {
        if !self.world.is_awake(by) || by == to {
            return;
        }
        let delay = match self.random.below(4) {
            0 if !must_succeed => 255,
            1 => u8::try_from(1 + self.random.below(50)).unwrap_or(1),
            _ => 0,
        };
        let mut question = vec![delay];
        question.extend_from_slice(&self.random.number().to_be_bytes());
        let body = Body::new(question).expect("a few bytes");
        let timeout = Duration::from_millis(1_000 + self.random.below(2_000));
        let asked = Asked {
            by,
            to,
            body: body.clone(),
            deadline: self.world.moment(by).since_boot + timeout,
            must_succeed,
        };
        let ticket = self.ledger.borrow_mut().ask(asked);
        let to = Self::name(to);
        self.world.handle(
            by,
            Event::Asked {
                to,
                body,
                timeout,
                ticket,
            },
        );
    }

    pub(super) fn ask_everybody(&mut self) {
        for by in self.members.clone() {
            let to = self.somebody();
            let estranged = self
                .estranged
                .is_some_and(|(one, other)| (one, other) == (by, to) || (other, one) == (by, to));
            if !estranged && self.world.is_awake(to) {
                self.ask_node(by, to, true);
            }
        }
    }

    fn crash_or_start(&mut self, place: Place) {
        if self.world.cluster(place).is_none() {
            self.fault(format!("n{place} starts"));
            self.start(place);
            return;
        }
        self.fault(format!("n{place} crashes"));
        self.world.crash(place);
        self.ledger.borrow_mut().forget(place);
        if self.random.below(2) == 0 {
            self.fault(format!("n{place} starts at once"));
            self.start(place);
        }
    }

    fn stall_or_resume(&mut self, place: Place) {
        if self.world.is_awake(place) {
            self.fault(format!("n{place} stalls"));
            self.world.stall(place);
        } else if self.world.cluster(place).is_some() {
            self.fault(format!("n{place} goes on"));
            self.resume(place);
        }
    }

    fn cut(&mut self, place: Place) {
        let all = self.world_size();
        let others: Vec<_> = match self.random.below(3) {
            0 => vec![self.somebody()],
            1 => (0..all).collect(),
            _ => (0..all).filter(|_| self.random.below(2) == 0).collect(),
        };
        let direction = self.random.below(3);
        let shown: Vec<_> = others.iter().map(|other| format!("n{other}")).collect();
        let arrow = ["->", "<-", "--"].get(usize::try_from(direction).unwrap_or(0));
        self.fault(format!(
            "cut: n{place} {} {}",
            arrow.unwrap_or(&""),
            shown.join(" ")
        ));
        for other in others {
            if direction != 1 {
                self.world.cut(place, other);
            }
            if direction != 0 {
                self.world.cut(other, place);
            }
        }
    }

    fn world_size(&self) -> usize {
        self.members.len() + self.outsiders.len()
    }

    fn set_clock(&mut self, place: Place) {
        let ahead_ms = i64::try_from(self.random.below(8_000)).unwrap_or(0) - 4_000;
        self.fault(format!("the clock of n{place} is set {ahead_ms} ms ahead"));
        if let Some(station) = self.world.station(place) {
            station.ahead_ns = ahead_ms * 1_000_000;
        }
    }

    fn change_weather(&mut self) {
        let weather = match self.random.below(3) {
            0 => calm(),
            1 => gentle(),
            _ => rough(),
        };
        self.fault(format!("{weather:?}"));
        self.world.set_weather(weather);
    }
}

/// A fact in a few words.
fn describe_fact(fact: &Fact) -> String {
    format!(
        "{:?} of tenant {} = {} {:?}, for {:?}",
        fact.key.name,
        fact.key.tenant.0.first().copied().unwrap_or(0),
        fact.version,
        fact.value,
        fact.life
    )
}
