//! The file that a backup is:
//!
//! ```text
//! header  "conclave backup\n" | version (4) | time of the backup (8) | incarnation of the store (16)
//! block   1 | raw bytes (4) | rows (4) | packed bytes (4) | SHA-256 of these and of what follows (32) | packed rows
//! end     2 | rows (8) | raw bytes (8) | SHA-256 of everything before it (32)
//! ```
//!
//! Numbers are big-endian. Packed rows are in raw DEFLATE (RFC 1951); raw ones are the length of the key (4), the key, the
//! length of the value (4), the value, in the order of the keys. Values are ciphertext and hardly shrink; keys, which share
//! their beginnings, do. The digests find damage; who can write to the file could work them out anew, as who can write
//! to a store can change it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::store::Row;
use crate::store::key::Key;

const MAGIC: &[u8; 16] = b"conclave backup\n";
/// The format written. This version reads it and the one before, of which there is none yet.
const VERSION: u32 = 1;
const BLOCK: u8 = 1;
const END: u8 = 2;
/// A block is written once it has this much.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The longest row: many times what one is made of. A block is at most one such row longer than [`BLOCK_BYTES`].
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;
const MAX_RAW_BYTES: usize = BLOCK_BYTES + MAX_ROW_BYTES + 8;
/// What does not shrink grows by some bytes for each 64 KiB.
const MAX_PACKED_BYTES: usize = MAX_RAW_BYTES + MAX_RAW_BYTES / 1024 + 64;

/// What a backup says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) created: Timestamp,
    pub(super) incarnation: [u8; 16],
}

/// Writes a backup.
pub(super) struct Writer<W> {
    output: Hashing<W>,
    block: Vec<u8>,
    block_rows: u32,
    rows: u64,
    bytes: u64,
}

/// Reads a backup, and trusts nothing in it.
pub(super) struct Reader<R> {
    input: Hashing<R>,
    header: Header,
    last_key: Option<Vec<u8>>,
    rows: u64,
    bytes: u64,
    digest: Option<[u8; 32]>,
}

/// Passes bytes on, and hashes them.
struct Hashing<S> {
    stream: S,
    digest: Sha256,
}

