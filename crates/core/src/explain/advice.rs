//! What would help a task, as facts. Sentences are made from them elsewhere, in each language and for each way of
//! asking.

use crate::capacity::TooBig;
use crate::ids::TaskId;
use crate::units::{GpuMilli, MemoryMib};

/// One thing that would help a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// A smaller ask would start now.
    AskLess(Less),
    /// Nothing to do: it fits now and starts with the next round.
    FitsNow,
    /// No smaller ask would start now; this is in the way.
    NothingSmaller(Taken),
    /// Devices that could run it are unusable: look at them.
    LookAtDevices,
    /// The nodes that could run it take no tasks: let one take them again.
    ResumeNodes,
    /// Nothing here could ever run it: ask for what is here.
    AskForWhatIsHere(TooBig),
    /// It starts by itself once a node has what it asks for; until then it waits, or is cancelled.
    WaitOrCancel,
    /// Read what its last attempt wrote.
    ReadLog,
    /// Look at the task that it waits for.
    LookAtTask(TaskId),
    /// Let it go: a person holds it back.
    LetGo,
    /// Read its log, then let it go or cancel it.
    ReadLogAndDecide,
    /// Put it into the queue again.
    QueueAgain,
    /// Run it again, or let it be tried again by itself.
    RunAgain,
    /// Give it a longer time limit.
    RunLonger,
    /// Give it more host memory.
    MoreHostMemory,
    /// Mend the command or the folder and run it again.
    MendProgram,
}

impl Advice {
    /// The stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AskLess(_) => "ask_less",
            Self::FitsNow => "fits_now",
            Self::NothingSmaller(_) => "nothing_smaller",
            Self::LookAtDevices => "look_at_devices",
            Self::ResumeNodes => "resume_nodes",
            Self::AskForWhatIsHere(_) => "ask_for_what_is_here",
            Self::WaitOrCancel => "wait_or_cancel",
            Self::ReadLog => "read_log",
            Self::LookAtTask(_) => "look_at_task",
            Self::LetGo => "let_go",
            Self::ReadLogAndDecide => "read_log_and_decide",
            Self::QueueAgain => "queue_again",
            Self::RunAgain => "run_again",
            Self::RunLonger => "run_longer",
            Self::MoreHostMemory => "more_host_memory",
            Self::MendProgram => "mend_program",
        }
    }
}

/// What of an ask is less; what is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Less {
    /// How many devices.
    pub devices: Option<u16>,
    /// How much of each device.
    pub share: Option<GpuMilli>,
    /// How much memory of each device.
    pub memory: Option<MemoryMib>,
    /// Whether devices of several nodes will do.
    pub spread: bool,
    /// Whether any model will do.
    pub any_model: bool,
    /// Whether it asks for nothing of the host.
    pub no_host: bool,
}

/// What stands in the way of every device that would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Some are in use.
    pub in_use: bool,
    /// Some are kept for others.
    pub kept: bool,
    /// Some are unusable.
    pub unusable: bool,
}
