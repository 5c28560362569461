//! The journal of a server that was started with `--record`. Trouble with it ends the journal, never the server.

use std::io;
use std::path::{Path, PathBuf};

use fastgpu_control::Recorder;
use fastgpu_core::state::Beginning;
use fastgpu_store::journal::{Batch, JOURNAL_BYTES_MAX, Writer};

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    writer: Writer,
}

/// Opens the journal that is asked for, to go on with it.
pub(super) fn open(path: Option<&Path>) -> Option<Box<dyn Recorder>> {
    let path = path?.to_owned();
    match Writer::open(&path) {
        Ok(writer) => {
            tracing::info!(file = %path.display(), "all that is decided is written down");
            Some(Box::new(Journal { path, writer }))
        }
        Err(error) => {
            complain(&path, &error);
            None
        }
    }
}

fn complain(path: &Path, error: &io::Error) {
    tracing::warn!(file = %path.display(), %error, "decisions are not written down from now on");
}

impl Journal {
    fn write(&mut self, write: impl FnOnce(&mut Writer) -> io::Result<()>) {
        if !self.writer.is_open() {
            return;
        }
        if let Err(error) = write(&mut self.writer) {
            complain(&self.path, &error);
        } else if !self.writer.is_open() {
            let (file, bytes_max) = (self.path.display(), JOURNAL_BYTES_MAX);
            tracing::warn!(%file, bytes_max, "the journal is full; decisions are not written down from now on");
        }
    }
}

impl Recorder for Journal {
    fn begin(&mut self, beginning: &Beginning) {
        self.write(|writer| writer.begin(beginning));
    }

    fn batch(&mut self, batch: &Batch) {
        self.write(|writer| writer.batch(batch));
    }
}
