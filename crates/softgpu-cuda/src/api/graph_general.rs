//! Nodes of any kind in one form: a number for the kind, and the parameters that go with it.

use super::copy::Copy3d;
use super::graph_node::{add_to, change};
use super::graph_shape::edge_list;
use super::node_params::{
    self, AllocParameters, ChildParameters, HostParameters, KernelParameters, SetParameters, WordsParameters,
};
use crate::abi::{CUresult, Code, Done, In, Out, overlay, reread};
use crate::call::call;
use crate::graph::{Edge, What};
use crate::handle::{ContextHandle, EventHandle, GraphExecHandle, GraphHandle, NodeHandle};
use crate::numbers::{
    CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, CU_GRAPH_NODE_TYPE_CONDITIONAL, CU_GRAPH_NODE_TYPE_EMPTY,
    CU_GRAPH_NODE_TYPE_EVENT_RECORD, CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL, CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT,
    CU_GRAPH_NODE_TYPE_GRAPH, CU_GRAPH_NODE_TYPE_HOST, CU_GRAPH_NODE_TYPE_KERNEL,
    CU_GRAPH_NODE_TYPE_MEM_ALLOC, CU_GRAPH_NODE_TYPE_MEM_FREE, CU_GRAPH_NODE_TYPE_MEMCPY,
    CU_GRAPH_NODE_TYPE_MEMSET, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
};
use crate::process::Process;
use crate::state::State;

/// `CUgraphNodeParams`: what the kind does not use is zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeParameters {
    kind: u32,
    zero: [u32; 3],
    body: [u64; 29],
    end: u64,
}

const _: () = assert!(size_of::<NodeParameters>() == 256);

/// `CUDA_MEMCPY_NODE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct CopyNode {
    zero: [u32; 2],
    context: ContextHandle,
    copy: Copy3d,
}

const _: () = assert!(size_of::<CopyNode>() == 216);

/// `CUDA_MEMSET_NODE_PARAMS_v2`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct SetNode {
    set: SetParameters,
    context: ContextHandle,
}

const _: () = assert!(size_of::<SetNode>() == 48);

impl NodeParameters {
    /// The body as what the kind says it is.
    fn body<T: Copy>(&self) -> Done<T> {
        const { assert!(size_of::<T>() <= size_of::<[u64; 29]>()) };
        let used = size_of::<T>().div_ceil(8);
        if self.zero != [0; 3] || self.end != 0 || self.body[used..].iter().any(|word| *word != 0) {
            return Err(Code::INVALID_VALUE);
        }
        Ok(reread(&self.body))
    }

