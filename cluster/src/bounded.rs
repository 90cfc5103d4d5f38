//! Byte strings with a limit in their type, so that what is kept or sent is bounded by construction.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Too many bytes for where they were to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{given} bytes, at most {limit} are allowed")]
pub struct TooLong {
    /// How many there were.
    pub given: usize,
    /// How many are allowed.
    pub limit: usize,
}

fn check(given: usize, limit: usize) -> Result<(), TooLong> {
    if given > limit {
        return Err(TooLong { given, limit });
    }
    Ok(())
}

/// At most `MAX` bytes that are no secret. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bounded<const MAX: usize>(Arc<[u8]>);

impl<const MAX: usize> Bounded<MAX> {
    /// The same bytes, when they are few enough.
    ///
    /// # Errors
    /// [`TooLong`] when they are not.
    pub fn new(bytes: &[u8]) -> Result<Self, TooLong> {
        check(bytes.len(), MAX).map(|()| Self(bytes.into()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bounded<MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0.escape_ascii())
    }
}

/// Longest [`Body`] in bytes. The transport cuts a message into packets and loses all of it with one of them; this is
/// some thirty packets, which still arrive together on a bad line.
pub const MAX_BODY_BYTES: usize = 32 * 1024;

/// What a request or a reply carries. It may be secret (key shares travel in it), so it is wiped when dropped and not
/// printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Body(Zeroizing<Vec<u8>>);

impl Body {
    /// A body of these bytes, when they are few enough.
    ///
    /// # Errors
    /// [`TooLong`] when they are not; they are wiped then.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooLong> {
        let bytes = Zeroizing::new(bytes);
        check(bytes.len(), MAX_BODY_BYTES).map(|()| Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_too_many_is_refused() {
        assert!(Bounded::<3>::new(b"abc").is_ok());
        let refused = Bounded::<3>::new(b"abcd").unwrap_err();
        assert_eq!(refused.to_string(), "4 bytes, at most 3 are allowed");
        assert!(Body::new(vec![0; MAX_BODY_BYTES]).is_ok());
        assert!(Body::new(vec![0; MAX_BODY_BYTES + 1]).is_err());
    }

    #[test]
    fn a_body_does_not_print_what_it_holds() {
        let body = Body::new(b"share".to_vec()).unwrap();
        assert_eq!(format!("{body:?}"), "<5 bytes>");
    }
}
