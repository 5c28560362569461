//! Why a call did not bring the answer.

use fastgpu_api::problem::Problem;

/// Why a call did not bring the answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address makes no sense.
    #[error("`{url}` is not the address of a server: {why}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers at this address, or the connection broke.
    #[error("no server answers at {url}: {why}")]
    Unreachable {
        /// Whom we tried to reach.
        url: String,
        /// What the system says.
        why: String,
    },
    /// The server is there, but did not answer in time.
    #[error("the server at {url} did not answer within {waited_s} s")]
    Timeout {
        /// Whom we asked.
        url: String,
        /// How long we waited.
        waited_s: u64,
    },
    /// Something else listens there.
    #[error("what listens at {url} is not FastGPU")]
    NotFastGpu {
        /// Whom we asked.
        url: String,
    },
    /// The server speaks another version of the API.
    #[error(
        "the server at {url} is FastGPU {server} with API {server_api}; this program speaks API {own_api}"
    )]
    VersionMismatch {
        /// Whom we asked.
        url: String,
        /// The server's version.
        server: String,
        /// The API it speaks.
        server_api: String,
        /// The API we speak.
        own_api: String,
    },
    /// The server understood and refused.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The answer is not what the API promises.
    #[error("the server's answer to {what} is not understood: {why}")]
    Protocol {
        /// Which call.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl ClientError {
    /// The refusal, if it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the refusal has this stable code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.problem().is_some_and(|problem| problem.code == code)
    }

    /// Whether nobody was there to answer.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }
}
