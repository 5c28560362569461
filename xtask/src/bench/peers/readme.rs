//! Puts the table of peers into the README, between two marks.

use std::path::Path;

use anyhow::Context as _;

const BEGIN: &str = "<!-- peers: written by `cargo xtask bench --peers --write-readme` -->";
const END: &str = "<!-- end of peers -->";

pub(super) fn write(readme: &Path, table: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(readme)?;
    let text = replaced(&text, table).with_context(|| format!("{} has no marks", readme.display()))?;
    std::fs::write(readme, text)?;
    println!("{} has the table now", readme.display());
    Ok(())
}

/// `None` where the marks are missing.
fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}\nold\nold\n{END}\nafter\n");
        assert_eq!(replaced(&text, "new").unwrap(), format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(replaced("nothing", "new"), None);
    }

    #[test]
    fn the_readme_has_its_marks() {
        assert!(replaced(include_str!("../../../../README.md"), "new").is_some());
    }
}
