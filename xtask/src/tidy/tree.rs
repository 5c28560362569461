//! The text files of the project, read once, so that rules are functions and their tests need no disk.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

/// Folders that hold no source of ours.
const SKIPPED_FOLDERS: [&str; 4] = ["target", "__pycache__", "node_modules", ".git"];
/// Larger files are data, not source.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files by their path from the root, with `/`; what is not UTF-8 is listed with no text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (path, kind) = (format!("{prefix}{name}"), entry.file_type()?);
            if kind.is_dir() && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let small = entry.metadata()?.len() <= FILE_BYTES_MAX;
                let text = if small { String::from_utf8(std::fs::read(entry.path())?).ok() } else { None };
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())));
        Self { files: files.collect() }
    }

    /// Path and text of every text file whose name ends so.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        let wanted = self.files.iter().filter(move |(path, _)| path.ends_with(end));
        wanted.filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// True for a file and for a folder that holds one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(path) && file[path.len()..].starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn folders_are_there_when_they_hold_a_file() {
        let tree = Tree::of(&[("docs/errors/FG1.md", "")]);
        assert!(tree.has("docs/errors/") && tree.has("docs/errors/FG1.md") && tree.has(""));
        assert!(!tree.has("docs/err") && !tree.has("docs/errors/FG2.md"));
    }

    #[test]
    fn build_outputs_and_binaries_are_no_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("target")).unwrap();
        std::fs::write(folder.path().join("target/a.rs"), "x").unwrap();
        std::fs::write(folder.path().join("b.rs"), "fn b() {}").unwrap();
        std::fs::write(folder.path().join("c.rs"), [0xff, 0xfe]).unwrap();
        let tree = Tree::read(folder.path()).unwrap();
        assert_eq!(tree.ending(".rs").collect::<Vec<_>>(), [("b.rs", "fn b() {}")]);
        assert!(tree.has("c.rs"));
    }
}
