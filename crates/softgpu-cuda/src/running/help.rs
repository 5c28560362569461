//! Effects that are due, carried out by whoever has time.

use crate::engine::item::HostCall;
use crate::engine::jobs::{What, Willing};
use crate::graph::objects::Ending;
use crate::process::Process;
use crate::threads::call_back;

impl Process {
    /// Moves the bytes of one item, if one is ready.
    pub(crate) fn help_with_bytes(&self) -> bool {
        self.help(Willing::Bytes)
    }

    /// Calls what is due at the end of one user object, if there is one.
    fn help_to_end(&self) -> bool {
        let Some(Ending(function, argument)) = self.state().next_ending() else { return false };
        call_back(|| function(argument));
        true
    }

    /// Takes on one effect, if there is one, and sees it through. Called without the state's lock.
    pub(crate) fn help(&self, willing: Willing) -> bool {
        if willing == Willing::Host && self.help_to_end() {
            return true;
        }
        let Some(job) = self.state().next_job(willing) else { return false };
        let result = match &job.what {
            What::Task(task) => task.run(),
            What::Write(word, value) => {
                word.write(*value);
                Ok(())
            }
            What::Host(HostCall::Plain(function, argument)) => {
                call_back(|| function(*argument));
                Ok(())
            }
            What::Host(HostCall::WithStream(function, stream, argument)) => {
                call_back(|| function(*stream, 0, *argument));
                Ok(())
            }
        };
        self.state().finish(self, &job, result);
        self.progress.notify_all();
        // What waited for this goes on.
        self.ring_worker();
        true
    }
}
