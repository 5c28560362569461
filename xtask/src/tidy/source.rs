//! Rules about source files: size, loose ends, unsafe code, module docs.

use super::lexer::code_only;
use super::tokens::{test_items, tokens};
use super::{Breach, Tree};

/// Above this a file is two things; the house aims at 300.
const LINES_MAX: usize = 600;
/// Files and folders that may hold unsafe code; everything else stays safe.
const UNSAFE_ALLOWED: [&str; 7] = [
    "crates/node/src/sys.rs",
    "crates/vgpu/",
    "crates/vgpu-page/",
    "crates/softgpu/",
    "crates/softgpu-cuda/",
    "crates/softgpu-nvml/",
    "crates/kernels/src/driver.rs",
];
/// Written apart so that this file does not break its own rule.
const LOOSE_ENDS: [&str; 3] = [concat!("to", "do!"), concat!("unim", "plemented!"), concat!("FIX", "ME")];

pub(super) fn files_stay_short(tree: &Tree) -> Vec<Breach> {
    let sources = tree.ending(".rs").chain(tree.ending(".py"));
    let long =
        sources.map(|(path, text)| (path, lines_without_tests(text))).filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(path, lines)| Breach::of_file(path, format!("{lines} lines; split it below {LINES_MAX}")))
        .collect()
}

/// Modules of tests do not count, wherever they stand; what points to tests elsewhere hides nothing.
fn lines_without_tests(text: &str) -> usize {
    let lines = text.lines().count();
    if lines <= LINES_MAX || !text.contains("#[cfg(test)]") {
        return lines;
    }
    let code = code_only(text);
    let modules = test_items(&tokens(&code)).into_iter().filter(|item| item.is_module);
    lines - modules.map(|module| module.lines.len()).sum::<usize>()
}

pub(super) fn nothing_left_open(tree: &Tree) -> Vec<Breach> {
    let sources = tree.ending(".rs").chain(tree.ending(".py"));
    sources
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(index, line)| (path, index, line)))
        .filter_map(|(path, index, line)| {
            let found = LOOSE_ENDS.iter().find(|end| line.contains(**end))?;
            Some(Breach::of_line(path, index, format!("`{found}` is left in")))
        })
        .collect()
}

pub(super) fn unsafe_stays_fenced(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.ending(".rs") {
        if UNSAFE_ALLOWED.iter().any(|fence| path.starts_with(fence)) {
            continue;
        }
        for (index, line) in code_only(text).lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe") {
                breaches.push(Breach::of_line(
                    path,
                    index,
                    "unsafe code; it lives in crates/node/src/sys.rs",
                ));
            }
        }
    }
    breaches
}

/// A module of the product starts with what lives there. Tests and examples speak through their names.
pub(super) fn modules_say_what_they_are(tree: &Tree) -> Vec<Breach> {
    let shipped = tree.ending(".rs").filter(|(path, _)| {
        let in_source = path.contains("/src/");
        in_source && !path.ends_with("/tests.rs") && !path.contains("/tests/")
    });
    let silent = shipped.filter(|(_, text)| !text.is_empty() && !text.starts_with("//!"));
    silent
        .map(|(path, _)| Breach::of_file(path, "starts without `//!`: what lives here, what does not"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_too_long_without_its_tests() {
        let body = "fn f() {}\n".repeat(LINES_MAX);
        let tests =
            format!("#[cfg(test)]\n#[expect(a)]\nmod tests {{\n    const BRACE: &str = \"}}\";\n{body}}}\n");
        assert!(files_stay_short(&Tree::of(&[("a.rs", &format!("{body}{tests}") as &str)])).is_empty());
        for longer in [format!("fn g() {{}}\n{body}{tests}"), format!("{tests}{body}fn g() {{}}\n")] {
            let breaches = files_stay_short(&Tree::of(&[("a.rs", &longer)]));
            assert_eq!(breaches[0].what, "601 lines; split it below 600");
        }
    }

    #[test]
    fn tests_in_files_of_their_own_are_counted() {
        let text = format!("#[cfg(test)]\nmod tests;\n{}", "fn f() {}\n".repeat(LINES_MAX));
        for path in ["a.rs", "tests/e2e/a.rs", "crates/a/tests/b.rs", "tests/python/a.py"] {
            assert_eq!(files_stay_short(&Tree::of(&[(path, &text)])).len(), 1, "{path}");
        }
    }

    #[test]
    fn loose_ends_are_named_with_their_line() {
        for end in LOOSE_ENDS {
            let breaches =
                nothing_left_open(&Tree::of(&[("a.rs", &format!("fn f() {{\n    {end}\n}}\n") as &str)]));
            assert_eq!(breaches[0].place, "a.rs:2", "{end}");
        }
        assert!(nothing_left_open(&Tree::of(&[("a.rs", "fn f() {}")])).is_empty());
    }

    #[test]
    fn unsafe_code_outside_its_fence_is_a_breach_and_talk_of_it_is_not() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(unsafe_stays_fenced(&Tree::of(&[("crates/cli/src/a.rs", text)])).len(), 1);
        assert!(unsafe_stays_fenced(&Tree::of(&[("crates/node/src/sys.rs", text)])).is_empty());
        let talk = "// unsafe is denied\n#![deny(unsafe_code)]\nconst A: &str = \"unsafe\";";
        assert!(unsafe_stays_fenced(&Tree::of(&[("crates/cli/src/a.rs", talk)])).is_empty());
    }

    #[test]
    fn a_module_without_its_first_sentence_is_a_breach() {
        assert_eq!(modules_say_what_they_are(&Tree::of(&[("crates/a/src/b.rs", "fn f() {}")])).len(), 1);
        assert!(modules_say_what_they_are(&Tree::of(&[("crates/a/src/b.rs", "//! B.")])).is_empty());
        assert!(modules_say_what_they_are(&Tree::of(&[("crates/a/src/b/tests.rs", "fn f() {}")])).is_empty());
    }
}
