//! [`About`]: what a node says of itself with each heartbeat.

use conclave_cluster::About as Encoded;
use serde::{Deserialize, Serialize};

/// See the module. Written as JSON, so that nodes of different versions read each other.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// The URL that clients use.
    #[serde(default)]
    pub api_addr: String,
    /// How many add-ons are initialised.
    #[serde(default)]
    pub initialized: usize,
    /// How many of them are unsealed on this node.
    #[serde(default)]
    pub unsealed: usize,
}

impl About {
    /// For the heartbeat. A URL that is too long for it is left out.
    pub fn encode(&self) -> Encoded {
        let short = Self {
            api_addr: String::new(),
            ..self.clone()
        };
        [self, &short]
            .into_iter()
            .filter_map(|about| Encoded::new(&serde_json::to_vec(about).ok()?).ok())
            .next()
            .unwrap_or_default()
    }

    /// What a peer said; nothing when it is not to be understood.
    pub fn decode(encoded: &Encoded) -> Self {
        serde_json::from_slice(encoded.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_read_by_others_and_never_too_long() {
        let about = About {
            version: "1.2.3".into(),
            api_addr: "https://kms.example.org:8200".into(),
            initialized: 12,
            unsealed: 7,
        };
        assert_eq!(About::decode(&about.encode()), about);
        let long = About {
            api_addr: "x".repeat(300),
            ..about.clone()
        };
        let told = About::decode(&long.encode());
        assert_eq!(
            (told.version.as_str(), told.api_addr.as_str(), told.unsealed),
            ("1.2.3", "", 7)
        );
        for text in [&b""[..], b"{", b"[]", b"{\"version\":1}", b"\xff"] {
            let encoded = Encoded::new(text).unwrap();
            assert_eq!(About::decode(&encoded), About::default());
        }
        let newer = Encoded::new(b"{\"version\":\"9\",\"more\":[1]}").unwrap();
        assert_eq!(About::decode(&newer).version, "9");
    }
}
