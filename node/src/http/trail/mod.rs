//! The audit trail of one request: what of it is written down, and when. The lines themselves are [`crate::audit`]'s.
//!
//! The request's line comes before any effect, the response's before the reply leaves. A request that is given up on the
//! way, because its client left, gets its second line all the same.

mod asker;
mod parameters;

use std::net::SocketAddr;
use std::sync::Arc;

use self::asker::{Asker, Hashes};
use self::parameters::Parameters;
use super::request::Request;
use super::respond::Answer;
use super::session::{Caller, plain_operation};
use crate::audit::line::Object;
use crate::audit::mask::{
    Hidden, MAX_MASKED_BYTES, append_masked, append_masked_within, without_values,
};
use crate::audit::salt::Salt;
use crate::audit::{Audit, Stage};
use crate::clock::Clock;
use crate::engines::Reply;
use crate::error::Error;
use crate::metrics::route;
use crate::node::Node;

/// Parameters longer than this are told in the request's line only.
const MAX_REPEATED_BYTES: usize = 64 * 1024;

/// How much of what somebody without a good token sent stands in a line. More than any honest mistake takes.
const MAX_UNKNOWN_BYTES: usize = 8 * 1024;

/// The longest path that a line holds; a longer one is refused, and cut here.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// Routes whose parameters or replies hold shares of an add-on's keys, or what is made of them.
const SHARE_ROUTES: [&str; 9] = [
    "sys/init",
    "sys/unseal",
    "sys/rekey",
    "sys/rekey-recovery-key",
    "sys/generate-root",
    "sys/generate-root-token",
    "sys/rotate/root",
    "sys/rotate/recovery",
    "sys/decode-token",
];

/// What is hashed in the envelope's `auth`.
const AUTH_SECRETS: Hidden<'_> = Hidden::Of(&["client_token", "accessor"]);

/// How far the trail of a request has come.
pub struct Trail<'n> {
    audit: &'n Audit,
    clock: &'n dyn Clock,
    id: String,
    remote: Option<SocketAddr>,
    state: State,
    /// The name under which the request is counted.
    pub route: &'static str,
}

enum State {
    /// Nothing is written.
    Unasked,
    /// The request's line is.
    Asked(Asked),
    /// Nothing more is to be written.
    Done,
}

/// What both lines of a request say.
struct Asked {
    auth: String,
    request: String,
    salt: Arc<Salt>,
    tells_data: bool,
    parameters: Parameters,
}

impl<'n> Trail<'n> {
    /// The trail of a request that came from `remote` and is answered under `id`.
    pub fn new(node: &'n Node, id: String, remote: Option<SocketAddr>) -> Self {
        let state = match node.audit.is_on() {
            true => State::Unasked,
            false => State::Done,
        };
        Self {
            audit: &node.audit,
            clock: node.clock.as_ref(),
            id,
            remote,
            state,
            route: route::label("", None),
        }
    }

    /// The id that the request is answered under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Leaves this request out.
    pub fn exempt(&mut self) {
        self.state = State::Done;
    }

