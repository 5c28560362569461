//! The reference of the command line is made from the code.

use std::path::Path;

use crate::world::World;

#[test]
fn the_reference_in_docs_is_up_to_date() {
    let made = World::empty().ok(&["__cli-reference"]) + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "docs/cli.md is out of date: `UPDATE=1 cargo test -p fastgpu reference` rewrites it"
    );
}
