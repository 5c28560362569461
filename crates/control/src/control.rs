//! The control plane as its owner sees it: a thread that can be started and stopped, and may end by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use fastgpu_store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::deliver::NodePort;
use crate::handle::Handle;
use crate::inbox::{INBOX_MAX, Message};
use crate::options::Options;
use crate::run::Loop;

/// Why the loop could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error("the store cannot be opened for writing")]
    Store(#[from] StoreError),
    /// The operating system gave no thread.
    #[error("no thread could be started")]
    Thread(#[from] std::io::Error),
}

/// Why the loop ended by itself. The process should end too: what is durable decides after a restart.
#[derive(Debug, thiserror::Error)]
#[error("the control plane had to stop")]
pub struct Fatal(#[from] StoreError);

/// The running loop.
#[derive(Debug)]
pub struct Control {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
    fatal: Mutex<Option<oneshot::Receiver<Fatal>>>,
}

impl Control {
    /// Loads what is alive and begins a new term.
    ///
    /// # Errors
    /// [`StartError`] when the store cannot be read.
    pub fn start(
        store: Box<dyn Store>,
        port: Arc<dyn NodePort>,
        options: Options,
    ) -> Result<(Self, Handle), StartError> {
        let (inbox, messages) = crossbeam_channel::bounded(INBOX_MAX);
        let (mut running, shared) = Loop::begin(store, port, options)?;
        let (fatal_sender, fatal) = oneshot::channel();
        let thread = std::thread::Builder::new().name("fastgpu-control".to_owned()).spawn(move || {
            let _guard = EndsTheProcess;
            if let Err(error) = running.run(&messages) {
                tracing::error!(%error, "the control plane stops");
                running.refuse_all(&messages, &error);
                let _ = fatal_sender.send(Fatal(error));
            }
            running.close();
        })?;
        let handle = Handle { inbox, shared };
        let control =
            Self { handle: handle.clone(), thread: Mutex::new(Some(thread)), fatal: Mutex::new(Some(fatal)) };
        Ok((control, handle))
    }

    /// Resolves if the loop ends by itself; can be taken once.
    pub fn fatal(&self) -> Option<oneshot::Receiver<Fatal>> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Finishes the batch at hand and stops.
    pub fn stop(&self) {
        let _ = self.handle.inbox.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// A broken invariant is a bug, and a state that broke one must not be served: what is durable decides, after
/// a restart. Tasks run on meanwhile.
struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a bug: the control plane ends the process rather than go on with a broken state"
            );
            std::process::abort();
        }
    }
}
