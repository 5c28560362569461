//! Why a server does not start, in words that say what to type next.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use fastgpu_store::OpenError;

use crate::connect;
use crate::detach::plain;
use crate::failure::Failure;
use crate::local::ClientFile;

/// An error and all its causes, each once.
pub(crate) fn failure_of(error: &dyn Error) -> Failure {
    let mut failure = Failure::new(error.to_string());
    let mut cause = error.source();
    while let Some(deeper) = cause {
        failure = failure.note(deeper.to_string());
        cause = deeper.source();
    }
    failure
}

/// Why the data folder cannot be used.
pub(super) fn of_open(error: &OpenError, data_dir: &Path) -> Failure {
    let failure = failure_of(error);
    match error {
        OpenError::InUse { .. } => match ClientFile::read(data_dir).filter(|local| !local.url.is_empty()) {
            Some(local) => failure
                .note(format!("a FastGPU with this folder listens at {}", local.url))
                .help("use it as it is, stop it first, or name another folder with `--data-dir`"),
            None => failure.help("stop it first, or name another folder with `--data-dir`"),
        },
        OpenError::Newer { .. } => {
            failure.help("use the newer `fastgpu`, or another folder with `--data-dir`")
        }
        OpenError::NotOurs { .. } | OpenError::NotWritable { .. } => {
            failure.help("name another folder with `--data-dir` or FASTGPU_DATA_DIR")
        }
        OpenError::Full { .. } => failure.help("make room on the disk"),
        OpenError::Damaged { .. } => failure.help("`fastgpu restore` puts a backup in its place"),
        OpenError::Engine { .. } => failure,
    }
}

/// Why nobody can listen there.
pub(super) fn of_listen(error: &std::io::Error, address: SocketAddr) -> Failure {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let failure = Failure::new(format!("{address} is in use"));
            match who_listens(address) {
                Some(version) => failure
                    .note(format!("a FastGPU {version} listens there"))
                    .help("use it as it is, or listen elsewhere, as in `--listen 127.0.0.1:0`"),
                None => failure
                    .note("another program listens there")
                    .help("listen elsewhere, as in `--listen 127.0.0.1:0`"),
            }
        }
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(format!("this user may not listen on {address}"))
                .help("ports from 1024 on are free to use")
        }
        _ => Failure::new(format!("cannot listen on {address}: {}", plain(error)))
            .help("name an address of this machine with `--listen`"),
    }
}

/// The version of the FastGPU behind an address that is taken, if it is one.
fn who_listens(address: SocketAddr) -> Option<String> {
    let client = fastgpu_client::Client::new(&format!("http://{address}"), None).ok()?;
    let asked = crate::commands::block_on(async {
        tokio::time::timeout(connect::PEEK_PATIENCE, client.version()).await.map_err(|_| Failure::new("late"))
    });
    asked.ok()?.ok().map(|found| found.version)
}
