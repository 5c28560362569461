//! The modules of each crate as files, and which file imports from which.
//!
//! A path is followed to the file that has the thing: through child modules, and through names that a file passes on
//! with `use`. What a macro makes and what `use a::*` brings is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::Tree;
use super::imports::{Mention, Said, Words, read};
use super::lexer::code_only;
use super::tokens::{tokens, without_tests};

/// Names that pass on names: nobody needs more, and a ring of them must end.
const STEPS_MAX: usize = 16;

/// One crate, or one target of tests: what hangs below one root file.
#[derive(Debug, Default)]
pub(super) struct Crate {
    /// `crates/core/src`.
    pub(super) folder: String,
    /// By path from the root, which is the empty one.
    modules: BTreeMap<Words, Module>,
    /// Inline modules; each belongs to the file of the nearest module above.
    inline: BTreeSet<Words>,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    said: Said,
    /// Names that `use` gives here, each with the place that says so.
    names: BTreeMap<(Words, String), Words>,
}

/// One file takes something from another, of the same crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) from: Words,
    pub(super) to: Words,
    /// Where it says so: `crates/core/src/plan.rs:12`.
    pub(super) place: String,
    /// The path as written.
    pub(super) path: String,
}

/// All crates of the project, tests among them.
pub(super) fn crates(tree: &Tree) -> Vec<Crate> {
    tree.ending(".rs").filter(|(path, _)| is_root(path)).map(|(path, _)| Crate::read(tree, path)).collect()
}

/// Files that cargo starts from: `src/lib.rs`, `src/main.rs`, `tests/name.rs`, `tests/name/main.rs`.
fn is_root(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let (name, folder) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let above = parts.next().unwrap_or("");
    match name {
        "lib.rs" => folder == "src",
        "main.rs" => folder == "src" || above == "tests",
        _ => matches!(folder, "tests" | "examples" | "benches"),
    }
}

impl Crate {
    fn read(tree: &Tree, root: &str) -> Self {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut found = Self { folder: folder.to_owned(), ..Self::default() };
        found.add(tree, Vec::new(), root.to_owned());
        found
    }

    /// Adds a module and all that it declares. A declared file that is not there is rustc's affair.
    fn add(&mut self, tree: &Tree, path: Words, file: String) {
        let Some(text) = tree.text(&file) else { return };
        let said = read(&without_tests(&tokens(&code_only(text))));
        for declared in &said.declared {
            let child = joined(&path, declared);
            let stem = format!("{}/{}", self.folder, child.join("/"));
            let file =
                [format!("{stem}.rs"), format!("{stem}/mod.rs")].into_iter().find(|file| tree.has(file));
            if let Some(file) = file {
                self.add(tree, child, file);
            }
        }
        self.inline.extend(said.inline.iter().map(|inline| joined(&path, inline)));
        let names = said.mentions.iter().filter_map(|mention| {
            let name = mention.name.clone()?;
            Some(((joined(&path, &mention.inside), name), mention.path.clone()))
        });
        let names = names.collect();
        self.modules.insert(path, Module { file, said, names });
    }

