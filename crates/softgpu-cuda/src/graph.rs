//! Graphs: work that is written down first and launched as a whole.
//!
//! A graph's nodes run one after the other, in an order that their dependencies allow: that is one of the
//! orders a device may choose. [`exec`] is what is launched, [`capture`] writes streams into graphs,
//! [`objects`] are what programs let graphs keep alive, [`dot`] draws.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::abi::{Code, Done};
use crate::engine::Op;
use crate::engine::item::HostCall;
use crate::handle::{ContextHandle, EventHandle, FunctionHandle, GraphHandle, Handle, NodeHandle};
use crate::numbers::{
    CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, CU_GRAPH_NODE_TYPE_EMPTY, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
    CU_GRAPH_NODE_TYPE_GRAPH, CU_GRAPH_NODE_TYPE_HOST, CU_GRAPH_NODE_TYPE_KERNEL,
    CU_GRAPH_NODE_TYPE_MEM_ALLOC, CU_GRAPH_NODE_TYPE_MEM_FREE, CU_GRAPH_NODE_TYPE_MEMCPY,
    CU_GRAPH_NODE_TYPE_MEMSET, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
};

pub(crate) mod capture;
pub(crate) mod dot;
pub(crate) mod exec;
mod memory;
pub(crate) mod objects;
mod part;
mod submit;

pub(crate) use exec::GraphExec;
use objects::Kept;
pub(crate) use part::GraphPart;

/// A graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// In the order they were added.
    pub(crate) nodes: Vec<NodeHandle>,
    pub(crate) owner: Owner,
    /// What the program lets it keep alive.
    pub(crate) kept: Vec<Kept>,
}

/// To whom a graph belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Owner {
    /// To the program, which may destroy it.
    #[default]
    Program,
    /// To a node of another graph, for which it was copied.
    Parent,
    /// To a node of another graph, which it was moved into: it does nothing on its own any more.
    ParentByMove,
}

impl Graph {
    /// Whether it was moved into another graph.
    pub(crate) fn is_moved(&self) -> bool {
        self.owner == Owner::ParentByMove
    }
}

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) graph: GraphHandle,
    pub(crate) what: What,
    pub(crate) deps: Vec<NodeHandle>,
    /// Edges that are more than plain order, by the node they come from.
    pub(crate) edges: Vec<(NodeHandle, Edge)>,
    /// The node this one was copied from.
    pub(crate) original: NodeHandle,
    /// Attributes of a kernel node that were set, by number.
    pub(crate) attributes: BTreeMap<u32, [u64; 8]>,
    pub(crate) shown: Shown,
}

/// Memory of a node that the program was shown: it stays valid until the node goes or changes.
#[derive(Debug, Default)]
pub(crate) struct Shown(pub(crate) Vec<u64>);

impl Clone for Shown {
    /// A copied node has shown nothing.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// `CUgraphEdgeData`: the first byte says what of the upper node is waited for, the second by what of the lower
/// one, the third whether the kernel says itself when; the rest is zero. A device that runs one kernel after the
/// other keeps all of them by plain order.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge(pub(crate) u64);

impl Edge {
    /// Plain order.
    pub(crate) const PLAIN: Self = Self(0);

    /// Whether it may lead from one node to another, of a kind. Only kernels have other ports than the whole, and only
    /// between kernels may the upper one say itself when the lower one can begin.
    fn fits(self, from: &What, to_kind: u32) -> bool {
        let [port, into, programmatic, rest @ ..] = self.0.to_le_bytes();
        let kernels = from.number() == CU_GRAPH_NODE_TYPE_KERNEL
            && (programmatic == 0 || to_kind == CU_GRAPH_NODE_TYPE_KERNEL);
        into == 0
            && rest == [0; 5]
            && match (port, programmatic) {
                (0, 0) => true,
                (1, 1) | (2, 0 | 1) => kernels,
                _ => false,
            }
    }
}

/// What a node does.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Runs a kernel.
    Kernel(Launch),
    /// Copies; with the driver's parameters, as numbers.
    Copy(Op, Vec<u64>),
    /// Fills; with the driver's parameters, as numbers.
    Set(Op, Vec<u64>),
    /// Calls a function of the program.
    Host(HostCall),
    /// Nothing but order.
    Empty,
    /// Records an event.
    Record(EventHandle),
    /// Waits for an event.
    Wait(EventHandle),
    /// Another graph, which is copied or moved when it is added.
    Child(GraphHandle),
    /// Allocates: address and bytes.
    Alloc(u64, u64),
    /// Frees what a node allocated.
    Free(u64),
    /// Writes and waits for words in memory.
    Words(Words),
}

