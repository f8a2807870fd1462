//! Finds libberth by pkg-config (PKG_CONFIG_PATH for one in a place of its own).
//!
//! Feature `static` links libberth.a by name, and what that needs as pkg-config says: where a distribution has those
//! as shared libraries only, they stay shared.

fn main() {
    let is_static = std::env::var_os("CARGO_FEATURE_STATIC").is_some();
    let found = pkg_config::Config::new()
        .atleast_version("0.1.0")
        .statik(is_static)
        .cargo_metadata(!is_static)
        .probe("berth");
    let library = match found {
        Ok(library) => library,
        Err(error) => {
            eprintln!("libberth was not found: {error}");
            eprintln!("Install it, or point PKG_CONFIG_PATH to the folder of its berth.pc.");
            std::process::exit(1);
        }
    };
    if is_static {
        link_static(&library);
    }
    // For build scripts of crates above: DEP_BERTH_INCLUDE.
    for path in &library.include_paths {
        println!("cargo:include={}", path.display());
    }
    // For this crate's own tests.
    let include = pkg_config::get_variable("berth", "includedir").unwrap_or_default();
    println!("cargo:rustc-env=BERTH_INCLUDE={include}");
}

fn link_static(library: &pkg_config::Library) {
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
        // It becomes part of this crate: a newer one makes the crate stale.
        println!("cargo:rerun-if-changed={}", path.join("libberth.a").display());
    }
    for name in &library.libs {
        let kind = if name == "berth" { "static=" } else { "" };
        println!("cargo:rustc-link-lib={kind}{name}");
    }
}