    /// What a module and its parents or children take from one another is left out: a parent is made of its children.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.modules {
            for mention in &module.said.mentions {
                let Some(to) = self.file_of(from, mention) else { continue };
                if !from.starts_with(&to) && !to.starts_with(from) {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        place: format!("{}:{}", module.file, mention.line_index + 1),
                        path: mention.path.join("::"),
                    });
                }
            }
        }
        imports
    }

    fn file_of(&self, from: &Words, mention: &Mention) -> Option<Words> {
        let place = self.follow(joined(from, &mention.inside), &mention.path, STEPS_MAX)?;
        Some(self.nearest_file(place))
    }

    /// The module that a path leads to from a place, or `None` if it leaves the crate.
    fn follow(&self, place: Words, path: &[String], steps: usize) -> Option<Words> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => place,
            "super" => parent(place)?,
            name => self.enter(&place, name, steps)?,
        };
        let mut place = start;
        for word in rest {
            match word.as_str() {
                "super" => place = parent(place)?,
                "self" => {}
                name => match self.enter(&place, name, steps) {
                    Some(inner) => place = inner,
                    // The thing itself, or a name of another crate that is passed on here.
                    None => return Some(place),
                },
            }
        }
        Some(place)
    }

    /// The module of this name at a place: a child, or one that a `use` there names, or that holds what it names.
    fn enter(&self, place: &Words, name: &str, steps: usize) -> Option<Words> {
        let child = joined(place, &[name.to_owned()]);
        if self.modules.contains_key(&child) || self.inline.contains(&child) {
            return Some(child);
        }
        let file = self.modules.get(&self.nearest_file(place.clone()))?;
        let path = file.names.get(&(place.clone(), name.to_owned()))?;
        self.follow(place.clone(), path, steps.checked_sub(1)?)
    }

    fn nearest_file(&self, mut place: Words) -> Words {
        while !self.modules.contains_key(&place) && place.pop().is_some() {}
        place
    }
}

fn joined(before: &[String], after: &[String]) -> Words {
    [before, after].concat()
}

fn parent(mut place: Words) -> Option<Words> {
    place.pop().map(|_| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every import of the crate at `src/lib.rs`, as `from -> to`.
    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let found = crates(&Tree::of(files));
        let all = found.iter().flat_map(Crate::imports);
        all.map(|import| format!("{} -> {}", import.from.join("::"), import.to.join("::"))).collect()
    }

    #[test]
    fn paths_lead_to_files_from_wherever_they_start() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "mod c; use crate::b::X;"),
            ("src/a/c.rs", "fn f() { super::super::b::g() } use super::super::b::{Y, d::Z};"),
            ("src/b.rs", "mod d;"),
            ("src/b/d.rs", "mod e { use super::super::X; use crate::a::c; }"),
        ];
        assert_eq!(imports(&files), ["a -> b", "a::c -> b", "a::c -> b", "a::c -> b::d", "b::d -> a::c"]);
    }

    #[test]
    fn a_name_that_is_passed_on_leads_to_its_maker() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c; pub use b::Thing; use c::inner as other;"),
            ("src/a.rs", "use crate::Thing; use super::other::Other;"),
            ("src/b.rs", "pub(crate) use crate::c::Deep as Thing;"),
            ("src/c.rs", "pub(crate) mod inner;"),
            ("src/c/inner.rs", ""),
        ];
        assert_eq!(imports(&files), ["a -> c", "a -> c::inner", "b -> c"]);
    }

    #[test]
    fn what_tests_import_and_what_others_make_is_nothing() {
        let files = [
            ("src/lib.rs", "mod a; mod b; #[cfg(test)] mod t; use std::fmt;"),
            ("src/a.rs", "use std::fs; use super::fmt; #[cfg(test)] mod tests { use crate::b; }"),
            ("src/b.rs", "// use crate::a;\nconst A: &str = \"crate::a\";"),
            ("src/t.rs", "use crate::a;"),
        ];
        assert!(imports(&files).is_empty());
    }

    #[test]
    fn names_that_pass_on_each_other_end() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "pub use crate::b::X;"),
            ("src/b.rs", "pub use crate::a::X;"),
        ];
        assert_eq!(imports(&files).len(), 2);
    }

    #[test]
    fn targets_of_tests_are_crates_too() {
        let roots =
            ["crates/a/src/main.rs", "tests/e2e/main.rs", "crates/a/tests/b.rs", "crates/a/src/lib.rs"];
        assert!(roots.iter().all(|path| is_root(path)));
        assert!(!is_root("crates/a/src/b.rs") && !is_root("tests/e2e/run.rs") && !is_root("a/tests/b/c.rs"));
    }
}
