//! What can go wrong with the driver, in sentences for an operator.

use std::time::Duration;

use fastgpu_core::units::Millis;

use super::wire::Trouble;

/// Why there are no readings. The message says what happened, [`help`] what to do about it.
///
/// [`help`]: ProbeError::help
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The library is not there: the usual machine without NVIDIA GPUs.
    #[error("cannot load the NVIDIA management library: {detail}")]
    NoLibrary {
        /// What the loader said; names the file.
        detail: String,
    },
    /// Something was loaded that is no management library.
    #[error("the file given as NVIDIA management library is none: {detail}")]
    NotNvml {
        /// What was missing in it.
        detail: String,
    },
    /// The library is there, the kernel module is not.
    #[error("the NVIDIA driver is not loaded")]
    NotLoaded,
    /// Kernel module and library are of different versions.
    #[error("the NVIDIA driver in the kernel and its library have different versions")]
    VersionMismatch,
    /// This user may not talk to the driver.
    #[error("the NVIDIA driver does not let this user read the GPUs")]
    NoPermission,
    /// Anything else the driver said.
    #[error("the NVIDIA driver failed while {step}: {detail}")]
    Driver {
        /// What was being done.
        step: String,
        /// What the driver said.
        detail: String,
    },
    /// No answer before the deadline; the child was killed.
    #[error("the NVIDIA driver did not answer within {} while {doing}", Millis(millis(*.waited)))]
    Hung {
        /// How long we waited.
        waited: Duration,
        /// What was being done.
        doing: &'static str,
    },
    /// The child ended by itself.
    #[error("the NVIDIA driver's library ended the probe process while {doing} ({how})")]
    Crashed {
        /// Exit status or signal.
        how: String,
        /// What was being done.
        doing: &'static str,
    },
    /// The child wrote more than any answer has.
    #[error("the probe process answered with more than {bytes_max} bytes")]
    TooMuch {
        /// What is read at most.
        bytes_max: usize,
    },
    /// The child could not be started.
    #[error("cannot start the probe process `{program}`: {detail}")]
    Start {
        /// Which program.
        program: String,
        /// What the system said.
        detail: String,
    },
    /// It failed a moment ago and is not started again yet.
    #[error("the probe process rests for {} more after a failure: {after}", Millis(millis(*.left)))]
    Resting {
        /// How much longer.
        left: Duration,
        /// What the failure was.
        after: String,
    },
    /// Killed children hang in the kernel; another one would only join them.
    #[error("{count} probe processes hang in the NVIDIA driver and cannot be ended")]
    Stuck {
        /// How many.
        count: usize,
    },
    /// What was tried does not work here.
    #[error("{what}: {detail}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        detail: String,
    },
    /// The owner wants to stop.
    #[error("the probe was told to stop")]
    Stopped,
}

impl ProbeError {
    /// What to do next; `None` when there is nothing to do.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoLibrary { .. } => {
                "install the NVIDIA driver if this machine has GPUs; without any, \
                 `fastgpu up --simulate 8xA100-80GB` tries FastGPU on software ones"
            }
            Self::NotNvml { .. } => "name the real `libnvidia-ml.so.1`, or leave the setting out",
            Self::NotLoaded => {
                "run `sudo modprobe nvidia` and look at `sudo dmesg | grep -i nvrm`; in a container, pass \
                 the GPUs in (`--gpus all`)"
            }
            Self::VersionMismatch => {
                "the driver was updated: restart the machine, or reload the kernel module with \
                 `sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia`"
            }
            Self::NoPermission => "let this user read and write `/dev/nvidia*` (`ls -l /dev/nvidia*`)",
            Self::Hung { .. } | Self::Stuck { .. } => {
                "look at `sudo dmesg | grep -i xid`; when `nvidia-smi` hangs too, restart the machine"
            }
            Self::Driver { .. } | Self::Crashed { .. } => {
                "run `nvidia-smi`; when it fails too, look at `sudo dmesg | grep -i nvrm` and reinstall the \
                 driver"
            }
            Self::TooMuch { .. } => "check that the setting names the real `libnvidia-ml.so.1`",
            Self::Start { .. } => "check that the program is still there and that processes can be started",
            Self::Resting { .. } => "it is tried again by itself",
            Self::Refused { .. } | Self::Stopped => return None,
        })
    }

    /// Message and help as one sentence, for places that have one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.help().map_or_else(|| self.to_string(), |help| format!("{self}; {help}"))
    }

    /// Whether there simply is no driver here, as on any machine without GPUs: not a fault.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoLibrary { .. } | Self::NotLoaded)
    }
}

impl From<Trouble> for ProbeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoLibrary { detail } => Self::NoLibrary { detail },
            Trouble::NotNvml { detail } => Self::NotNvml { detail },
            Trouble::NotLoaded => Self::NotLoaded,
            Trouble::VersionMismatch => Self::VersionMismatch,
            Trouble::NoPermission => Self::NoPermission,
            Trouble::Driver { step, detail } => Self::Driver { step, detail },
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
