//! Answers requests until a signal comes or the control plane ends by itself.

use fastgpu_control::Control;
use fastgpu_server::ServerParts;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::failure_of;
use super::machine::Ending;
use super::signals::Signals;
use crate::failure::{Failure, exit};
use crate::output::Output;

/// The HTTP server while it runs.
pub(super) struct Http {
    server: JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
    signals: Signals,
}

impl Http {
    pub(super) fn start(listener: TcpListener, parts: ServerParts) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel::<()>();
        let signals = Signals::new()?;
        let server = tokio::spawn(fastgpu_server::serve(listener, parts, async {
            // The sender's end counts as a stop too.
            let _ = stopped.await;
        }));
        Ok(Self { server, stop, signals })
    }

    /// Returns once everybody who was being served has their answer.
    pub(super) async fn until_the_end(
        mut self,
        control: &Control,
        ending: Ending,
        out: &Output,
    ) -> Result<(), Failure> {
        let fatal = control.fatal();
        let broken = async {
            match fatal {
                Some(fatal) => fatal.await.ok(),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            name = self.signals.next() => Ok(name),
            Some(fatal) = broken => Err(failure_of(&fatal)),
            result = &mut self.server => return Err(match result {
                Ok(Err(error)) => Failure::new(format!("the server had to stop: {error}")),
                _ => Failure::new("the server stopped by itself"),
            }),
        };
        if let Ok(name) = &ended {
            out.say(match ending {
                Ending::LeaveTasks => {
                    "stopping; tasks that run go on, and the next `fastgpu up` finds them again"
                }
                Ending::EndEverything => "stopping, and ending everything that runs",
            });
            tracing::info!(signal = name, "stopping");
        }
        let _ = self.stop.send(());
        tokio::select! {
            _ = &mut self.server => {}
            // Whoever asks twice means now. What is acknowledged is durable.
            _ = self.signals.next() => std::process::exit(i32::from(exit::INTERRUPTED)),
        }
        ended.map(drop)
    }
}
