//! The words of suspending a process: how the one who asks and the one who is asked understand each other.
//!
//! They meet in [`ProcessWords`](crate::ledger::layout::ProcessWords); the driver library does the work.

/// The process runs.
pub const RUNNING: u32 = 0;
/// New calls wait; device memory is where it was.
pub const LOCKED: u32 = 1;
/// Device memory is on the host and the device is free.
pub const CHECKPOINTED: u32 = 2;
/// A restore failed. This is for good.
pub const FAILED: u32 = 3;

/// Nothing is asked.
pub const ASK_NOTHING: u32 = 0;
/// Let no new call begin.
pub const ASK_LOCK: u32 = 1;
/// Move device memory to the host and give the device back.
pub const ASK_CHECKPOINT: u32 = 2;
/// Take the device and move the memory back.
pub const ASK_RESTORE: u32 = 3;
/// Let calls begin again.
pub const ASK_UNLOCK: u32 = 4;
