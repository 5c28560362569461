//! Where the project lies, and how chores look at the words they were given.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// The folder with the workspace's `Cargo.toml`: cargo names the folder of this package when it runs us.
pub(crate) fn project_root() -> anyhow::Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask …`")?;
    let root = PathBuf::from(own).join("..");
    root.canonicalize().with_context(|| format!("{} is not there", root.display()))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => Ok(std::path::absolute(PathBuf::from(dir))?),
        None => Ok(project_root()?.join("target")),
    }
}

/// Refuses words that the chore does not know, so that a typing error never runs something else.
pub(crate) fn refuse_unknown(words: &[String], known: &[&str]) -> anyhow::Result<()> {
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        None => Ok(()),
        Some(word) => bail!("`{word}` is not known here; known: {}", known.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::refuse_unknown;

    #[test]
    fn a_word_with_a_typing_error_is_named() {
        let words = ["--instal".to_owned()];
        let error = refuse_unknown(&words, &["--install"]).expect_err("not a known word");
        assert!(error.to_string().contains("`--instal`"));
        assert!(refuse_unknown(&["--install".to_owned()], &["--install"]).is_ok());
    }
}
