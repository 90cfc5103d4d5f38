//! How FoundationDB's client library is loaded and left, shown with stand-ins for it: they have all of its functions,
//! which do next to nothing, and can be built where there is no FoundationDB.

use std::path::Path;
use std::process::Command;

use super::support::bao::Outcome;

/// Every function, without effect. The other file has some of them again, which then count.
const ALL: &str = r#"
#define SYMBOL(name) __attribute__((weak)) long name(void) { return 0; }
#include "symbols.h"
"#;

/// A network thread that runs until it is stopped, and no database.
const SOME: &str = r#"
#include <stdio.h>
#include <unistd.h>
static volatile int stopped;
static void (*told)(void *);
int fdb_get_max_api_version(void) { return VERSION; }
int fdb_add_network_thread_completion_hook(void (*hook)(void *), void *unused) { told = hook; return 0; }
int fdb_run_network(void)
{
    while (!stopped)
        usleep(1000);
    fputs("the network has ended\n", stderr);
    told(NULL);
    return 0;
}
int fdb_stop_network(void) { stopped = 1; return 0; }
int fdb_create_database(const char *path, void **database) { return 1; }
const char *fdb_get_error(int code) { return "this is a stand-in"; }
"#;

/// Starts a node with a library that says it is of this version.
fn start_with(version: u32) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("all.c"), ALL).unwrap();
    std::fs::write(place("some.c"), SOME).unwrap();
    let symbols = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/foundationdb");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "libfdb_c.so", "all.c", "some.c"])
        .arg(format!("-DVERSION={version}"))
        .arg("-I")
        .arg(symbols)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let config = format!(
        "operator_public_key = \"{}\"\n\
         storage \"foundationdb\" {{\n cluster_file = \"node.hcl\"\n library_path = \"./libfdb_c.so\"\n}}\n\
         listener \"tcp\" {{\n address = \"127.0.0.1:0\"\n tls_disable = true\n}}\n",
        "00".repeat(32)
    );
    std::fs::write(place("node.hcl"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command
        .args(["server", "--config", "node.hcl"])
        .current_dir(folder.path())
        .env_clear();
    command.output().unwrap().into()
}

#[test]
fn it_is_loaded_at_start_and_its_thread_has_ended_at_the_end() {
    start_with(730)
        .expect(1)
        .expect_error("no FoundationDB cluster at cluster_file node.hcl: this is a stand-in")
        .expect_error("the network has ended");
}

#[test]
fn one_that_is_too_old_is_refused() {
    let outcome = start_with(720).expect(1);
    outcome.expect_error("library_path: ./libfdb_c.so cannot be used: it is too old; install");
}
