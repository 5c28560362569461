//! Which crate may use which. The table is the one of the design; a new arrow is a decision, not a line in a manifest.

use toml::{Table, Value};

use super::{Breach, Tree};

/// A crate and what it may use directly; what those may use, it may use too.
const ARROWS: [(&str, &[&str]); 19] = [
    ("core", &[]),
    ("failpoints", &[]),
    ("vgpu-page", &[]),
    ("softgpu", &[]),
    ("kernels", &[]),
    ("report", &[]),
    ("softgpu-cuda", &["softgpu"]),
    ("softgpu-nvml", &["softgpu"]),
    ("vgpu", &["vgpu-page"]),
    ("api", &["core"]),
    ("client", &["api"]),
    ("store", &["core", "failpoints"]),
    ("sim", &["core", "report", "failpoints"]),
    ("pool", &["core", "failpoints"]),
    ("wire", &["core"]),
    ("control", &["core", "store", "pool", "failpoints"]),
    ("server", &["api", "control", "report", "wire", "failpoints"]),
    ("node", &["core", "wire", "vgpu-page", "softgpu", "failpoints"]),
    // `vgpu`, `softgpu-cuda` and `softgpu-nvml` are embedded as files and never linked: their exports would take
    // over those of the driver.
    ("cli", &["server", "client", "node", "control", "sim", "pool", "kernels"]),
];

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn crates_point_right(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.ending("Cargo.toml") {
        let Some(name) = folder_of_crate(path) else { continue };
        if !ARROWS.iter().any(|(known, _)| *known == name) {
            breaches
                .push(Breach::of_file(path, format!("`{name}` has no place among the arrows of the design")));
            continue;
        }
        match text.parse::<Table>() {
            Err(error) => breaches.push(Breach::of_file(path, error.message())),
            Ok(manifest) => breaches.extend(
                dependencies(&manifest, &DEPENDENCY_TABLES)
                    .filter_map(|used| own_crate(&used))
                    .filter(|used| !reaches(name, used))
                    .map(|used| Breach::of_file(path, format!("`{name}` may not use `{used}`"))),
            ),
        }
    }
    breaches
}

pub(super) fn core_stands_alone(tree: &Tree) -> Vec<Breach> {
    const PATH: &str = "crates/core/Cargo.toml";
    let Some(manifest) = tree.text(PATH).and_then(|text| text.parse::<Table>().ok()) else {
        return Vec::new();
    };
    dependencies(&manifest, &["dependencies", "build-dependencies"])
        .map(|used| Breach::of_file(PATH, format!("the core uses `{used}`; pass in what it needs instead")))
        .collect()
}

/// `core` for `crates/core/Cargo.toml`.
fn folder_of_crate(manifest_path: &str) -> Option<&str> {
    manifest_path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").filter(|name| !name.contains('/'))
}

/// The folder of a package of ours.
fn own_crate(package: &str) -> Option<String> {
    if package == "fastgpu" {
        Some("cli".to_owned())
    } else {
        package.strip_prefix("fastgpu-").map(str::to_owned)
    }
}

/// True if an arrow, or a chain of arrows, leads from one to the other.
fn reaches(from: &str, to: &str) -> bool {
    let direct = ARROWS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, used)| used);
    direct.iter().any(|used| *used == to || reaches(used, to))
}

/// Packages named in the tables, also in those for one target only, whatever they are renamed to.
pub(super) fn dependencies(manifest: &Table, tables: &[&str]) -> impl Iterator<Item = String> {
    let per_target = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let holders = per_target.filter_map(|(_, value)| value.as_table()).chain([manifest]);
    let found = holders.flat_map(|holder| tables.iter().filter_map(|table| holder.get(*table)?.as_table()));
    let names: Vec<String> = found
        .flatten()
        .map(|(name, value)| value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned())
        .collect();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(manifest: &str, text: &str) -> Vec<String> {
        crates_point_right(&Tree::of(&[(manifest, text)])).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_chain_of_arrows_may_be_used_directly() {
        let text = "[dependencies]\nfastgpu-core.workspace = true\nfastgpu-store.workspace = true";
        assert!(breaches("crates/server/Cargo.toml", text).is_empty());
    }

    #[test]
    fn an_arrow_to_the_left_is_a_breach_in_every_table() {
        for table in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let text = format!("[{table}]\nfastgpu-server.workspace = true");
            assert_eq!(breaches("crates/node/Cargo.toml", &text), ["`node` may not use `server`"], "{table}");
        }
    }

    #[test]
    fn another_name_does_not_hide_an_arrow() {
        let text = "[dependencies]\nhelper = { package = \"fastgpu-control\", path = \"../control\" }";
        assert_eq!(breaches("crates/client/Cargo.toml", text), ["`client` may not use `control`"]);
    }

    #[test]
    fn failpoints_stay_out_of_core_and_api() {
        let text = "[dependencies]\nfastgpu-failpoints.workspace = true";
        assert_eq!(breaches("crates/core/Cargo.toml", text).len(), 1);
        assert_eq!(breaches("crates/api/Cargo.toml", text).len(), 1);
        assert!(breaches("crates/store/Cargo.toml", text).is_empty());
    }

    #[test]
    fn charts_are_for_those_who_show_them_and_know_nobody() {
        let uses = |name: &str| format!("[dependencies]\nfastgpu-{name}.workspace = true");
        assert!(breaches("crates/sim/Cargo.toml", &uses("report")).is_empty());
        assert!(breaches("crates/server/Cargo.toml", &uses("report")).is_empty());
        assert_eq!(breaches("crates/store/Cargo.toml", &uses("report")).len(), 1);
        assert_eq!(breaches("crates/report/Cargo.toml", &uses("core")).len(), 1);
    }

    #[test]
    fn what_is_embedded_as_a_file_is_never_linked() {
        let text = "[dependencies]\nfastgpu-vgpu = { path = \"../vgpu\" }";
        assert_eq!(breaches("crates/cli/Cargo.toml", text), ["`cli` may not use `vgpu`"]);
    }

    #[test]
    fn a_crate_that_the_design_does_not_know_is_a_breach() {
        assert_eq!(breaches("crates/utils/Cargo.toml", "").len(), 1);
    }

    #[test]
    fn the_core_may_use_others_only_to_test_itself() {
        let tree = |table: &str| {
            Tree::of(&[("crates/core/Cargo.toml", &format!("[{table}]\nserde = \"1\"") as &str)])
        };
        assert_eq!(core_stands_alone(&tree("dependencies")).len(), 1);
        assert!(core_stands_alone(&tree("dev-dependencies")).is_empty());
    }
}