/// A kernel with everything a launch says.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) function: FunctionHandle,
    pub(crate) context: ContextHandle,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared_bytes: u32,
    /// The bits of each argument.
    pub(crate) arguments: Vec<u64>,
    /// Whether they came in one buffer, rather than as a list of where each one is.
    pub(crate) packed: bool,
    pub(crate) op: Op,
}

/// Operations on words in memory.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) context: ContextHandle,
    /// As asked for, in the driver's structure.
    pub(crate) told: Vec<[u64; 6]>,
    pub(crate) ops: Vec<Op>,
}

impl What {
    /// The driver's number for the type.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Kernel(_) => CU_GRAPH_NODE_TYPE_KERNEL,
            Self::Copy(..) => CU_GRAPH_NODE_TYPE_MEMCPY,
            Self::Set(..) => CU_GRAPH_NODE_TYPE_MEMSET,
            Self::Host(_) => CU_GRAPH_NODE_TYPE_HOST,
            Self::Child(_) => CU_GRAPH_NODE_TYPE_GRAPH,
            Self::Empty => CU_GRAPH_NODE_TYPE_EMPTY,
            Self::Wait(_) => CU_GRAPH_NODE_TYPE_WAIT_EVENT,
            Self::Record(_) => CU_GRAPH_NODE_TYPE_EVENT_RECORD,
            Self::Alloc(..) => CU_GRAPH_NODE_TYPE_MEM_ALLOC,
            Self::Free(_) => CU_GRAPH_NODE_TYPE_MEM_FREE,
            Self::Words(_) => CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
        }
    }
}

impl GraphPart {
    /// A graph, or the driver's code for what is none.
    pub(crate) fn graph(&self, graph: GraphHandle) -> Done<&Graph> {
        self.graphs.find(graph).ok_or(Code::INVALID_VALUE)
    }

    /// A graph to change.
    pub(crate) fn graph_mut(&mut self, graph: GraphHandle) -> Done<&mut Graph> {
        self.graphs.get_mut(graph).map_err(|_| Code::INVALID_VALUE)
    }

    /// A node, or the driver's code for what is none.
    pub(crate) fn node(&self, node: NodeHandle) -> Done<&Node> {
        self.nodes.find(node).ok_or(Code::INVALID_VALUE)
    }

    /// A node to change.
    pub(crate) fn node_mut(&mut self, node: NodeHandle) -> Done<&mut Node> {
        self.nodes.get_mut(node).map_err(|_| Code::INVALID_VALUE)
    }

    /// Adds a node to a graph.
    pub(crate) fn add_node(
        &mut self,
        graph: GraphHandle,
        deps: &[NodeHandle],
        what: What,
    ) -> Done<NodeHandle> {
        self.check_deps(graph, deps)?;
        let node = Node {
            graph,
            what,
            deps: deps.to_vec(),
            edges: Vec::new(),
            original: Handle::NULL,
            attributes: BTreeMap::new(),
            shown: Shown::default(),
        };
        let handle = self.nodes.insert(node);
        self.graph_mut(graph)?.nodes.push(handle);
        Ok(handle)
    }

