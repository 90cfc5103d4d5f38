//! `conclave store`: tools on a whole store, which they open themselves. An embedded store must not be open in a node at
//! the time; a shared one may be, see each command.
//!
//! None of them needs keys, except `check --unseal`, which is given shares; none prints anything of what rows hold.

mod bar;
mod check;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use self::bar::Bar;
use super::output::{self, Format};
use super::{Failure, Session};
use crate::app;
use crate::config::{Config, Storage};
use crate::error::Error;
use crate::store::Store;
use crate::store::embedded::FILE_NAME;
use crate::store::tools::{self, Moved};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Copy a store into an empty one, of the same kind or another. Interrupted, it goes on where it stopped when run
    /// again. What is written to the source meanwhile is not copied: stop its nodes before, or lose that.
    Copy {
        /// The configuration of a node on the store to copy from.
        #[arg(long)]
        from: PathBuf,
        /// The configuration of a node on the store to copy to.
        #[arg(long)]
        to: PathBuf,
    },
    /// Write a store into one compressed file, encrypted as it is.
    Backup {
        /// The file to make; it must not exist.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Bring a backup back into an empty store. The file is checked whole before.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Look at every row of a store and print each fault with its address. Exit code 1 when there is one.
    Check {
        #[command(flatten)]
        target: Target,
        /// Open each row of this add-on as well, with unseal keys that are asked for, or read from standard input, one a
        /// line.
        #[arg(long, value_name = "ADDON")]
        unseal: Option<String>,
    },
}

/// Which store.
#[derive(Args)]
pub(super) struct Target {
    /// The configuration of a node on the store.
    #[arg(long)]
    config: PathBuf,
}

pub(super) fn run(
    command: &Command,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::local)?;
    runtime.block_on(async {
        match command {
            Command::Copy { from, to } => copy(from, to, format, session).await,
            Command::Backup { file, target } => backup(file, target, format, session).await,
            Command::Restore { file, target } => restore(file, target, format, session).await,
            Command::Check { target, unseal } => {
                let store = existing(&target.config, session).await?;
                check::run(store.as_ref(), unseal.as_deref(), format, session).await
            }
        }
    })
}

async fn copy(
    from: &Path,
    to: &Path,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let source = existing(from, session).await?;
    let target = opened(to, session).await?;
    let random = session.random;
    let mut bar = Bar::new(session);
    let copied = tools::copy(source.as_ref(), target.as_ref(), random, &mut bar.watcher()).await;
    bar.clear();
    print("Copied", &copied?, format, session)
}

async fn backup(
    file: &Path,
    target: &Target,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let store = existing(&target.config, session).await?;
    let now = session.clock.now();
    let mut bar = Bar::new(session);
    let moved = tools::backup(store.as_ref(), file, now, &mut bar.watcher()).await;
    bar.clear();
    print("Saved", &moved?, format, session)
}

async fn restore(
    file: &Path,
    target: &Target,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let store = opened(&target.config, session).await?;
    let random = session.random;
    let mut bar = Bar::new(session);
    let restored = tools::restore(file, store.as_ref(), random, &mut bar.watcher()).await;
    bar.clear();
    let restored = restored?;
    if format == Format::Table {
        writeln!(session.output, "The backup is of {}.", restored.created)?;
    }
    print("Restored", &restored.moved, format, session)
}

/// A store that must be there already.
async fn existing(
    config: &Path,
    session: &Session<'_>,
) -> Result<std::sync::Arc<dyn Store>, Failure> {
    let settings = load(config, session)?;
    if let Storage::Embedded { path, .. } = &settings.storage
        && !path.join(FILE_NAME).exists()
    {
        return Err(Failure::Local(format!(
            "there is no store in {}",
            path.display()
        )));
    }
    open(&settings).await
}

/// A store that is made where it is missing.
async fn opened(
    config: &Path,
    session: &Session<'_>,
) -> Result<std::sync::Arc<dyn Store>, Failure> {
    open(&load(config, session)?).await
}

fn load(config: &Path, session: &Session<'_>) -> Result<Config, Failure> {
    let settings = Config::load(config, session.environment.pairs()).map_err(Failure::local)?;
    match settings.storage {
        Storage::InMemory => Err(Failure::Local(format!(
            "{}: a store in memory is gone when its node is",
            config.display()
        ))),
        _ => Ok(settings),
    }
}

async fn open(settings: &Config) -> Result<std::sync::Arc<dyn Store>, Failure> {
    let opened = app::open_store(settings).await;
    opened.map_err(|error: Error| match settings.storage {
        Storage::Embedded { .. } => Failure::Local(format!("{error} (is a node running on it?)")),
        _ => Failure::from(error),
    })
}

fn print(
    verb: &str,
    moved: &Moved,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let Moved {
        rows,
        bytes,
        digest,
    } = moved;
    let digest = hex::encode(digest);
    match format {
        Format::Table => writeln!(
            session.output,
            "{verb} {rows} rows of {bytes} bytes, all verified; SHA-256 of the rows: {digest}"
        )?,
        Format::Json => {
            let shown = json!({ "rows": rows, "bytes": bytes, "sha256": digest });
            output::json(session.output, &shown)?;
        }
    }
    Ok(())
}
