//! `storage "..." {}`: where rows are kept, and how to reach that.

use std::time::Duration;

use hcl::Block;

use super::read::{label, leaf, set};
use super::section::Section;
use super::{ConfigError, DEFAULT_CACHE_BYTES, Storage};
use crate::store::foundationdb::{FoundationDbOptions, FoundationDbTls};
use crate::store::postgres::{ConnectionUrl, PostgresOptions};

/// redb needs some pages to work with.
const MIN_CACHE_BYTES: u64 = 1024 * 1024;
const MAX_CACHE_BYTES: u64 = 1024 * 1024 * 1024 * 1024;
/// One connection follows the change feed; the others serve requests.
const MIN_CONNECTIONS: u32 = 2;
/// PostgreSQL runs a process for each connection; a server with room for this many is a large one.
const MAX_CONNECTIONS: u32 = 1000;
/// Each key begins with it, and FoundationDB takes keys of 10 kB.
const MAX_PREFIX_BYTES: usize = 64;
/// What a request to a shared store needs at least when the network is slow.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn storage(place: String, block: &Block) -> Result<Storage, ConfigError> {
    let kind = label(&place, block)?;
    let mut section = leaf(place, block)?;
    let storage = match kind {
        "embedded" => Storage::Embedded {
            path: section
                .path("path")?
                .ok_or_else(|| section.wrong("path", "is missing; it names the data folder"))?,
            cache_bytes: section
                .bytes("cache_size", MIN_CACHE_BYTES, MAX_CACHE_BYTES)?
                .unwrap_or(DEFAULT_CACHE_BYTES),
        },
        "foundationdb" => Storage::FoundationDb(foundationdb(&mut section)?),
        "postgres" => Storage::Postgres(postgres(&mut section)?),
        "inmem" => Storage::InMemory,
        _ => {
            return Err(section
                .refuse("unknown storage; there are embedded, foundationdb, postgres and inmem"));
        }
    };
    section.finish()?;
    Ok(storage)
}

fn foundationdb(section: &mut Section) -> Result<FoundationDbOptions, ConfigError> {
    let mut options = FoundationDbOptions::default();
    set(&mut options.cluster_file, section.path("cluster_file")?);
    set(&mut options.library_path, section.path("library_path")?);
    let rule = format!("must be text of 1 to {MAX_PREFIX_BYTES} bytes");
    let prefix = section.word("tenant_prefix", &rule, |text| {
        let fits = !text.is_empty() && text.len() <= MAX_PREFIX_BYTES;
        fits.then(|| text.to_owned())
    })?;
    set(&mut options.tenant_prefix, prefix);
    let certificate_file = section.path("tls_cert_file")?;
    let key_file = section.path("tls_key_file")?;
    let ca_file = section.path("tls_ca_file")?;
    let verify_peers = section.text("tls_verify_peers")?;
    options.tls = match (certificate_file, key_file) {
        (Some(certificate_file), Some(key_file)) => Some(FoundationDbTls {
            certificate_file,
            key_file,
            ca_file,
            verify_peers,
        }),
        (Some(_), None) => return Err(section.wrong("tls_key_file", "is missing")),
        (None, Some(_)) => return Err(section.wrong("tls_cert_file", "is missing")),
        (None, None) if ca_file.is_some() || verify_peers.is_some() => {
            let message = "is missing; FoundationDB wants to see a certificate as well";
            return Err(section.wrong("tls_cert_file", message));
        }
        (None, None) => None,
    };
    set(
        &mut options.request_timeout,
        section.duration("request_timeout", SHORTEST_TIMEOUT, MINUTE)?,
    );
    Ok(options)
}

fn postgres(section: &mut Section) -> Result<PostgresOptions, ConfigError> {
    let url = section.text("url")?.ok_or_else(|| {
        let message = "is missing; it is of the form postgres://user@host:5432/database";
        section.wrong("url", message)
    })?;
    let mut options = PostgresOptions::new(ConnectionUrl::new(url));
    options.password_file = section.path("password_file")?;
    options.tls_ca_file = section.path("tls_ca_file")?;
    set(&mut options.tls_disable, section.flag("tls_disable")?);
    set(
        &mut options.max_connections,
        section.count("max_connections", MIN_CONNECTIONS, MAX_CONNECTIONS)?,
    );
    set(
        &mut options.connect_timeout,
        section.duration("connect_timeout", SHORTEST_TIMEOUT, MINUTE)?,
    );
    set(
        &mut options.request_timeout,
        section.duration("request_timeout", SHORTEST_TIMEOUT, MINUTE)?,
    );
    Ok(options)
}
