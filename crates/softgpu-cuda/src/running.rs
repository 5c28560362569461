//! Carrying on with the work of this process: waiting, helping, the threads that do it when no call does, being
//! suspended, and the end of contexts. All of it takes the lock of the [whole state](crate::state).

mod help;
pub(crate) mod suspend;
mod teardown;
mod wait;
mod worker;