    /// Refuses what the next node of a graph cannot follow: others' nodes, or one of them twice.
    pub(crate) fn check_deps(&self, graph: GraphHandle, deps: &[NodeHandle]) -> Done {
        self.graph(graph)?;
        let mut seen = HashSet::new();
        let fits = |dep: &NodeHandle| self.nodes.find(*dep).is_some_and(|node| node.graph == graph);
        if deps.iter().all(|dep| fits(dep) && seen.insert(*dep)) { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }

    /// Gives a node other parameters of the same kind.
    pub(crate) fn change_node(&mut self, node: NodeHandle, what: What) -> Done {
        let found = self.node_mut(node)?;
        if found.what.number() != what.number() {
            return Err(Code::INVALID_VALUE);
        }
        found.shown = Shown::default();
        match std::mem::replace(&mut found.what, what) {
            What::Child(inner) => self.destroy_graph(inner),
            _ => Ok(()),
        }
    }

    /// Takes a node out of its graph.
    pub(crate) fn remove_node(&mut self, node: NodeHandle) -> Done {
        let found = self.nodes.remove(node).map_err(|_| Code::INVALID_VALUE)?;
        let graph = self.graph_mut(found.graph)?;
        graph.nodes.retain(|one| *one != node);
        for other in graph.nodes.clone() {
            let other = self.node_mut(other)?;
            other.deps.retain(|dep| *dep != node);
            other.edges.retain(|(dep, _)| *dep != node);
        }
        match found.what {
            What::Child(inner) => self.destroy_graph(inner),
            _ => Ok(()),
        }
    }

    /// Refuses what an edge from a node to one of a kind cannot be.
    pub(crate) fn check_edge(&self, from: NodeHandle, to_kind: u32, edge: Edge) -> Done {
        if edge.fits(&self.node(from)?.what, to_kind) { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }

    /// Says what an edge is beside plain order.
    pub(crate) fn set_edge(&mut self, from: NodeHandle, to: NodeHandle, edge: Edge) -> Done {
        self.check_edge(from, self.node(to)?.what.number(), edge)?;
        if edge != Edge::PLAIN {
            self.node_mut(to)?.edges.push((from, edge));
        }
        Ok(())
    }

    /// Whether a graph, or one inside it, allocates or frees.
    pub(crate) fn has_memory_nodes(&self, graph: GraphHandle) -> Done<bool> {
        for node in &self.graph(graph)?.nodes {
            match self.node(*node)?.what {
                What::Alloc(..) | What::Free(_) => return Ok(true),
                What::Child(inner) if self.has_memory_nodes(inner)? => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Whether a graph is another one, or has it somewhere inside.
    fn contains(&self, graph: GraphHandle, other: GraphHandle) -> Done<bool> {
        if graph == other {
            return Ok(true);
        }
        for node in &self.graph(graph)?.nodes {
            if let What::Child(inner) = self.node(*node)?.what
                && self.contains(inner, other)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets a graph of the program's be a part of another one.
    pub(crate) fn move_graph(&mut self, graph: GraphHandle, parent: GraphHandle) -> Done {
        if self.graph(graph)?.owner != Owner::Program || self.contains(graph, parent)? {
            return Err(Code::INVALID_VALUE);
        }
        self.graph_mut(graph)?.owner = Owner::ParentByMove;
        Ok(())
    }

    /// Copies a graph with everything in it.
    pub(crate) fn clone_graph(&mut self, graph: GraphHandle, owner: Owner) -> Done<GraphHandle> {
        let Graph { nodes, kept, .. } = self.graph(graph)?;
        let (nodes, kept) = (nodes.clone(), kept.clone());
        self.retain_all(kept.iter());
        let copy = self.graphs.insert(Graph { nodes: Vec::new(), owner, kept });
        let mut made: HashMap<NodeHandle, NodeHandle> = HashMap::new();
        let mut order = Vec::new();
        for handle in &nodes {
            let mut node = self.nodes.get(*handle)?.clone();
            node.graph = copy;
            node.original = *handle;
            if let What::Child(inner) = node.what {
                node.what = What::Child(self.clone_graph(inner, Owner::Parent)?);
            }
            let new = self.nodes.insert(node);
            made.insert(*handle, new);
            order.push(new);
        }
        for handle in &order {
            let node = self.nodes.get_mut(*handle)?;
            node.deps = node.deps.iter().filter_map(|dep| made.get(dep).copied()).collect();
            node.edges = node.edges.iter().filter_map(|(dep, edge)| Some((*made.get(dep)?, *edge))).collect();
        }
        self.graph_mut(copy)?.nodes = order;
        Ok(copy)
    }

    /// Ends a graph and its nodes.
    pub(crate) fn destroy_graph(&mut self, graph: GraphHandle) -> Done {
        let graph = self.graphs.remove(graph).map_err(|_| Code::INVALID_VALUE)?;
        for node in graph.nodes {
            if let Ok(Node { what: What::Child(inner), .. }) = self.nodes.remove(node) {
                self.destroy_graph(inner)?;
            }
        }
        self.release_all(graph.kept);
        Ok(())
    }

    /// The nodes in an order that their dependencies allow; an error if there is a ring.
    pub(crate) fn in_order(&self, graph: GraphHandle) -> Done<Vec<NodeHandle>> {
        let nodes = &self.graph(graph)?.nodes;
        let mut open: HashMap<NodeHandle, usize> = HashMap::new();
        let mut behind: HashMap<NodeHandle, Vec<NodeHandle>> = HashMap::new();
        let mut ready = VecDeque::new();
        for handle in nodes {
            let deps = &self.node(*handle)?.deps;
            open.insert(*handle, deps.len());
            deps.iter().for_each(|dep| behind.entry(*dep).or_default().push(*handle));
            if deps.is_empty() {
                ready.push_back(*handle);
            }
        }
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(handle) = ready.pop_front() {
            order.push(handle);
            for next in behind.get(&handle).into_iter().flatten() {
                let left = open.get_mut(next).ok_or(Code::INVALID_VALUE)?;
                *left -= 1;
                if *left == 0 {
                    ready.push_back(*next);
                }
            }
        }
        if order.len() == nodes.len() { Ok(order) } else { Err(Code::INVALID_VALUE) }
    }
}
