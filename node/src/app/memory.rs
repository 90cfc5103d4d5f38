//! Keeping keys in this process and in memory: no core dumps, no debugger, no swap, no privileges gained later.
//!
//! What cannot be had is told in the log, and the node runs all the same: an operator may have chosen so.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::set_no_new_privs;

/// The bit of `CAP_IPC_LOCK` in a set of capabilities (capabilities(7)).
const CAP_IPC_LOCK: u64 = 1 << 14;

/// Protects the process; memory is left to be swapped with `disable_mlock`.
pub fn protect(disable_mlock: bool) {
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, no_core) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process can be read by a debugger");
    }
    if let Err(error) = set_no_new_privs(true) {
        tracing::warn!(%error, "the process may gain privileges");
    }
    if disable_mlock {
        tracing::warn!("memory is not locked, as disable_mlock says: keys may be swapped out");
        return;
    }
    match lock_memory() {
        Ok(()) => tracing::info!("memory is locked"),
        Err(why) => tracing::warn!(
            why,
            "memory is not locked, so keys may be swapped out; give the process the capability IPC_LOCK or \
             LimitMEMLOCK=infinity, or set disable_mlock = true and use no swap"
        ),
    }
}

/// Locks all memory, present and future, page by page as it is used. Under a limit that would make an allocation fail
/// later, and end the process; so it is done only without one.
fn lock_memory() -> Result<(), String> {
    let limit = getrlimit(Resource::Memlock);
    let is_unlimited = limit.maximum.is_none()
        && (limit.current.is_none()
            || setrlimit(
                Resource::Memlock,
                Rlimit {
                    current: None,
                    maximum: None,
                },
            )
            .is_ok());
    if !is_unlimited && !may_lock() {
        return Err("the limit on locked memory is too low".to_owned());
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|error| error.to_string())
}

/// Whether the process may lock memory whatever the limit.
fn may_lock() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & CAP_IPC_LOCK != 0)
}
