//! Compiles the stand-in for FoundationDB's C library, under that library's name: the crate `foundationdb` asks the
//! linker for `fdb_c`, and a program linked with the real one would not start where that is not installed.

#[allow(
    clippy::disallowed_methods,
    reason = "this is how cargo talks to a build script"
)]
fn main() {
    let folder = "src/store/foundationdb";
    for file in ["loader.c", "symbols.h"] {
        println!("cargo:rerun-if-changed={folder}/{file}");
    }
    let mut build = cc::Build::new();
    // The crate `foundationdb-sys` has the linker take the library; it only has to be found.
    build.cargo_metadata(false).warnings_into_errors(true);
    build.file(format!("{folder}/loader.c")).compile("fdb_c");
    if let Some(folder) = std::env::var_os("OUT_DIR") {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
}
