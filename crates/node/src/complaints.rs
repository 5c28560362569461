//! What a keeper or a guardian tells an operator. Its standard error is the node's `keeper.log`.

use std::io::{self, Write};

use crate::clock::now;

/// Adds a line to `keeper.log`.
pub(crate) fn complain(text: &str) {
    let line = format!("{} [{}] {text}\n", now().0, std::process::id());
    // Nobody can be told that this failed.
    let _ = io::stderr().write_all(line.as_bytes());
}
