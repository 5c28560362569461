//! Graphs: work that is written down first and launched as a whole.
//!
//! A graph's nodes run one after the other, in an order that their dependencies allow: that is one of the
//! orders a device may choose.

use crate::abi::{Code, Done};
use crate::engine::item::{HostCall, Item};
use crate::engine::{Op, Stream};
use crate::handle::Handle;
use crate::modules::Function;
use crate::process::Process;
use crate::state::{Event, State};

pub(crate) mod capture;

/// A graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// In the order they were added.
    pub(crate) nodes: Vec<Handle<Node>>,
    /// Made by the program, so it may destroy it; false for a part of another graph.
    pub(crate) owned: bool,
}

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) graph: Handle<Graph>,
    pub(crate) what: What,
    pub(crate) deps: Vec<Handle<Node>>,
    /// The node this one was copied from.
    pub(crate) original: Handle<Node>,
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
    Record(Handle<Event>),
    /// Waits for an event.
    Wait(Handle<Event>),
    /// Another graph, which is copied when it is added.
    Child(Handle<Graph>),
    /// Allocates: address and bytes.
    Alloc(u64, u64),
    /// Frees what a node allocated.
    Free(u64),
    /// Writes and waits for words in memory.
    Words(Vec<Op>),
}

/// A kernel with everything a launch says.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) function: Handle<Function>,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared_bytes: u32,
    pub(crate) op: Op,
}

impl What {
    /// The driver's number for the type.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Kernel(_) => 0,
            Self::Copy(..) => 1,
            Self::Set(..) => 2,
            Self::Host(_) => 3,
            Self::Child(_) => 4,
            Self::Empty => 5,
            Self::Wait(_) => 6,
            Self::Record(_) => 7,
            Self::Alloc(..) => 10,
            Self::Free(_) => 11,
            Self::Words(_) => 12,
        }
    }
}

/// A graph that can be launched.
#[derive(Debug)]
pub(crate) struct GraphExec {
    /// In the order in which they run: the node each was made from, and what it does.
    pub(crate) steps: Vec<(Handle<Node>, What)>,
    pub(crate) flags: u64,
    /// What its allocations got at the last launch and was not freed.
    pub(crate) live: Vec<u64>,
}

impl State {
    /// Adds a node to a graph.
    pub(crate) fn add_node(
        &mut self,
        graph: Handle<Graph>,
        deps: &[Handle<Node>],
        what: What,
    ) -> Done<Handle<Node>> {
        self.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?;
        for dep in deps {
            let known = self.nodes.find(*dep).is_some_and(|node| node.graph == graph);
            if !known {
                return Err(Code::INVALID_VALUE);
            }
        }
        let node = Node { graph, what, deps: deps.to_vec(), original: Handle::NULL };
        let handle = self.nodes.insert(node);
        self.graphs.get_mut(graph)?.nodes.push(handle);
        Ok(handle)
    }

    /// Copies a graph with everything in it.
    pub(crate) fn clone_graph(&mut self, graph: Handle<Graph>, owned: bool) -> Done<Handle<Graph>> {
        let nodes = self.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.nodes.clone();
        let copy = self.graphs.insert(Graph { nodes: Vec::new(), owned });
        let mut made: Vec<Handle<Node>> = Vec::new();
        for handle in &nodes {
            let mut node = self.nodes.get(*handle)?.clone();
            node.graph = copy;
            node.original = *handle;
            if let What::Child(inner) = node.what {
                node.what = What::Child(self.clone_graph(inner, false)?);
            }
            made.push(self.nodes.insert(node));
        }
        for handle in &made {
            let deps = self.nodes.get(*handle)?.deps.clone();
            let place = |dep: &Handle<Node>| nodes.iter().position(|node| node == dep).map(|at| made[at]);
            self.nodes.get_mut(*handle)?.deps = deps.iter().filter_map(place).collect();
        }
        self.graphs.get_mut(copy)?.nodes = made;
        Ok(copy)
    }

