//! The house rules that a compiler does not check.
//!
//! Every rule is a pure function from the [`Tree`] of files to what breaks it, so each has a test beside it that
//! shows the rule biting. What rustc, clippy and rustfmt can check is left to them.

mod arrows;
mod bans;
mod circles;
mod docs;
mod imports;
mod lexer;
mod lock;
mod modules;
mod source;
mod tokens;
mod tree;

pub(crate) use tree::Tree;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    /// Relative to the root, with a line where one is to blame: `crates/core/src/task.rs:12`.
    pub(crate) place: String,
    /// What is wrong and what to do instead.
    pub(crate) what: String,
}

impl Breach {
    fn of_file(path: &str, what: impl Into<String>) -> Self {
        Self { place: path.to_owned(), what: what.into() }
    }

    fn of_line(path: &str, line_index: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{path}:{}", line_index + 1), what: what.into() }
    }
}

type Rule = (&'static str, fn(&Tree) -> Vec<Breach>);

const RULES: [Rule; 14] = [
    ("crates use only what stands to their right", arrows::crates_point_right),
    ("the core depends on nothing", arrows::core_stands_alone),
    ("no circle of modules", circles::no_circle_of_modules),
    ("the core has no floats", bans::no_floats_in_the_core),
    ("a crate's clippy.toml repeats the root's", bans::clippy_files_repeat_the_root),
    ("a ban says why", bans::bans_give_reasons),
    ("no banned dependency", lock::no_banned_dependency),
    ("files stay short", source::files_stay_short),
    ("nothing is left open in the code", source::nothing_left_open),
    ("unsafe code stays behind its fence", source::unsafe_stays_fenced),
    ("modules say what they are", source::modules_say_what_they_are),
    ("the README is short", docs::readme_is_short),
    ("relative links lead somewhere", docs::links_resolve),
    ("docs name no developer's machine", docs::no_developer_paths),
];

/// Checks every rule; prints a line for each and every breach.
pub(crate) fn run(words: &[String]) -> anyhow::Result<bool> {
    crate::root::refuse_unknown(words, &[])?;
    let tree = Tree::read(&crate::root::project_root()?)?;
    let (passed, failed) = check(&tree);
    println!("tidy: {passed} rules hold, {failed} are broken");
    Ok(failed == 0)
}

/// How many rules hold and how many are broken, with every breach printed.
pub(crate) fn check(tree: &Tree) -> (usize, usize) {
    let mut failed = 0;
    for (name, rule) in RULES {
        let breaches = rule(tree);
        failed += usize::from(!breaches.is_empty());
        for breach in &breaches {
            println!("  {}: {}  [{name}]", breach.place, breach.what);
        }
    }
    (RULES.len() - failed, failed)
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    #[test]
    fn an_empty_tree_breaks_nothing() {
        assert_eq!(check(&Tree::default()).1, 0);
    }

    #[test]
    fn a_broken_rule_is_counted_once_however_many_places_break_it() {
        let long = "x\n".repeat(2_000);
        let tree = Tree::of(&[("a.py", &long), ("b.py", &long)]);
        assert_eq!(check(&tree).1, 1);
    }
}
