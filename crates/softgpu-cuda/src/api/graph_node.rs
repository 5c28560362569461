//! Nodes of graphs: adding them, asking what they are, changing them.

use super::copy::Copy3d;
use super::node_params::{self, HostParameters, KernelParameters, SetParameters};
use super::pool::PoolProperties;
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::graph::{Graph, Node, What};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::{Context, Event, State};

type G = Handle<Graph>;
type N = Handle<Node>;

fn add(
    process: &Process,
    out: Out<N>,
    graph: G,
    deps: (In<N>, usize),
    what: impl FnOnce(&mut State) -> Done<What>,
) -> Done {
    let out = out.required()?;
    let deps = deps.0.list(deps.1)?;
    let mut state = process.state();
    state.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?;
    let what = what(&mut state)?;
    let node = state.add_node(graph, &deps, what)?;
    out.set(node)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddKernelNode_v2(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::kernel(process, state, &asked))
    })
}

/// The older form of the parameters ends earlier.
pub(super) fn read_old(asked: In<KernelParameters>) -> Done<KernelParameters> {
    const OLD_BYTES: usize = std::mem::offset_of!(KernelParameters, kernel);
    let bytes = In(asked.0.cast::<[u8; OLD_BYTES]>()).get()?;
    let mut whole = [0u8; size_of::<KernelParameters>()];
    whole[..OLD_BYTES].copy_from_slice(&bytes);
    In(whole.as_ptr().cast::<KernelParameters>()).get()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddKernelNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        add(process, node, graph, (deps, count), |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemcpyNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<Copy3d>,
    context: Handle<Context>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::copy(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemsetNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<SetParameters>,
    context: Handle<Context>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::set(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddHostNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<HostParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |_| node_params::host(&asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEmptyNode(node: Out<N>, graph: G, deps: In<N>, count: usize) -> CUresult {
    call(|process| add(process, node, graph, (deps, count), |_| Ok(What::Empty)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddChildGraphNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    child: G,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| state.clone_graph(child, false).map(What::Child))
    })
}

fn known_event(state: &State, event: Handle<Event>) -> Done<Handle<Event>> {
    state.events.get(event).map(|_| event)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEventRecordNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    event: Handle<Event>,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| known_event(state, event).map(What::Record))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEventWaitNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    event: Handle<Event>,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| known_event(state, event).map(What::Wait))
    })
}

/// `CUDA_MEM_ALLOC_NODE_PARAMS`; the address is an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct AllocParameters {
    pool: PoolProperties,
    access: usize,
    access_count: usize,
    bytes: usize,
    address: u64,
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemAllocNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: Out<AllocParameters>,
) -> CUresult {
    call(|process| {
        let mut parameters = asked.read()?;
        if parameters.bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let bytes = parameters.bytes as u64;
        add(process, node, graph, (deps, count), |state| {
            parameters.address = state.reserve_graph_memory(bytes)?;
            Ok(What::Alloc(parameters.address, bytes))
        })?;
        asked.set(parameters)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemAllocNodeGetParams(node: N, out: Out<AllocParameters>) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let What::Alloc(address, bytes) = what(&process.state(), node)? else {
            return Err(Code::INVALID_VALUE);
        };
        let pool = PoolProperties::of_device(0);
        out.set(AllocParameters { pool, access: 0, access_count: 0, bytes: bytes as usize, address })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemFreeNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    address: u64,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| {
            let freed = state.nodes.iter().any(|(_, node)| {
                node.graph == graph && matches!(node.what, What::Free(other) if other == address)
            });
            if state.is_graph_memory(address) && !freed {
                Ok(What::Free(address))
            } else {
                Err(Code::INVALID_VALUE)
            }
        })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemFreeNodeGetParams(node: N, out: Out<u64>) -> CUresult {
    call(|process| {
        let What::Free(address) = what(&process.state(), node)? else { return Err(Code::INVALID_VALUE) };
        out.set(address)
    })
}

fn what(state: &State, node: N) -> Done<What> {
    state.nodes.get(node).map(|node| node.what.clone()).map_err(|_| Code::INVALID_VALUE)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetParams_v2(node: N, out: Out<KernelParameters>) -> CUresult {
    call(|process| {
        let What::Kernel(launch) = what(&process.state(), node)? else { return Err(Code::INVALID_VALUE) };
        out.set(node_params::kernel_parameters(&launch))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams_v2(node: N, asked: In<KernelParameters>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        let mut state = process.state();
        let what = node_params::kernel(process, &mut state, &asked)?;
        node_params::change(&mut state, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams(node: N, asked: In<KernelParameters>) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        let mut state = process.state();
        let what = node_params::kernel(process, &mut state, &asked)?;
        node_params::change(&mut state, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemsetNodeGetParams(node: N, out: Out<SetParameters>) -> CUresult {
    call(|process| {
        let What::Set(_, numbers) = what(&process.state(), node)? else { return Err(Code::INVALID_VALUE) };
        out.set(node_params::set_parameters(&numbers)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemsetNodeSetParams(node: N, asked: In<SetParameters>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        let mut state = process.state();
        let what = node_params::set(process, &mut state, &asked, Handle::NULL)?;
        node_params::change(&mut state, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemcpyNodeGetParams(node: N, out: Out<Copy3d>) -> CUresult {
    call(|process| {
        let What::Copy(_, numbers) = what(&process.state(), node)? else { return Err(Code::INVALID_VALUE) };
        out.set(Copy3d::from_numbers(&numbers)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemcpyNodeSetParams(node: N, asked: In<Copy3d>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        let mut state = process.state();
        let what = node_params::copy(process, &mut state, &asked, Handle::NULL)?;
        node_params::change(&mut state, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphHostNodeGetParams(node: N, out: Out<HostParameters>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Host(crate::engine::item::HostCall::Plain(function, argument)) => {
            out.set(HostParameters { function: Some(function), argument })
        }
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphHostNodeSetParams(node: N, asked: In<HostParameters>) -> CUresult {
    call(|process| {
        let what = node_params::host(&asked.get()?)?;
        node_params::change(&mut process.state(), node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphChildGraphNodeGetGraph(node: N, out: Out<G>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Child(graph) => out.set(graph),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetType(node: N, out: Out<u32>) -> CUresult {
    call(|process| out.set(what(&process.state(), node)?.number()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphDestroyNode(node: N) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let found = state.nodes.remove(node).map_err(|_| Code::INVALID_VALUE)?;
        if let Ok(graph) = state.graphs.get_mut(found.graph) {
            graph.nodes.retain(|one| *one != node);
        }
        for other in state.nodes.handles(|other| other.deps.contains(&node)) {
            state.nodes.get_mut(other)?.deps.retain(|dep| *dep != node);
        }
        Ok(())
    })
}