    /// Ends a graph and its nodes.
    pub(crate) fn destroy_graph(&mut self, graph: Handle<Graph>) -> Done {
        let graph = self.graphs.remove(graph).map_err(|_| Code::INVALID_VALUE)?;
        for node in graph.nodes {
            if let Ok(Node { what: What::Child(inner), .. }) = self.nodes.remove(node) {
                self.destroy_graph(inner)?;
            }
        }
        Ok(())
    }

    /// The nodes in an order that their dependencies allow; none if there is a ring.
    pub(crate) fn in_order(&self, graph: Handle<Graph>) -> Done<Vec<Handle<Node>>> {
        let nodes = &self.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.nodes;
        let mut order: Vec<Handle<Node>> = Vec::new();
        let mut left = nodes.clone();
        while !left.is_empty() {
            let ready = |handle: &Handle<Node>| {
                self.nodes.find(*handle).is_none_or(|node| node.deps.iter().all(|dep| order.contains(dep)))
            };
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(ready);
            if now.is_empty() {
                return Err(Code::INVALID_VALUE);
            }
            order.extend(now);
            left = later;
        }
        Ok(order)
    }

    /// Everything a graph does, in order, with the graphs inside it.
    pub(crate) fn steps(&self, graph: Handle<Graph>) -> Done<Vec<(Handle<Node>, What)>> {
        let mut steps = Vec::new();
        for handle in self.in_order(graph)? {
            match &self.nodes.get(handle)?.what {
                What::Child(inner) => steps.extend(self.steps(*inner)?),
                what => steps.push((handle, what.clone())),
            }
        }
        Ok(steps)
    }

    /// Puts a whole graph into a stream. It counts as one launch.
    pub(crate) fn launch_graph(
        &mut self,
        process: &Process,
        exec: Handle<GraphExec>,
        stream: Handle<Stream>,
    ) -> Done {
        let steps = self.execs.get(exec).map_err(|_| Code::INVALID_VALUE)?.steps.clone();
        for (_, what) in steps {
            match what {
                What::Kernel(launch) => self.put(process, stream, launch.op)?,
                What::Copy(op, _) | What::Set(op, _) => self.put(process, stream, op)?,
                What::Host(call) => self.put(process, stream, Op::Host(call))?,
                What::Empty | What::Child(_) => {}
                What::Words(ops) => ops.into_iter().try_for_each(|op| self.put(process, stream, op))?,
                What::Record(event) => self.record(process, event, stream)?,
                What::Wait(event) => self.wait_event(process, stream, event)?,
                What::Alloc(address, bytes) => self.graph_allocate(process, exec, stream, address, bytes)?,
                What::Free(address) => self.graph_free(process, exec, stream, address)?,
            }
        }
        let end = Item::new(Op::Marker, Vec::new(), true);
        self.enqueue(process, stream, end).map(drop)
    }

    fn put(&mut self, process: &Process, stream: Handle<Stream>, op: Op) -> Done {
        self.enqueue(process, stream, Item::new(op, Vec::new(), false)).map(drop)
    }

    /// Gives an allocation of a graph its memory for this launch.
    fn graph_allocate(
        &mut self,
        process: &Process,
        exec: Handle<GraphExec>,
        stream: Handle<Stream>,
        address: u64,
        bytes: u64,
    ) -> Done {
        let exec = self.execs.get_mut(exec)?;
        if exec.live.contains(&address) {
            return Err(Code::INVALID_VALUE);
        }
        exec.live.push(address);
        self.commit_graph_memory(process, stream, address, bytes)
    }

    fn graph_free(
        &mut self,
        process: &Process,
        exec: Handle<GraphExec>,
        stream: Handle<Stream>,
        address: u64,
    ) -> Done {
        for other in self.execs.handles(|other| other.live.contains(&address)) {
            self.execs.get_mut(other)?.live.retain(|live| *live != address);
        }
        let _ = exec;
        self.put(process, stream, Op::Marker)
    }
}
