//! No circle of modules: whoever reads one file must not have to read it again before the end.
//!
//! Files that import each other, directly or round a corner, form a circle, and are printed with the imports that make
//! it. Parents and children may know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Words;
use super::modules::{Crate, Import, crates};
use super::{Breach, Tree};

/// Modules that still stand in circles, by the folder of their crate. The list may only get shorter: what stands in
/// no circle any more must go from here.
const KNOWN: [(&str, &str); 2] = [
    ("crates/core/src", "place::find place::score place::view"),
    (
        "crates/softgpu-cuda/src",
        "graph::capture graph::exec graph::objects graph::part memory::arrays memory::graph_memory memory::part \
         memory::physical memory::pools memory::textures",
    ),
];

/// More would hide the others.
const IMPORTS_SHOWN_MAX: usize = 40;

pub(super) fn no_circle_of_modules(tree: &Tree) -> Vec<Breach> {
    against_known(tree, &KNOWN)
}

fn against_known(tree: &Tree, known: &[(&str, &str)]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut still_there = BTreeSet::new();
    for each in crates(tree) {
        let listed = known.iter().filter(|(folder, _)| *folder == each.folder);
        let listed: Vec<&str> = listed.flat_map(|(_, names)| names.split_whitespace()).collect();
        let imports = each.imports();
        for circle in circles(&imports) {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            if !names.iter().all(|name| listed.contains(&name.as_str())) {
                breaches.push(breach(&each, &circle, &imports));
            }
            still_there.extend(names.into_iter().map(|name| (each.folder.clone(), name)));
        }
    }
    for (folder, names) in known.iter().filter(|(folder, _)| tree.has(folder)) {
        let is_gone = |name: &&str| !still_there.contains(&((*folder).to_owned(), (*name).to_owned()));
        let gone: Vec<&str> = names.split_whitespace().filter(is_gone).collect();
        if !gone.is_empty() {
            let what = format!("no longer in a circle, so take them off the list: {}", gone.join(" "));
            breaches.push(Breach::of_file(folder, what));
        }
    }
    breaches
}

fn breach(of: &Crate, circle: &[Words], imports: &[Import]) -> Breach {
    let inside = |import: &&Import| circle.contains(&import.from) && circle.contains(&import.to);
    // One line for each pair of files; the first of several imports is enough to find the others.
    let mut pairs: BTreeMap<(&Words, &Words), &Import> = BTreeMap::new();
    for import in imports.iter().filter(inside) {
        pairs.entry((&import.from, &import.to)).or_insert(import);
    }
    let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
    let mut what = format!("{} modules in a circle: {}", circle.len(), names.join(" "));
    for import in pairs.values().take(IMPORTS_SHOWN_MAX) {
        let Import { place, path, to, .. } = import;
        what.push_str(&format!("\n    {place}: `{path}`, which is in {}", to.join("::")));
    }
    if pairs.len() > IMPORTS_SHOWN_MAX {
        what.push_str(&format!("\n    and {} more", pairs.len() - IMPORTS_SHOWN_MAX));
    }
    Breach::of_file(&of.folder, what)
}

/// Groups of two or more modules of which each reaches every other one.
fn circles(imports: &[Import]) -> Vec<Vec<Words>> {
    let mut next: BTreeMap<&Words, BTreeSet<&Words>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached: BTreeMap<&Words, BTreeSet<&Words>> =
        next.keys().map(|from| (*from, reached_from(from, &next))).collect();
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    for (from, ahead) in &reached {
        let back = |to: &&&Words| reached.get(**to).is_some_and(|behind| behind.contains(from));
        let circle: Vec<Words> = ahead.iter().filter(back).map(|module| (*module).clone()).collect();
        if circle.len() > 1 && taken.insert(circle.clone()) {
            found.push(circle);
        }
    }
    found
}

fn reached_from<'a>(from: &'a Words, next: &BTreeMap<&'a Words, BTreeSet<&'a Words>>) -> BTreeSet<&'a Words> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        let unseen = next.get(module).into_iter().flatten().filter(|to| reached.insert(**to));
        open.extend(unseen);
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: [(&str, &str); 5] = [
        ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
        ("src/a.rs", "use crate::b::B;\nuse crate::b::X;"),
        ("src/b.rs", "\nfn f() { super::c::g() }"),
        ("src/c.rs", "use crate::{a::A, d::D};"),
        ("src/d.rs", "use std::fmt;"),
    ];

    #[test]
    fn a_circle_is_told_with_the_imports_that_make_it() {
        let breaches = against_known(&Tree::of(&RING), &[]);
        assert_eq!(breaches.len(), 1);
        assert_eq!(
            breaches[0].what,
            "3 modules in a circle: a b c\n    src/a.rs:1: `crate::b::B`, which is in b\n    \
             src/b.rs:2: `super::c::g`, which is in c\n    src/c.rs:1: `crate::a::A`, which is in a"
        );
    }

    #[test]
    fn a_way_without_return_is_no_circle() {
        let files = [RING[0], RING[1], RING[2], ("src/c.rs", "use crate::d::D;"), RING[4]];
        assert!(against_known(&Tree::of(&files), &[]).is_empty());
    }

    #[test]
    fn parent_and_child_may_know_each_other() {
        let files = [
            ("src/lib.rs", "mod a; pub use a::b::B;"),
            ("src/a.rs", "pub mod b; use b::B;"),
            ("src/a/b.rs", "use super::A; use crate::C;"),
        ];
        assert!(against_known(&Tree::of(&files), &[]).is_empty());
    }

    #[test]
    fn two_circles_are_two_breaches() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("src/a.rs", "use crate::b::B;"),
            ("src/b.rs", "use crate::a::A; use crate::c::C;"),
            ("src/c.rs", "use crate::d::D;"),
            ("src/d.rs", "use crate::c::C;"),
        ];
        assert_eq!(against_known(&Tree::of(&files), &[]).len(), 2);
    }

    #[test]
    fn a_known_circle_passes_and_the_list_of_them_only_gets_shorter() {
        let whats = |tree: &Tree, known| -> Vec<String> {
            against_known(tree, known).into_iter().map(|breach| breach.what).collect()
        };
        let tree = Tree::of(&RING);
        assert!(whats(&tree, &[("src", "a b c")]).is_empty());
        assert!(whats(&tree, &[("src", "a b")])[0].starts_with("3 modules in a circle"));
        assert!(whats(&tree, &[("elsewhere", "a b c")])[0].starts_with("3 modules in a circle"));
        let gone = whats(&tree, &[("src", "a b c d e")]);
        assert_eq!(gone, ["no longer in a circle, so take them off the list: d e"]);
    }
}
