//! Rules about the prose: short where it must be, and every link leads somewhere.

use super::{Breach, Tree};

/// A README is read standing up.
const README_LINES_MAX: usize = 150;
/// Written apart so that this file does not look like what it searches for.
const DEVELOPER_FOLDERS: [&str; 2] = [concat!("/ho", "me/"), concat!("/ro", "ot/")];

pub(super) fn readme_is_short(tree: &Tree) -> Vec<Breach> {
    let lines = tree.text("README.md").map_or(0, |text| text.lines().count());
    if lines < README_LINES_MAX {
        return Vec::new();
    }
    vec![Breach::of_file("README.md", format!("{lines} lines; keep it under {README_LINES_MAX}"))]
}

pub(super) fn no_developer_paths(tree: &Tree) -> Vec<Breach> {
    let lines = tree
        .ending(".md")
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(index, line)| (path, index, line)));
    lines
        .filter_map(|(path, index, line)| {
            let found = DEVELOPER_FOLDERS.iter().find(|folder| line.contains(**folder))?;
            Some(Breach::of_line(
                path,
                index,
                format!("`{found}` is somebody's machine; write `~/` or a neutral path"),
            ))
        })
        .collect()
}

pub(super) fn links_resolve(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (index, line) in prose_lines(text) {
            for target in link_targets(line) {
                if let Err(problem) = resolve(tree, path, text, target) {
                    breaches.push(Breach::of_line(path, index, problem));
                }
            }
        }
    }
    breaches
}

/// Lines outside fenced code.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// What stands in the round brackets of `[text](target)`, and after `[label]:` at the start of a line.
fn link_targets(line: &str) -> Vec<&str> {
    let mut targets: Vec<&str> = line
        .match_indices("](")
        .filter(|(at, _)| line[..*at].matches('`').count().is_multiple_of(2))
        .filter_map(|(at, _)| line[at + 2..].split(')').next())
        .collect();
    if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        targets.push(target);
    }
    targets.into_iter().filter_map(|target| target.split_whitespace().next()).collect()
}

fn resolve(tree: &Tree, path: &str, text: &str, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let (linked, linked_text) = if file.is_empty() {
        (path.to_owned(), Some(text))
    } else {
        let linked = join(path, file).ok_or_else(|| format!("`{target}` leaves the project"))?;
        if !tree.has(&linked) {
            return Err(format!("`{target}` leads nowhere"));
        }
        (linked.clone(), tree.text(&linked))
    };
    let known = anchor.is_empty()
        || !linked.ends_with(".md")
        || linked_text.is_some_and(|text| {
            prose_lines(text).any(|(_, line)| heading_anchor(line) == Some(anchor.into()))
        });
    if known { Ok(()) } else { Err(format!("`{linked}` has no heading `#{anchor}`")) }
}

/// The path that a link in `from` means; `None` if it climbs out of the project.
fn join(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in link.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// The anchor that hosts of code make from a heading.
fn heading_anchor(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#');
    if heading.len() == line.len() || !heading.starts_with(' ') {
        return None;
    }
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(files: &[(&str, &str)]) -> Vec<String> {
        links_resolve(&Tree::of(files)).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_readme_that_grows_too_long_is_a_breach() {
        let text = "line\n".repeat(README_LINES_MAX);
        assert_eq!(readme_is_short(&Tree::of(&[("README.md", &text)])).len(), 1);
        assert!(readme_is_short(&Tree::of(&[("README.md", &text[5..])])).is_empty());
    }

    #[test]
    fn a_link_to_a_missing_file_is_a_breach() {
        assert_eq!(broken(&[("docs/a.md", "see [b](b.md)")]), ["`b.md` leads nowhere"]);
        assert!(
            broken(&[("docs/a.md", "see [b](b.md), [x](../x.rs)"), ("docs/b.md", ""), ("x.rs", "")])
                .is_empty()
        );
        assert_eq!(broken(&[("a.md", "[b]: nowhere.md")]), ["`nowhere.md` leads nowhere"]);
        assert_eq!(broken(&[("a.md", "[up](../../x)")]), ["`../../x` leaves the project"]);
    }

    #[test]
    fn links_to_other_sites_and_code_are_left_alone() {
        let text = "[a](https://example.org/x) `[b](c)`\n```\n[d](e.md)\n```\n";
        assert!(broken(&[("a.md", text)]).is_empty());
    }

    #[test]
    fn an_anchor_needs_its_heading() {
        let text = "# The `task` life, twice\n[ok](#the-task-life-twice) [no](#the-end)\n";
        assert_eq!(broken(&[("a.md", text)]), ["`a.md` has no heading `#the-end`"]);
    }

    #[test]
    fn a_path_of_somebodys_machine_in_the_docs_is_a_breach() {
        for folder in DEVELOPER_FOLDERS {
            let text = format!("put it in {folder}x");
            assert_eq!(no_developer_paths(&Tree::of(&[("a.md", &text)])).len(), 1, "{folder}");
        }
        assert!(no_developer_paths(&Tree::of(&[("a.md", "put it in ~/x")])).is_empty());
    }
}