    /// Writes the request's line: of a `caller`, where one is known, and with the reason, if it was refused already.
    ///
    /// # Errors
    /// [`Error::Unaudited`].
    pub async fn request(
        &mut self,
        node: &Node,
        request: &Request,
        caller: Option<&Caller>,
        refusal: Option<&Error>,
    ) -> Result<(), Error> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        let asker = match caller {
            Some(caller) => Asker {
                tenant: Some(Arc::clone(&caller.tenant)),
                opened: Some(Arc::clone(&caller.opened)),
                principal: Some(caller.principal.clone()),
                is_operator: false,
            },
            None => Asker::guess(node, request).await,
        };
        let salt = match &asker.opened {
            Some(opened) => Arc::clone(opened.tenant.audit_salt()),
            None => Arc::clone(self.audit.node_salt()),
        };
        let hashes = Hashes {
            token: request
                .token
                .as_ref()
                .map(|token| salt.hash(token.expose())),
            accessor: asker.accessor().map(|accessor| salt.hash(&accessor)),
        };
        let auth = asker.auth(&hashes);
        let mut text = self.request_text(request, &asker, &hashes);
        let tells_data = !carries_shares(&request.path);
        let without_data = text.len();
        let parameters = Parameters::of(request);
        if let Some(json) = parameters.json().filter(|_| tells_data) {
            text.push_str(",\"data\":");
            // Who has shown no token does not fill the disk.
            let most_bytes = match asker.is_known() {
                true => MAX_MASKED_BYTES,
                false => MAX_UNKNOWN_BYTES,
            };
            append_masked_within(most_bytes, json, Hidden::All, &salt, &mut text);
        }
        text.push('}');
        self.ask(&auth, &text, refusal).await?;
        if text.len() - without_data > MAX_REPEATED_BYTES {
            text.truncate(without_data);
            text.push('}');
        }
        self.state = State::Asked(Asked {
            auth,
            request: text,
            salt,
            tells_data,
            parameters,
        });
        Ok(())
    }

    /// Writes what is missing before the reply leaves. `method` and `path` are as they came.
    ///
    /// # Errors
    /// [`Error::Unaudited`]: the reply must not leave.
    pub async fn finish(
        &mut self,
        method: &str,
        path: &str,
        result: &Result<Answer, Error>,
    ) -> Result<(), Error> {
        let error = result.as_ref().err();
        if matches!(self.state, State::Unasked) {
            let path = path.get(..MAX_PATH_BYTES).unwrap_or(path);
            let request = self.start(method, path).finish();
            self.ask("{}", &request, error).await?;
            self.state = State::Asked(Asked {
                auth: "{}".to_owned(),
                request,
                salt: Arc::clone(self.audit.node_salt()),
                tells_data: false,
                parameters: Parameters::None,
            });
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Asked(asked) => {
                let response = match result {
                    Ok(answer) if asked.tells_data => response(answer, &asked.salt),
                    _ => "{}".to_owned(),
                };
                let message = error.map(|error| asked.message(error));
                let line = self.line(
                    "response",
                    &asked.auth,
                    &asked.request,
                    &response,
                    message.as_deref().unwrap_or_default(),
                );
                self.audit.write(Stage::Response, &line).await
            }
            State::Unasked | State::Done => Ok(()),
        }
    }

    /// Writes a request's line. If that fails, the request is over.
    async fn ask(&mut self, auth: &str, request: &str, error: Option<&Error>) -> Result<(), Error> {
        let message = error.map_or_else(String::new, Error::to_string);
        let line = self.line("request", auth, request, "{}", &message);
        let written = self.audit.write(Stage::Request, &line).await;
        if written.is_err() {
            self.state = State::Done;
        }
        written
    }

    fn line(&self, kind: &str, auth: &str, request: &str, response: &str, error: &str) -> String {
        Object::default()
            .text("time", &self.clock.now().to_string())
            .text("type", kind)
            .object("auth", auth)
            .object("request", request)
            .object("response", response)
            .text("error", error)
            .finish()
    }

    /// What is known of any request.
    fn start(&self, operation: &str, path: &str) -> Object {
        let address = self.remote.map(|remote| remote.ip().to_string());
        Object::default()
            .text("id", &self.id)
            .text("operation", operation)
            .text("path", path)
            .text("remote_address", address.as_deref().unwrap_or_default())
            .number(
                "remote_port",
                self.remote.map_or(0, |remote| remote.port().into()),
            )
    }

    /// The request as an object that is not closed yet.
    fn request_text(&self, request: &Request, asker: &Asker, hashes: &Hashes) -> String {
        let namespace = asker.tenant.as_ref().map_or("{}".to_owned(), |tenant| {
            let addon = tenant.addon();
            Object::default()
                .text("id", &addon.id.to_string())
                .text("path", &format!("{}/", addon.name))
                .finish()
        });
        let wrap_ttl_s = request.wrap_ttl.map_or(0, |ttl| ttl.as_secs());
        let mut object = self
            .start(plain_operation(request.verb).as_str(), &request.path)
            .object("namespace", &namespace)
            .number("wrap_ttl", i64::try_from(wrap_ttl_s).unwrap_or(i64::MAX));
        object = object
            .text("client_token", hashes.token())
            .text("client_token_accessor", hashes.accessor());
        let mounted = asker.opened.as_ref().and_then(|opened| {
            let (mounted, _) = opened.tenant.route(&request.path)?;
            Some(mounted)
        });
        object = match mounted {
            Some(mounted) => object
                .text("mount_point", &mounted.mount.path)
                .text("mount_type", mounted.mount.kind.name())
                .text("mount_accessor", &mounted.mount.accessor),
            None if request.path.starts_with("sys/") => object
                .text("mount_point", "sys/")
                .text("mount_type", "system"),
            None if request.path.starts_with("auth/token/") => object
                .text("mount_point", "auth/token/")
                .text("mount_type", "token"),
            None => object,
        };
        let mut text = object.finish();
        text.pop();
        text
    }
}

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        if let State::Asked(asked) = std::mem::replace(&mut self.state, State::Done) {
            let given_up = Error::Unavailable("the request was given up, no reply was sent".into());
            let line = self.line(
                "response",
                &asked.auth,
                &asked.request,
                "{}",
                &given_up.to_string(),
            );
            self.audit.write_at_once(Stage::Response, &line);
        }
    }
}

impl Asked {
    /// What went wrong, without what was sent along. Messages for the caller may quote it: a name that does not exist,
    /// a number that is none.
    fn message(&self, error: &Error) -> String {
        let message = error.to_string();
        match self.parameters.json() {
            Some(json) => without_values(&message, json, &self.salt),
            None => message,
        }
    }
}

/// Whether what is asked or answered here holds shares.
fn carries_shares(path: &str) -> bool {
    SHARE_ROUTES.iter().any(|route| {
        path.strip_prefix(route)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Vault's `response` object.
fn response(answer: &Answer, salt: &Salt) -> String {
    match answer {
        Answer::Enveloped(reply) | Answer::Flattened(reply) => enveloped(reply, salt),
        Answer::Bare(_, data) => Object::default()
            .json("data", |text| {
                append_masked(data.get(), Hidden::All, salt, text);
            })
            .finish(),
        Answer::Text(..) => "{}".to_owned(),
    }
}

fn enveloped(reply: &Reply, salt: &Salt) -> String {
    Object::default()
        .json("auth", |text| {
            if let Some(auth) = &reply.auth {
                append_masked(auth.get(), AUTH_SECRETS, salt, text);
            }
        })
        .json("data", |text| {
            if let Some(data) = &reply.data {
                append_masked(data.get(), Hidden::All, salt, text);
            }
        })
        .texts("warnings", &reply.warnings)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_shares_are_known() {
        for path in [
            "sys/init",
            "sys/unseal",
            "sys/rekey/update",
            "sys/generate-root/attempt",
            "sys/generate-root-token/update",
            "sys/rekey-recovery-key/update",
            "sys/rotate/root/verify",
        ] {
            assert!(carries_shares(path), "{path}");
        }
        for path in ["sys/initial", "sys/rotate", "secret/data/sys/unseal"] {
            assert!(!carries_shares(path), "{path}");
        }
    }
}
