//! What a crate does without: clippy bans what it can name, and the rest is looked for here.

use toml::{Table, Value};

use super::lexer::code_only;
use super::tokens::{tokens, without_tests};
use super::{Breach, Tree};

/// Shares, memory, GPU time, money and energy are whole numbers, multiplied in 128 bits: a float rounds, and not the
/// same everywhere.
const FLOATS: [&str; 2] = ["f32", "f64"];
/// Files of the core that may hold floats nevertheless, each with its reason.
const FLOATS_ALLOWED: [(&str, &str); 0] = [];
/// Lists of things that clippy refuses.
const BANS: [&str; 3] = ["disallowed-types", "disallowed-methods", "disallowed-macros"];
const ROOT: &str = "clippy.toml";

pub(super) fn no_floats_in_the_core(tree: &Tree) -> Vec<Breach> {
    floats(tree, &FLOATS_ALLOWED)
}

fn floats(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let core = tree.ending(".rs").filter(|(path, _)| path.starts_with("crates/core/src/"));
    for (path, text) in core {
        if path.ends_with("/tests.rs") || allowed.iter().any(|(allowed, _)| *allowed == path) {
            continue;
        }
        let code = code_only(text);
        let found = without_tests(&tokens(&code)).into_iter().filter(|token| FLOATS.contains(&token.text));
        breaches.extend(found.map(|token| {
            let what =
                format!("`{}`; the core counts in whole numbers and looks up the rest in tables", token.text);
            Breach::of_line(path, token.line_index, what)
        }));
    }
    breaches
}

/// The `clippy.toml` of a crate replaces the root's, so what it does not repeat would silently not hold there.
pub(super) fn clippy_files_repeat_the_root(tree: &Tree) -> Vec<Breach> {
    let Some(root) = tree.text(ROOT).and_then(|text| text.parse::<Table>().ok()) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (path, text) in tree.ending("/clippy.toml") {
        let Ok(own) = text.parse::<Table>() else {
            breaches.push(Breach::of_file(path, "is no TOML"));
            continue;
        };
        let lost = root.iter().filter(|(key, value)| !is_repeated(own.get(*key), value));
        breaches.extend(lost.map(|(key, value)| {
            Breach::of_file(path, format!("does not repeat `{key} = {value}` of the root's"))
        }));
    }
    breaches
}

/// The same value; of a list, each of its entries.
fn is_repeated(own: Option<&Value>, root: &Value) -> bool {
    match (own, root) {
        (Some(Value::Array(own)), Value::Array(root)) => root.iter().all(|entry| own.contains(entry)),
        (own, root) => own == Some(root),
    }
}

pub(super) fn bans_give_reasons(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.ending(ROOT) {
        let Ok(file) = text.parse::<Table>() else { continue };
        let entries = BANS.iter().filter_map(|list| file.get(*list)?.as_array()).flatten();
        let silent =
            entries.filter(|entry| entry.get("reason").and_then(Value::as_str).is_none_or(str::is_empty));
        breaches.extend(silent.map(|entry| {
            let banned = entry.get("path").unwrap_or(entry);
            Breach::of_file(path, format!("{banned} is banned without a reason"))
        }));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_in_the_core_is_a_breach_with_its_line() {
        let text = "// f64 is told of\nfn f() -> u64 { 0 }\nfn g(x: f64) {}\n#[cfg(test)]\nmod tests { fn h(x: f32) {} }";
        let tree = Tree::of(&[("crates/core/src/meter.rs", text), ("crates/sim/src/a.rs", text)]);
        let breaches = floats(&tree, &[]);
        assert_eq!(breaches.len(), 1);
        assert_eq!(breaches[0].place, "crates/core/src/meter.rs:3");
        assert!(floats(&tree, &[("crates/core/src/meter.rs", "for a reason")]).is_empty());
    }

    #[test]
    fn a_line_of_the_root_that_a_crate_does_not_repeat_is_lost() {
        let root = "a = true\ndisallowed-types = [{ path = \"x\", reason = \"y\" }]";
        let lost = |own: &str| {
            let tree = Tree::of(&[("clippy.toml", root), ("crates/core/clippy.toml", own)]);
            clippy_files_repeat_the_root(&tree).len()
        };
        assert_eq!(lost(""), 2);
        assert_eq!(lost("a = false"), 2);
        assert_eq!(lost(root), 0);
        let more = "a = true\ndisallowed-types = [{ path = \"z\" }, { path = \"x\", reason = \"y\" }]";
        assert_eq!(lost(more), 0);
        assert_eq!(lost("a = "), 1);
    }

    #[test]
    fn a_ban_without_a_reason_is_a_breach() {
        let silent = "disallowed-methods = [\"a\", { path = \"b\" }, { path = \"c\", reason = \"d\" }]";
        let breaches = bans_give_reasons(&Tree::of(&[("crates/core/clippy.toml", silent)]));
        let whats: Vec<&str> = breaches.iter().map(|breach| breach.what.as_str()).collect();
        assert_eq!(whats, ["\"a\" is banned without a reason", "\"b\" is banned without a reason"]);
    }
}
