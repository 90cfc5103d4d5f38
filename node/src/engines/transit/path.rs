//! The path table: which path below the mount means what. Everything about a path is decided here, so an operation gets
//! a [`KeyName`] that is well formed and never looks at text again.

/// A key's name as it may appear in a path: Vault's `\w(([\w-.]+)?\w)?`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyName<'p>(&'p str);

impl<'p> KeyName<'p> {
    /// The name, if it is one. Its length is bounded by that of paths.
    pub fn parse(text: &'p str) -> Option<Self> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let bytes = text.as_bytes();
        let (first, last) = (bytes.first()?, bytes.last()?);
        let middle = bytes
            .iter()
            .all(|&byte| word(byte) || byte == b'-' || byte == b'.');
        (word(*first) && word(*last) && middle).then_some(Self(text))
    }

    /// The name as text.
    pub fn as_str(self) -> &'p str {
        self.0
    }
}

/// What a path means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route<'p> {
    /// `keys`: the list of names.
    Keys,
    /// `keys/:name`
    Key(KeyName<'p>),
    /// `keys/:name/config`
    Config(KeyName<'p>),
    /// `keys/:name/rotate`
    Rotate(KeyName<'p>),
    /// `keys/:name/trim`
    Trim(KeyName<'p>),
    /// `encrypt/:name`
    Encrypt(KeyName<'p>),
    /// `decrypt/:name`
    Decrypt(KeyName<'p>),
    /// `rewrap/:name`
    Rewrap(KeyName<'p>),
    /// `datakey/:form/:name`
    DataKey(&'p str, KeyName<'p>),
    /// `hmac/:name` and `hmac/:name/:algorithm`
    Hmac(KeyName<'p>, Option<&'p str>),
    /// `hash` and `hash/:algorithm`
    Hash(Option<&'p str>),
    /// `random`, with a source and a number of bytes in the path
    Random(Option<&'p str>, Option<&'p str>),
    /// `cache-config`
    CacheConfig,
    /// `config/keys`
    KeysConfig,
}

impl<'p> Route<'p> {
    /// The meaning of `path`, if it has one.
    pub fn parse(path: &'p str) -> Option<Self> {
        let mut parts = path.split('/');
        let parts = (parts.next()?, parts.next(), parts.next(), parts.next());
        let name = |text| KeyName::parse(text);
        Some(match parts {
            ("keys", None | Some(""), None, None) => Self::Keys,
            ("keys", Some(key), None, None) => Self::Key(name(key)?),
            ("keys", Some(key), Some("config"), None) => Self::Config(name(key)?),
            ("keys", Some(key), Some("rotate"), None) => Self::Rotate(name(key)?),
            ("keys", Some(key), Some("trim"), None) => Self::Trim(name(key)?),
            ("encrypt", Some(key), None, None) => Self::Encrypt(name(key)?),
            ("decrypt", Some(key), None, None) => Self::Decrypt(name(key)?),
            ("rewrap", Some(key), None, None) => Self::Rewrap(name(key)?),
            ("datakey", Some(form), Some(key), None) => Self::DataKey(form, name(key)?),
            ("hmac", Some(key), algorithm, None) => Self::Hmac(name(key)?, algorithm),
            ("hash", algorithm, None, None) => Self::Hash(algorithm),
            ("random", first, second, None) => Self::Random(first, second),
            ("cache-config", None, None, None) => Self::CacheConfig,
            ("config", Some("keys"), None, None) => Self::KeysConfig,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_begin_and_end_with_a_word_character() {
        for good in ["a", "_", "my-key", "a.b-c_9", "9", "a--..b"] {
            assert!(KeyName::parse(good).is_some(), "{good}");
        }
        for bad in [
            "", "-", ".", "a.", ".a", "-a", "a-", "a b", "é", "a%b", "a\n",
        ] {
            assert!(KeyName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn paths_mean_what_the_table_says() {
        let key = KeyName("k");
        for (path, route) in [
            ("keys", Some(Route::Keys)),
            ("keys/", Some(Route::Keys)),
            ("keys/k", Some(Route::Key(key))),
            ("keys/config", Some(Route::Key(KeyName("config")))),
            ("keys/k/config", Some(Route::Config(key))),
            ("keys/k/rotate", Some(Route::Rotate(key))),
            ("keys/k/trim", Some(Route::Trim(key))),
            ("encrypt/k", Some(Route::Encrypt(key))),
            ("datakey/wrapped/k", Some(Route::DataKey("wrapped", key))),
            ("hmac/k", Some(Route::Hmac(key, None))),
            ("hmac/k/sha2-512", Some(Route::Hmac(key, Some("sha2-512")))),
            ("hash", Some(Route::Hash(None))),
            (
                "random/platform/9",
                Some(Route::Random(Some("platform"), Some("9"))),
            ),
            ("config/keys", Some(Route::KeysConfig)),
            ("cache-config", Some(Route::CacheConfig)),
            ("", None),
            ("keys/k/", None),
            ("keys/-k", None),
            ("keys/k/sign", None),
            ("encrypt", None),
            ("encrypt/k/x", None),
            ("encrypt/k.", None),
            ("hash/a/b", None),
            ("cache-config/x", None),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_table_panic(path: String) {
            let _ = Route::parse(&path);
        }
    }
}
