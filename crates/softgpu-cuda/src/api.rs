//! The exported functions, one family to a file. They check arguments in the driver's order and hand on.
//!
//! Functions whose name ends with `_ptsz` or `_ptds` are not here: `build.rs` writes them after these.

mod array;
mod attributes;
mod capture;
mod context;
mod copy;
mod device;
mod event;
mod export_table;
mod graph;
mod graph_memory;
mod graph_node;
mod host;
mod ipc;
mod launch;
mod library;
mod limits;
mod memory;
mod module;
mod node_params;
mod peer;
mod pointer;
mod pool;
mod set;
mod start;
mod stream;
mod suspend;
mod virtual_memory;
mod words;

pub(crate) use array::*;
pub(crate) use capture::*;
pub(crate) use context::*;
pub(crate) use copy::*;
pub(crate) use device::*;
pub(crate) use event::*;
pub(crate) use export_table::*;
pub(crate) use graph::*;
pub(crate) use graph_memory::*;
pub(crate) use graph_node::*;
pub(crate) use host::*;
pub(crate) use ipc::*;
pub(crate) use launch::*;
pub(crate) use library::*;
pub(crate) use limits::*;
pub(crate) use memory::*;
pub(crate) use module::*;
pub(crate) use peer::*;
pub(crate) use pointer::*;
pub(crate) use pool::*;
pub(crate) use set::*;
pub(crate) use start::*;
pub(crate) use stream::*;
pub(crate) use suspend::*;
pub(crate) use virtual_memory::*;
pub(crate) use words::*;
