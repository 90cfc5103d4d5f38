//! FoundationDB's C library, which is loaded when it is needed and not linked (`loader.c`, `build.rs`). The unsafe code
//! of this store is in this file.

#![allow(unsafe_code, reason = "calls to a library that is not written in Rust")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ::foundationdb::FdbError;
use ::foundationdb::api::NetworkRunner;

unsafe extern "C" {
    fn conclave_fdb_load(path: *const c_char, problem: *mut *const c_char) -> c_int;
    fn conclave_fdb_stop_at_exit() -> c_int;
}

/// Loads the library. Until this has returned `Ok`, nothing of the crate `foundationdb` may be called; the only caller
/// is [`network`](super::network), which is asked before anything else.
///
/// # Errors
/// Why it cannot be used, in one line.
pub(super) fn load(path: &Path) -> Result<(), String> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| "a path holds no zero byte".to_owned())?;
    let mut problem = std::ptr::null();
    // SAFETY: `name` ends with a zero byte and outlives the call; `problem` is written and not kept. One call runs at a
    // time, under the lock of `network`, and none after one that succeeded.
    let outcome = unsafe { conclave_fdb_load(name.as_ptr(), &raw mut problem) };
    if outcome == 0 {
        return Ok(());
    }
    // SAFETY: after a failure this is null or text that stays until the next call on this thread.
    let text = (!problem.is_null()).then(|| unsafe { CStr::from_ptr(problem) });
    let text = text.map_or_else(String::new, |text| text.to_string_lossy().into_owned());
    Err(match outcome {
        1 => text,
        _ => format!("it lacks {text}, which FoundationDB 7.3 has"),
    })
}

/// Runs the library's network thread, until the program ends.
///
/// # Errors
/// Why it does not run.
pub(super) fn run(runner: NetworkRunner) -> Result<(), String> {
    // SAFETY: the library is loaded, and the runner is the proof that its network was set up and does not run.
    let outcome = unsafe { conclave_fdb_stop_at_exit() };
    if outcome != 0 {
        return Err(FdbError::from_code(outcome).to_string());
    }
    std::thread::Builder::new()
        .name("store-fdb".into())
        // SAFETY: the network must be stopped before the program ends. It is, by the call above, on every way out but
        // those that clean nothing up.
        .spawn(move || unsafe { runner.run() })
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn names(text: &str, before: &str, after: char) -> BTreeSet<String> {
        let names = text.split(before).skip(1);
        names
            .filter_map(|rest| Some(format!("fdb_{}", rest.split_once(after)?.0)))
            .collect()
    }

    /// What bindgen made of the header of the crate `foundationdb-sys`, in the build folder next to this package's.
    fn bindings() -> String {
        let builds = Path::new(env!("OUT_DIR")).ancestors().nth(2).unwrap();
        let outputs = std::fs::read_dir(builds).unwrap().map(|entry| {
            let entry = entry.unwrap().path();
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            let ours = name.starts_with("foundationdb-sys-");
            (ours, entry.join("out/bindings.rs"))
        });
        let mut outputs: Vec<PathBuf> = outputs
            .filter_map(|(ours, path)| (ours && path.exists()).then_some(path))
            .collect();
        outputs.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        std::fs::read_to_string(outputs.pop().expect("the crate was built")).unwrap()
    }

    #[test]
    fn the_loader_knows_exactly_the_functions_that_the_bindings_declare() {
        let loaded = names(include_str!("symbols.h"), "SYMBOL(fdb_", ')');
        let declared = names(&bindings(), "pub fn fdb_", '(');
        assert!(declared.len() > 90, "{declared:?}");
        assert_eq!(loaded, declared);
    }

    #[test]
    fn a_library_that_cannot_be_used_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("libfdb_c.so");
        let why = load(&missing).unwrap_err();
        assert!(why.contains("No such file"), "{why}");
        std::fs::write(&missing, "no library").unwrap();
        let why = load(&missing).unwrap_err();
        assert!(why.contains("libfdb_c.so") && !why.contains('\n'), "{why}");
        // A library, but of something else.
        let why = load(Path::new("libc.so.6")).unwrap_err();
        assert_eq!(
            why,
            "it lacks fdb_add_network_thread_completion_hook, which FoundationDB 7.3 has"
        );
    }
}
