//! `cargo xtask bench`
pub(crate) fn run(_words: &[String]) -> anyhow::Result<bool> {
    Ok(true)
}
