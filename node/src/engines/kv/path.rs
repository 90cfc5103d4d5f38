//! Secret paths and the parameters of lists: what users may call a secret, checked once before it becomes a pseudonym.

use crate::error::Error;
use crate::fields::Fields;

/// The longest path of a secret. Longer than any file system's, and short enough to hash many times per request.
const MAX_PATH_BYTES: usize = 4096;

/// How deep a path may be. Each level is one row of the index of names, written with the first version.
const MAX_PATH_LEVELS: usize = 128;

/// The path of one secret below its mount: not empty, no leading or doubled slash, no control characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SecretPath<'p>(&'p str);

impl<'p> SecretPath<'p> {
    /// A path to read from or delete at. One that ends in a slash names a directory, where no secret can be.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperation`] for the empty path, [`Error::NotFound`] for a directory, and [`Error::Invalid`]
    /// for what can never be a path.
    pub(super) fn existing(path: &'p str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::UnsupportedOperation);
        }
        check(path)?;
        if path.ends_with('/') {
            return Err(Error::not_found());
        }
        Ok(Self(path))
    }

    /// A path to write to.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a directory and for what can never be a path.
    pub(super) fn writable(path: &'p str) -> Result<Self, Error> {
        if path.is_empty() || path.ends_with('/') {
            return Err(Error::bad_request("cannot write to a path ending in '/'"));
        }
        check(path)?;
        Ok(Self(path))
    }

    pub(super) fn as_str(self) -> &'p str {
        self.0
    }
}

/// A directory to list: empty for the mount's root, or ending in a slash.
///
/// # Errors
/// [`Error::Invalid`] for what can never be a directory.
pub(super) fn directory(path: &str) -> Result<&str, Error> {
    if path.is_empty() {
        return Ok(path);
    }
    if !path.ends_with('/') {
        return Err(Error::bad_request("a directory ends in '/'"));
    }
    check(path)?;
    Ok(path)
}

/// The rules for secrets and directories alike.
fn check(path: &str) -> Result<(), Error> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::bad_request(format!(
            "the path is longer than {MAX_PATH_BYTES} bytes"
        )));
    }
    if path.chars().any(char::is_control) {
        return Err(Error::bad_request("the path contains a control character"));
    }
    let levels = path.strip_suffix('/').unwrap_or(path);
    if levels
        .split('/')
        .any(|level| matches!(level, "" | "." | ".."))
    {
        return Err(Error::bad_request(
            "the path contains an empty level, '.' or '..'",
        ));
    }
    if levels.split('/').count() > MAX_PATH_LEVELS {
        return Err(Error::bad_request(format!(
            "the path has more than {MAX_PATH_LEVELS} levels"
        )));
    }
    Ok(())
}

/// OpenBao's paging parameters of LIST and SCAN.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Page {
    /// Names up to and including this one are left out; it need not exist.
    pub(super) after: Option<String>,
    /// At most so many names; all when `None`.
    pub(super) limit: Option<usize>,
}

impl Page {
    /// Reads `after` and `limit`. A limit of zero or less is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit that is no number.
    pub(super) fn parse(fields: &Fields) -> Result<Self, Error> {
        Ok(Self {
            after: fields.string("after")?.filter(|after| !after.is_empty()),
            limit: fields
                .integer("limit")?
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| *limit > 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_paths() {
        for path in ["a", "a/b", "with space/and.dot", "é/ü", ".hidden", "a:b*+"] {
            assert_eq!(SecretPath::existing(path).unwrap().as_str(), path);
            assert_eq!(SecretPath::writable(path).unwrap().as_str(), path);
        }
        assert_eq!(directory("").unwrap(), "");
        assert_eq!(directory("a/b/").unwrap(), "a/b/");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = "a".repeat(MAX_PATH_BYTES + 1);
        let deep = "a/".repeat(MAX_PATH_LEVELS) + "a";
        for path in [
            "/a", "a//b", "../a", "a/..", "a/./b", "a\nb", "a\0", &long, &deep,
        ] {
            for result in [SecretPath::existing(path), SecretPath::writable(path)] {
                assert!(matches!(result, Err(Error::Invalid { .. })), "{path:?}");
            }
        }
        assert!(matches!(
            SecretPath::existing("a/"),
            Err(Error::NotFound(None))
        ));
        assert!(matches!(
            SecretPath::existing(""),
            Err(Error::UnsupportedOperation)
        ));
        for path in ["", "a/"] {
            let refused = SecretPath::writable(path).unwrap_err();
            assert_eq!(refused.to_string(), "cannot write to a path ending in '/'");
        }
        for path in ["a", "a//", "/"] {
            assert!(directory(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_limit_below_one_is_none() {
        let page = |body: &str| Page::parse(&Fields::from_json(body.as_bytes()).unwrap());
        assert_eq!(
            page(r#"{"limit":"-1","after":""}"#).unwrap(),
            Page::default()
        );
        assert_eq!(page(r#"{"limit":"3"}"#).unwrap().limit, Some(3));
        assert!(page(r#"{"limit":"x"}"#).is_err());
    }
}
