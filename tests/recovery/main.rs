//! The proof of durability and recovery, through the real binary, its HTTP API and real processes.
//!
//! A [`world::World`] is a folder with a server that can be killed and started again. A [`ledger::Ledger`]
//! keeps what was asked and what was acknowledged, and in the end compares it with what the server says, with
//! what the tasks themselves wrote, and with what is left on the machine.
//!
//! ```text
//! cargo test -p fastgpu --features failpoints --test recovery
//! FASTGPU_KILLS=300 cargo test -p fastgpu --features failpoints --test recovery -- kills --nocapture
//! ```
//!
//! `FASTGPU_SEED` repeats the random choices of an earlier run, `FASTGPU_POINT` visits only crash points with
//! this in their names, and `FASTGPU_KEEP` leaves the folders of what failed. Absent on purpose: loss of what the page
//! cache holds, which no killed process can show.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]
#![cfg_attr(
    not(feature = "failpoints"),
    allow(dead_code, reason = "without crash points, only a part of the stories can be told")
)]

mod backup;
#[cfg(feature = "failpoints")]
mod crash_points;
#[cfg(feature = "failpoints")]
mod crash_table;
mod disk_full;
mod folder;
mod http;
mod kills;
mod ledger;
mod outage;
mod program;
mod random;
mod torn;
mod verdict;
mod world;
