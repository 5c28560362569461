//! Dependencies that must not come in, not even through somebody else.

use toml::{Table, Value};

use super::arrows::dependencies;
use super::{Breach, Tree};

/// Never in the tree of dependencies, with the reason.
const BANNED: [(&str, &str); 11] = [
    ("bincode", "is no longer maintained; stored data is SQL or JSON"),
    ("serde_yaml", "is no longer maintained"),
    ("async-std", "is no longer maintained; tokio is the one runtime"),
    ("libseccomp", "needs a C library at build time"),
    ("openssl", "TLS is rustls with ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    ("aws-lc-rs", "needs cmake; TLS is rustls with ring"),
    ("aws-lc-sys", "needs cmake; TLS is rustls with ring"),
    ("sqlx-sqlite", "would link SQLite a second time"),
    ("diesel", "would link SQLite a second time"),
];
/// Others may use it below; our own manifests may not name it.
const BANNED_DIRECTLY: [(&str, &str); 1] = [("chrono", "times in our own words are jiff's and the core's")];

pub(super) fn no_banned_dependency(tree: &Tree) -> Vec<Breach> {
    let mut breaches = in_lock(tree);
    for (path, text) in tree.ending("Cargo.toml") {
        let Ok(manifest) = text.parse::<Table>() else { continue };
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let workspace = manifest.get("workspace").and_then(Value::as_table).cloned().unwrap_or_default();
        let named = dependencies(&manifest, &tables).chain(dependencies(&workspace, &tables));
        breaches.extend(named.filter_map(|name| {
            let (banned, reason) = BANNED_DIRECTLY.iter().find(|(banned, _)| *banned == name)?;
            Some(Breach::of_file(path, format!("`{banned}` {reason}")))
        }));
    }
    breaches
}

fn in_lock(tree: &Tree) -> Vec<Breach> {
    let Some(lock) = tree.text("Cargo.lock").and_then(|text| text.parse::<Table>().ok()) else {
        return Vec::new();
    };
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    let names = packages.filter_map(|package| package.get("name")?.as_str());
    names
        .filter_map(|name| BANNED.iter().find(|(banned, _)| *banned == name))
        .map(|(name, reason)| Breach::of_file("Cargo.lock", format!("`{name}` {reason}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_package_below_somebody_else_is_found() {
        let lock = "version = 4\n[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.0\"\n";
        let breaches = no_banned_dependency(&Tree::of(&[("Cargo.lock", lock)]));
        assert_eq!(breaches[0].what, "`openssl-sys` TLS is rustls with ring");
        let other = lock.replace("openssl-sys", "ring");
        assert!(no_banned_dependency(&Tree::of(&[("Cargo.lock", &other)])).is_empty());
    }

    #[test]
    fn chrono_is_banned_from_our_manifests_only() {
        let lock = ("Cargo.lock", "[[package]]\nname = \"chrono\"\n");
        assert!(no_banned_dependency(&Tree::of(&[lock])).is_empty());
        let ours = [("crates/api/Cargo.toml", "[dependencies]\nchrono = \"0.4\"")];
        assert_eq!(no_banned_dependency(&Tree::of(&ours)).len(), 1);
        let shared = [("Cargo.toml", "[workspace.dependencies]\nchrono = \"0.4\"")];
        assert_eq!(no_banned_dependency(&Tree::of(&shared)).len(), 1);
    }
}
