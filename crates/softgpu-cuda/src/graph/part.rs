//! What the floor of graphs keeps of this process, above its code.

use std::ops::{Deref, DerefMut};

use super::capture::Capture;
use super::objects::{Ending, Kept, UserObject};
use super::{Graph, GraphExec, Node};
use crate::engine::Dep;
use crate::handle::{Slab, names};
use crate::modules::CodePart;

/// Graphs and what belongs to them.
#[derive(Debug)]
pub(crate) struct GraphPart {
    below: CodePart,
    pub(crate) graphs: Slab<names::Graph, Graph>,
    pub(crate) nodes: Slab<names::Node, Node>,
    pub(crate) execs: Slab<names::GraphExec, GraphExec>,
    pub(crate) captures: Slab<names::Capture, Capture>,
    pub(crate) objects: Slab<names::UserObject, UserObject>,
    /// Ends of user objects that are due.
    pub(crate) endings: Vec<Ending>,
    /// What ended graphs keep alive until their launches are over.
    pub(crate) retired: Vec<(Vec<Dep>, Vec<Kept>)>,
}

impl GraphPart {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            below: CodePart::new(devices),
            graphs: Slab::new(0x57),
            nodes: Slab::new(0x58),
            execs: Slab::new(0x59),
            captures: Slab::new(0x5a),
            objects: Slab::new(0x63),
            endings: Vec::new(),
            retired: Vec::new(),
        }
    }
}

impl Deref for GraphPart {
    type Target = CodePart;

    fn deref(&self) -> &CodePart {
        &self.below
    }
}

impl DerefMut for GraphPart {
    fn deref_mut(&mut self) -> &mut CodePart {
        &mut self.below
    }
}
