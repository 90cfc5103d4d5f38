//! Long values of one scope: every head has all its pieces, every piece has its head.

use std::collections::BTreeMap;

use super::super::address::Address;
use crate::store::key::Key;

/// What was seen so far. Heads come before their pieces or after, depending on the table.
#[derive(Default)]
pub(super) struct Pieces(BTreeMap<Vec<u8>, Value>);

struct Value {
    /// Where its head is, or should be.
    address: Address,
    /// What the head says.
    expected_bytes: Option<u64>,
    pieces: u64,
    bytes: u64,
}

impl Pieces {
    /// There is a head that says so many bytes.
    pub(super) fn expect(&mut self, address: &Address, bytes: u64) {
        self.value(address).expected_bytes = Some(bytes);
    }

    /// There is a piece. They come in order.
    pub(super) fn add(
        &mut self,
        address: &Address,
        number: u64,
        piece: &[u8],
    ) -> Result<(), String> {
        let value = self.value(address);
        let is_next = value.pieces == number;
        value.pieces = number.saturating_add(1);
        value.bytes = value.bytes.saturating_add(piece.len() as u64);
        match is_next {
            true => Ok(()),
            false => Err("the piece before this one is missing".into()),
        }
    }

    fn value(&mut self, address: &Address) -> &mut Value {
        let head = Key::row(address.scope, address.table, &address.parts);
        self.0
            .entry(head.as_bytes().to_vec())
            .or_insert_with(|| Value {
                address: Address {
                    piece: None,
                    ..address.clone()
                },
                expected_bytes: None,
                pieces: 0,
                bytes: 0,
            })
    }

    /// What is wrong, once the scope's rows have all been seen.
    pub(super) fn faults(self) -> impl Iterator<Item = (Address, String)> {
        self.0.into_values().filter_map(|value| {
            let what = match value.expected_bytes {
                None => format!("{} pieces without a value they belong to", value.pieces),
                Some(bytes) if bytes != value.bytes => {
                    format!("a value of {bytes} bytes has pieces of {}", value.bytes)
                }
                Some(_) => return None,
            };
            Some((value.address, what))
        })
    }
}