    /// What a node of any kind does, but for memory of graphs, which cannot be changed.
    fn what(&self, process: &Process, state: &mut State, graph: GraphHandle) -> Done<What> {
        match self.kind {
            CU_GRAPH_NODE_TYPE_KERNEL => {
                node_params::kernel(process, state, &self.body::<KernelParameters>()?)
            }
            CU_GRAPH_NODE_TYPE_MEMCPY => {
                let asked = self.body::<CopyNode>()?;
                if asked.zero != [0; 2] {
                    return Err(Code::INVALID_VALUE);
                }
                node_params::copy(process, state, &asked.copy, asked.context)
            }
            CU_GRAPH_NODE_TYPE_MEMSET => {
                let asked = self.body::<SetNode>()?;
                node_params::set(process, state, &asked.set, asked.context)
            }
            CU_GRAPH_NODE_TYPE_HOST => node_params::host(&self.body::<HostParameters>()?),
            CU_GRAPH_NODE_TYPE_GRAPH => node_params::child(state, graph, &self.body::<ChildParameters>()?),
            CU_GRAPH_NODE_TYPE_EMPTY => self.body::<[u64; 0]>().map(|_| What::Empty),
            CU_GRAPH_NODE_TYPE_WAIT_EVENT => {
                node_params::event(state, self.body::<EventHandle>()?).map(What::Wait)
            }
            CU_GRAPH_NODE_TYPE_EVENT_RECORD => {
                node_params::event(state, self.body::<EventHandle>()?).map(What::Record)
            }
            CU_GRAPH_NODE_TYPE_BATCH_MEM_OP => node_params::batch(state, &self.body::<WordsParameters>()?),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// Counts the kinds that are not there.
    fn refuse_missing(&self, process: &Process, function: &str) -> Done {
        let kind = match self.kind {
            CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL => "semaphore-signal",
            CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT => "semaphore-wait",
            CU_GRAPH_NODE_TYPE_CONDITIONAL => "conditional",
            _ => return Ok(()),
        };
        process.ledger.count_unsupported(&format!("{function}:{kind}"));
        Err(Code::NOT_SUPPORTED)
    }
}

fn add_any(
    process: &Process,
    out: Out<NodeHandle>,
    graph: GraphHandle,
    deps: (In<NodeHandle>, In<Edge>, usize),
    asked: Out<NodeParameters>,
) -> Done {
    let out = out.required()?;
    let mut parameters = asked.read()?;
    parameters.refuse_missing(process, "cuGraphAddNode")?;
    let (deps, edges) = (deps.0.list(deps.2)?, edge_list(deps.1, deps.2)?);
    let known: Vec<(NodeHandle, Edge)> = deps.iter().copied().zip(edges).collect();
    let node = add_to(process, graph, &deps, |state| {
        known.iter().try_for_each(|(from, edge)| state.check_edge(*from, parameters.kind, *edge))?;
        match parameters.kind {
            CU_GRAPH_NODE_TYPE_MEM_ALLOC => {
                let mut alloc = parameters.body::<AllocParameters>()?;
                let (what, address) = node_params::alloc(state, graph, &alloc)?;
                alloc.address = address;
                overlay(&mut parameters.body, alloc);
                Ok(what)
            }
            CU_GRAPH_NODE_TYPE_MEM_FREE => node_params::free(state, graph, parameters.body::<u64>()?),
            _ => parameters.what(process, state, graph),
        }
    })?;
    let mut state = process.state();
    known.into_iter().try_for_each(|(from, edge)| state.set_edge(from, node, edge))?;
    drop(state);
    asked.set(parameters)?;
    out.set(node)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddNode_v2(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    edges: In<Edge>,
    count: usize,
    asked: Out<NodeParameters>,
) -> CUresult {
    call(|process| add_any(process, node, graph, (deps, edges, count), asked))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: Out<NodeParameters>,
) -> CUresult {
    call(|process| add_any(process, node, graph, (deps, In::NULL, count), asked))
}

/// What a node is to become; memory of graphs stays what it was.
fn changed(process: &Process, state: &mut State, node: NodeHandle, asked: &NodeParameters) -> Done<What> {
    let found = state.node(node)?;
    let graph = found.graph;
    if found.what.number() != asked.kind {
        return Err(Code::INVALID_VALUE);
    }
    if matches!(found.what, What::Alloc(..) | What::Free(_)) {
        return Err(Code::NOT_SUPPORTED);
    }
    asked.what(process, state, graph)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeSetParams(node: NodeHandle, asked: Out<NodeParameters>) -> CUresult {
    call(|process| {
        let asked = asked.read()?;
        asked.refuse_missing(process, "cuGraphNodeSetParams")?;
        change(process, node, |state| changed(process, state, node, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: Out<NodeParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.read()?;
        asked.refuse_missing(process, "cuGraphExecNodeSetParams")?;
        let mut state = process.state();
        if asked.kind == 4 {
            let What::Child(_) = state.node(node)?.what else { return Err(Code::INVALID_VALUE) };
            let graph = asked.body::<ChildParameters>()?.graph;
            drop(state);
            return super::graph_exec::change_child(process, exec, node, graph);
        }
        state.step_mut(exec, node)?;
        let what = changed(process, &mut state, node, &asked)?;
        state.change_step(exec, node, what)
    })
}
