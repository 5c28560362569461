//! Where the project lies, how chores start other programs, and how they look at the words they were given.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

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

/// Cargo itself, in the project's folder.
pub(crate) fn cargo(words: &[&str]) -> anyhow::Result<Command> {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(project_root()?);
    Ok(command)
}

/// A program without what `cargo run` told us about ourselves: build scripts would believe that their world has
/// changed and build again, and every process would search our library folders first.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(is_about_us) {
            command.env_remove(key);
        }
    }
    command
}

fn is_about_us(key: &str) -> bool {
    const EXACT: [&str; 6] = [
        "LD_LIBRARY_PATH",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_CRATE_NAME",
        "CARGO_BIN_NAME",
    ];
    EXACT.contains(&key) || key.starts_with("CARGO_PKG_")
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
    use super::{is_about_us, refuse_unknown};

    #[test]
    fn settings_of_the_user_are_passed_on_and_ours_are_not() {
        assert!(is_about_us("CARGO_PKG_NAME") && is_about_us("CARGO_MANIFEST_DIR"));
        assert!(!is_about_us("CARGO_HOME") && !is_about_us("CARGO_TARGET_DIR") && !is_about_us("PATH"));
    }

    #[test]
    fn a_word_with_a_typing_error_is_named() {
        let words = ["--instal".to_owned()];
        let error = refuse_unknown(&words, &["--install"]).expect_err("not a known word");
        assert!(error.to_string().contains("`--instal`"));
        assert!(refuse_unknown(&["--install".to_owned()], &["--install"]).is_ok());
    }
}
