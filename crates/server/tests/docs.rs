//! The references in `docs/` are made from the code; `UPDATE=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fmt::Write;
use std::path::PathBuf;

use fastgpu_api::problem::codes;
use fastgpu_server::routes::{Access, table};

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares a file with what it should be, or rewrites it when asked to.
fn is_up_to_date(name: &str, wanted: &str) {
    let path = docs(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/{name} is out of date: `UPDATE=1 cargo test -p fastgpu-server --test docs`"
    );
}

#[test]
fn every_route_stands_in_the_api_reference() {
    let mut rows = String::from("<!-- routes -->\n| call | who | what |\n|---|---|---|\n");
    for route in table() {
        let who = match route.access {
            Access::Everybody => "everybody",
            Access::Read => "viewer",
            Access::Write => "member",
            Access::Administer => "admin",
        };
        writeln!(rows, "| `{} {}` | {who} | {} |", route.method, route.path, route.about).unwrap();
    }
    let page = std::fs::read_to_string(docs("api.md")).unwrap();
    let (before, rest) = page.split_once("<!-- routes -->").unwrap();
    let (_, after) = rest.split_once("<!-- /routes -->").unwrap();
    is_up_to_date("api.md", &format!("{before}{rows}<!-- /routes -->{after}"));
}

#[test]
fn every_error_code_stands_in_the_reference() {
    let mut page = String::from(
        "# Error codes\n\nThe `code` of a problem document. A code is never reused for something else.\n\n\
         | code | status | what | what to do |\n|---|---|---|---|\n",
    );
    for code in codes::ALL {
        writeln!(page, "| `{}` | {} | {} | {} |", code.code, code.status, code.title, code.help).unwrap();
    }
    is_up_to_date("errors.md", &page);
}
