//! `--dev`: initialises and unseals the default add-on in memory, and prints how to use it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::auth::token::entry::TokenEntry;
use crate::auth::token::{id, tree};
use crate::barrier::Domain;
use crate::error::Error;
use crate::node::Node;
use crate::seal::Quorum;
use crate::secret::Secret;

/// Opens the default add-on with a single share.
///
/// # Errors
/// What the seal says; [`Error::Bug`] when there is no default add-on.
pub async fn open(node: &Arc<Node>, root_token: Option<String>) -> Result<(), Error> {
    let tenant = node
        .tenants
        .named(&node.settings.default_addon)
        .ok_or_else(|| Error::Bug("the default add-on is missing".into()))?;
    let made = tenant.seal().init(Quorum::new(1, 1)?).await?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for share in &made.shares {
        tenant
            .seal()
            .submit(share.to_base64url().expose(), loopback)
            .await?;
    }
    let opened = tenant.unsealed()?;
    let token = match root_token {
        None => made.root_token,
        Some(chosen) => {
            let chosen = Secret::new(chosen);
            let view = opened.tenant.view();
            let pseudonym = view.pseudonym(Domain::Token, chosen.expose().as_bytes());
            let entry = TokenEntry::root(id::generate_accessor(&node.random), node.clock.now());
            view.run(async |rows| tree::insert(rows, pseudonym, &entry))
                .await?;
            chosen
        }
    };
    let share = made.shares.first().map(|share| share.to_base64url());
    let text = format!(
        "This is a dev node: everything is in memory and gone when it stops.\n\n\
         Unseal Key: {}\nRoot Token: {}\n\n",
        share.as_ref().map_or("", |share| share.expose()),
        token.expose(),
    );
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Error::Unavailable(format!("standard output: {error}")))
}
