//! Why something happened to a task, in one closed list: the `cause` of every event.

/// Why something happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It was accepted.
    Submitted,
    /// A round found it a place.
    Placed,
    /// Its program runs, or its reservation began.
    Started,
    /// Its program ended.
    Exited,
    /// The node it was on is gone, or does not have it.
    NodeLost,
    /// Its reservation is over.
    Over,
    /// Somebody cancelled it.
    Cancel,
    /// Somebody gave its resources back.
    Release,
    /// Its place is needed for another.
    Preempt,
    /// The wait after a failure is over.
    Ready,
    /// It waited longer than it was willing to.
    QueueTimeout,
    /// A person holds it back.
    Held,
    /// A person let it go.
    Released,
    /// Its priority is another.
    Priority,
    /// It is frozen.
    Suspended,
    /// It goes on.
    Resumed,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 16] = [
        Self::Submitted,
        Self::Placed,
        Self::Started,
        Self::Exited,
        Self::NodeLost,
        Self::Over,
        Self::Cancel,
        Self::Release,
        Self::Preempt,
        Self::Ready,
        Self::QueueTimeout,
        Self::Held,
        Self::Released,
        Self::Priority,
        Self::Suspended,
        Self::Resumed,
    ];

    /// The stable word for it, as stores and the API say it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Placed => "placed",
            Self::Started => "started",
            Self::Exited => "exited",
            Self::NodeLost => "node_lost",
            Self::Over => "over",
            Self::Cancel => "cancel",
            Self::Release => "release",
            Self::Preempt => "preempt",
            Self::Ready => "ready",
            Self::QueueTimeout => "queue_timeout",
            Self::Held => "held",
            Self::Released => "released",
            Self::Priority => "priority",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        }
    }

    /// The cause that a word stands for.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn every_word_stands_for_the_cause_that_says_it() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_code(cause.code()), Some(cause));
        }
        assert_eq!(Cause::from_code("bored"), None);
    }
}
