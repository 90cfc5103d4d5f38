//! Renewing keys and shares, and root tokens for holders of shares.

mod command_line;
mod generate_root;
mod keyring;
mod rekey;

use serde_json::{Value, json};

use super::support::{Answer, Opened, opened_node};

impl Opened {
    /// A request to the older, bare routes, which ask this node for no token.
    fn bare(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.node.request(method, path).json(body).send()
    }

    fn with_root(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.request(method, path).json(body).send()
    }

    /// Seals it; the shares must open it again.
    fn reopens_with(&self, shares: &[Value]) {
        self.request("PUT", "sys/seal").send().expect(204);
        for share in shares {
            let body = json!({ "key": share });
            self.bare("PUT", "sys/unseal", &body).expect(200);
        }
        self.read("sys/mounts", 200);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn who_may_renew_keys_and_shares() {
    let opened = opened_node();
    let user = &opened.addon.user_token;
    let enveloped = [
        ("GET", "sys/key-status"),
        ("POST", "sys/rotate"),
        ("POST", "sys/rotate/keyring"),
        ("GET", "sys/rotate/config"),
        ("POST", "sys/rotate/config"),
        ("POST", "sys/rotate/root/init"),
        ("GET", "sys/rotate/root/init"),
        ("PUT", "sys/rotate/root/update"),
        ("PUT", "sys/rotate/root/verify"),
        ("PUT", "sys/generate-root-token/attempt"),
        ("PUT", "sys/generate-root-token/update"),
        ("GET", "sys/rekey/backup"),
    ];
    for (method, path) in enveloped {
        opened.node.request(method, path).send().expect(403);
        opened
            .node
            .request(method, path)
            .token(user)
            .send()
            .expect(403);
    }
    // A policy for the path is enough, where Vault asks for no more.
    let policy = "path \"sys/rotate\" { capabilities = [\"update\"] }\n\
                  path \"sys/rotate/root/init\" { capabilities = [\"read\"] }";
    opened.write("sys/policies/acl/keys", &json!({ "policy": policy }), 204);
    let made = opened.write("auth/token/create", &json!({"policies": ["keys"]}), 200);
    let token = text(&made["auth"]["client_token"]);
    opened
        .node
        .request("POST", "sys/rotate")
        .token(token)
        .send()
        .expect(403);
    opened
        .node
        .request("GET", "sys/rotate/root/init")
        .token(token)
        .send()
        .expect(200);
    opened
        .node
        .request("POST", "sys/rotate/root/init")
        .token(token)
        .send()
        .expect(403);
    let policy = policy.replace("\"update\"", "\"update\", \"sudo\"");
    opened.write("sys/policies/acl/keys", &json!({ "policy": policy }), 204);
    opened
        .node
        .request("POST", "sys/rotate")
        .token(token)
        .send()
        .expect(204);

    // Other add-ons are not the default one: their bare routes want a token too.
    let other = opened.node.create_addon("other");
    let (shares, _) = opened.node.init(&other, 2, 2);
    let bare = [
        ("GET", "sys/rekey/init"),
        ("PUT", "sys/rekey/init"),
        ("PUT", "sys/rekey/update"),
        ("DELETE", "sys/rekey/init"),
        ("PUT", "sys/rekey/verify"),
        ("GET", "sys/generate-root/attempt"),
        ("PUT", "sys/generate-root/attempt"),
        ("PUT", "sys/generate-root/update"),
    ];
    for (method, path) in bare {
        let asked = || {
            opened
                .node
                .request(method, path)
                .header("X-Vault-Namespace", "other")
        };
        asked().send().expect(403);
        asked().token(&other.user_token).send().expect(403);
        asked()
            .token(&other.root_token)
            .send()
            .expect_errors(503, &["Vault is sealed"]);
    }
    opened.node.unseal(&other, &shares);
    opened
        .node
        .request("GET", "sys/rekey/init")
        .token(&other.root_token)
        .send()
        .expect(200);
}
