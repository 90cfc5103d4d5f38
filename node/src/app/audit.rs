//! The audit devices at start, and on SIGHUP, which lets an operator move a log away.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::audit::Audit;
use crate::config::Config;
use crate::error::Error;
use crate::rng::OsRandom;

/// Opens the devices of the configuration; opens them again on each SIGHUP.
///
/// # Errors
/// [`Error::Invalid`] when a file cannot be opened.
pub fn open(config: &Config, random: &OsRandom) -> Result<Arc<Audit>, Error> {
    let audit = Arc::new(Audit::open(&config.audit, random)?);
    // Also without devices: a SIGHUP that nobody waits for would end the process.
    reopen_on_hangup(Arc::clone(&audit))?;
    Ok(audit)
}

fn reopen_on_hangup(audit: Arc<Audit>) -> Result<(), Error> {
    let mut hangups =
        signal(SignalKind::hangup()).map_err(|error| Error::Unavailable(error.to_string()))?;
    actix_web::rt::spawn(async move {
        while hangups.recv().await.is_some() {
            audit.reopen();
        }
    });
    Ok(())
}