impl<W: Write> Writer<W> {
    /// Begins a backup.
    pub(super) fn new(output: W, header: Header) -> Result<Self, Error> {
        let mut output = Hashing {
            stream: output,
            digest: Sha256::new(),
        };
        output.put(MAGIC)?;
        output.put(&VERSION.to_be_bytes())?;
        output.put(&header.created.0.to_be_bytes())?;
        output.put(&header.incarnation)?;
        Ok(Self {
            output,
            block: Vec::with_capacity(BLOCK_BYTES),
            block_rows: 0,
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row, whose key is larger than that of the one before.
    pub(super) fn add(&mut self, (key, value): &Row) -> Result<(), Error> {
        let key = key.as_bytes();
        if key.len() + value.len() > MAX_ROW_BYTES {
            return Err(Error::Corrupt(format!(
                "the row at {} is too long for a backup",
                hex::encode(key)
            )));
        }
        for field in [key, value] {
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            self.block.extend_from_slice(&length.to_be_bytes());
            self.block.extend_from_slice(field);
        }
        self.block_rows += 1;
        match self.block.len() < BLOCK_BYTES {
            true => Ok(()),
            false => self.write_block(),
        }
    }

    fn write_block(&mut self) -> Result<(), Error> {
        if self.block_rows == 0 {
            return Ok(());
        }
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&self.block).map_err(unwritable)?;
        let packed = packed.finish().map_err(unwritable)?;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
        let head = [
            &[BLOCK][..],
            &length(self.block.len()),
            &self.block_rows.to_be_bytes(),
            &length(packed.len()),
        ]
        .concat();
        self.output.put(&head)?;
        self.output.put(&block_sum(&head, &packed))?;
        self.output.put(&packed)?;
        self.rows += u64::from(self.block_rows);
        self.bytes += self.block.len() as u64;
        self.block.clear();
        self.block_rows = 0;
        Ok(())
    }

    /// Ends the backup, and gives back what it was written to.
    pub(super) fn finish(mut self) -> Result<W, Error> {
        self.write_block()?;
        self.output.put(&[END])?;
        self.output.put(&self.rows.to_be_bytes())?;
        self.output.put(&self.bytes.to_be_bytes())?;
        let digest = self.output.digest.clone().finalize();
        self.output.put(&digest)?;
        Ok(self.output.stream)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Invalid`] when this is no backup, or one of another version.
    pub(super) fn new(input: R) -> Result<Self, Error> {
        let mut input = Hashing {
            stream: input,
            digest: Sha256::new(),
        };
        let magic = input.take::<16>();
        if magic.ok().as_ref() != Some(MAGIC) {
            return Err(Error::invalid(
                "file",
                "the file is not a backup of Conclave",
            ));
        }
        let version = u32::from_be_bytes(input.take()?);
        if version > VERSION {
            return Err(Error::invalid(
                "file",
                "the backup was written by a newer version of Conclave",
            ));
        }
        if version < VERSION {
            return Err(damaged("it is of version 0"));
        }
        let header = Header {
            created: Timestamp(i64::from_be_bytes(input.take()?)),
            incarnation: input.take()?,
        };
        Ok(Self {
            input,
            header,
            last_key: None,
            rows: 0,
            bytes: 0,
            digest: None,
        })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// The next rows; `None` after the end, which was then found to be the right one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for damage of any kind.
    pub(super) fn next_rows(&mut self) -> Result<Option<Vec<Row>>, Error> {
        if self.digest.is_some() {
            return Ok(None);
        }
        match self.input.take::<1>()? {
            [BLOCK] => self.block().map(Some),
            [END] => self.end().map(|()| None),
            _ => Err(damaged("a block of an unknown kind")),
        }
    }

    /// The digest of the whole, once it was read to its end.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    fn block(&mut self) -> Result<Vec<Row>, Error> {
        let lengths: [[u8; 4]; 3] = [self.input.take()?, self.input.take()?, self.input.take()?];
        let [raw_bytes, rows, packed_bytes] =
            lengths.map(|length| u32::from_be_bytes(length) as usize);
        // Before anything of that size is set aside.
        if raw_bytes > MAX_RAW_BYTES || packed_bytes > MAX_PACKED_BYTES || rows > raw_bytes {
            return Err(damaged("a block that is too long"));
        }
        let sum = self.input.take::<32>()?;
        let packed = self.input.take_many(packed_bytes)?;
        let head = [&[BLOCK][..], lengths.as_flattened()].concat();
        if block_sum(&head, &packed) != sum {
            return Err(damaged("a block whose checksum is wrong"));
        }
        let mut raw = Vec::with_capacity(raw_bytes);
        DeflateDecoder::new(packed.as_slice())
            .take(raw_bytes as u64 + 1)
            .read_to_end(&mut raw)
            .map_err(|_| damaged("a block that does not unpack"))?;
        if raw.len() != raw_bytes {
            return Err(damaged("a block of another length than it says"));
        }
        let rows = self.unpack(&raw, rows)?;
        self.rows += rows.len() as u64;
        self.bytes += raw_bytes as u64;
        Ok(rows)
    }

    fn unpack(&mut self, mut raw: &[u8], count: usize) -> Result<Vec<Row>, Error> {
        let mut field = || -> Result<Vec<u8>, Error> {
            let short = || damaged("a row that is cut short");
            let (length, rest) = raw.split_first_chunk().ok_or_else(short)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (field, rest) = rest.split_at_checked(length).ok_or_else(short)?;
            raw = rest;
            Ok(field.to_vec())
        };
        let mut rows = Vec::new();
        for _ in 0..count {
            rows.push((Key::from_stored(field()?), field()?));
        }
        if !raw.is_empty() {
            return Err(damaged("a block with more than its rows"));
        }
        for (key, _) in &rows {
            let key = key.as_bytes();
            if self.last_key.as_deref().is_some_and(|last| last >= key) {
                return Err(damaged("rows out of order"));
            }
            self.last_key = Some(key.to_vec());
        }
        Ok(rows)
    }

    fn end(&mut self) -> Result<(), Error> {
        let rows = u64::from_be_bytes(self.input.take()?);
        let bytes = u64::from_be_bytes(self.input.take()?);
        let expected: [u8; 32] = self.input.digest.clone().finalize().into();
        if self.input.take()? != expected {
            return Err(damaged("its digest is wrong"));
        }
        if (rows, bytes) != (self.rows, self.bytes) {
            return Err(damaged("it lacks rows"));
        }
        let mut more = [0];
        match self.input.stream.read(&mut more) {
            Ok(0) => {}
            Ok(_) => return Err(damaged("it goes on after its end")),
            Err(error) => return Err(unreadable(&error)),
        }
        self.digest = Some(expected);
        Ok(())
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.digest.update(bytes);
        self.stream.write_all(bytes).map_err(unwritable)
    }
}

impl<R: Read> Hashing<R> {
    fn take<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Error> {
        let mut bytes = [0; BYTES];
        self.stream
            .read_exact(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        self.digest.update(bytes);
        Ok(bytes)
    }

    /// Sets aside as much as there is, not as much as is promised.
    fn take_many(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        (&mut self.stream)
            .take(count as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        if bytes.len() != count {
            return Err(damaged("it is cut short"));
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }
}

fn block_sum(head: &[u8], packed: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(head)
        .chain_update(packed)
        .finalize()
        .into()
}

fn damaged(what: &str) -> Error {
    Error::invalid("file", format!("the backup is damaged: {what}"))
}

fn unreadable(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
        _ => Error::invalid("file", format!("the backup cannot be read: {error}")),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unwritable(error: std::io::Error) -> Error {
    Error::invalid("file", format!("the backup cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header {
        created: Timestamp(5),
        incarnation: [6; 16],
    };

    fn row(number: u32) -> Row {
        let key = Key::from_stored(number.to_be_bytes().to_vec());
        (key, vec![number as u8; (number % 3000) as usize])
    }

    fn written(rows: impl Iterator<Item = Row>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), HEADER).unwrap();
        rows.for_each(|row| writer.add(&row).unwrap());
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Row>, Error> {
        let mut reader = Reader::new(bytes)?;
        assert_eq!(reader.header().incarnation, HEADER.incarnation);
        let mut rows = Vec::new();
        while let Some(more) = reader.next_rows()? {
            rows.extend(more);
        }
        assert!(reader.digest().is_some());
        Ok(rows)
    }

    #[test]
    fn what_was_written_is_read() {
        let rows: Vec<Row> = (0..2000).map(row).collect();
        let bytes = written(rows.iter().cloned());
        assert!(bytes.iter().filter(|byte| **byte == BLOCK).count() > 2);
        assert_eq!(read(&bytes).unwrap(), rows);
        assert_eq!(read(&written(std::iter::empty())).unwrap(), []);
    }

    #[test]
    fn no_part_of_a_backup_is_taken_for_a_whole_one() {
        let bytes = written((0..40).map(row));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let error = read(&[&bytes[..], b"x"].concat()).unwrap_err();
        assert!(error.to_string().contains("after its end"), "{error}");
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = written((0..4).map(row));
        bytes[19] = 2;
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
        bytes[19] = 0;
        assert!(read(&bytes).is_err());
        let error = read(b"something else").unwrap_err().to_string();
        assert!(error.contains("not a backup"), "{error}");
    }

    /// A block that says of itself what its checksum confirms, but is not true.
    fn lying(raw_bytes: u32, rows: u32, packed_bytes: u32, raw: &[u8]) -> Vec<u8> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(raw).unwrap();
        let packed = packed.finish().unwrap();
        let lengths = [raw_bytes, rows, packed_bytes.min(packed.len() as u32)];
        let lengths = match packed_bytes {
            u32::MAX => [raw_bytes, rows, u32::MAX],
            _ => lengths,
        };
        let head = [&[BLOCK][..], lengths.map(u32::to_be_bytes).as_flattened()].concat();
        let mut bytes = written(std::iter::empty());
        bytes.truncate(44);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&block_sum(&head, &packed));
        bytes.extend_from_slice(&packed);
        bytes
    }

    #[test]
    fn lengths_are_believed_only_within_bounds() {
        let zeros = vec![0; 100_000];
        for (bytes, expected) in [
            (lying(u32::MAX, 1, 9999, b""), "too long"),
            (lying(100, 1, u32::MAX, b""), "too long"),
            (lying(100, u32::MAX, 9999, b""), "too long"),
            // A bomb: what it unpacks to is cut off at what it says.
            (lying(100, 1, 9999, &zeros), "another length"),
            (lying(200_000, 1, 9999, &zeros), "another length"),
            (lying(8, 2, 9999, &zeros[..8]), "cut short"),
            (lying(8, 0, 9999, &zeros[..8]), "more than its rows"),
            (lying(16, 2, 9999, &zeros[..16]), "out of order"),
            (lying(5, 1, 9999, &[0xff, 0xff, 0xff, 0xff, 1]), "cut short"),
        ] {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, not {expected}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_is_found(position: prop::sample::Index, bit in 0_u8..8) {
            let mut bytes = written((0..40).map(row));
            // The time and the incarnation are found by the digest at the end.
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let outcome = Reader::new(bytes.as_slice()).and_then(|mut reader| {
                while reader.next_rows()?.is_some() {}
                Ok(())
            });
            prop_assert!(outcome.is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
            let whole = [&written(std::iter::empty())[..44], &bytes].concat();
            let outcome = Reader::new(whole.as_slice()).unwrap().next_rows();
            prop_assert!(outcome.is_err());
        }
    }
}
