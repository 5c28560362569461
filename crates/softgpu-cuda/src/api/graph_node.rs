//! Nodes of graphs, each kind in its own form: adding them, asking what they are, changing them.

use super::copy::Copy3d;
use super::node_params::{self, AllocParameters, ChildParameters, HostParameters, SetParameters};
use super::pool::PoolProperties;
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::item::HostCall;
use crate::graph::What;
use crate::handle::{ContextHandle, EventHandle, GraphHandle, Handle, NodeHandle};
use crate::process::Process;
use crate::state::State;

/// Adds a node; its kind is only made when everything else is right.
pub(super) fn add(
    process: &Process,
    out: Out<NodeHandle>,
    graph: GraphHandle,
    deps: (In<NodeHandle>, usize),
    what: impl FnOnce(&mut State) -> Done<What>,
) -> Done {
    let out = out.required()?;
    let deps = deps.0.list(deps.1)?;
    out.set(add_to(process, graph, &deps, what)?)
}

/// As [`add`], for who sees to the arguments.
pub(super) fn add_to(
    process: &Process,
    graph: GraphHandle,
    deps: &[NodeHandle],
    what: impl FnOnce(&mut State) -> Done<What>,
) -> Done<NodeHandle> {
    let mut state = process.state();
    state.check_deps(graph, deps)?;
    let what = what(&mut state)?;
    state.add_node(graph, deps, what)
}

/// Gives a node other parameters of the same kind.
pub(super) fn change(
    process: &'static Process,
    node: NodeHandle,
    what: impl FnOnce(&mut State) -> Done<What>,
) -> Done {
    let mut state = process.state();
    state.node(node)?;
    let what = what(&mut state)?;
    state.change_node(node, what)?;
    drop(state);
    process.announce_endings();
    Ok(())
}

/// What a node does.
pub(super) fn what(state: &State, node: NodeHandle) -> Done<&What> {
    state.node(node).map(|node| &node.what)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetType(node: NodeHandle, out: Out<u32>) -> CUresult {
    call(|process| out.set(what(&process.state(), node)?.number()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphDestroyNode(node: NodeHandle) -> CUresult {
    call(|process| {
        process.state().remove_node(node)?;
        process.announce_endings();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEmptyNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
) -> CUresult {
    call(|process| add(process, node, graph, (deps, count), |_| Ok(What::Empty)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemcpyNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: In<Copy3d>,
    context: ContextHandle,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::copy(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemcpyNodeGetParams(node: NodeHandle, out: Out<Copy3d>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Copy(_, numbers) => out.set(Copy3d::from_numbers(numbers)?),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemcpyNodeSetParams(node: NodeHandle, asked: In<Copy3d>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |state| node_params::copy(process, state, &asked, Handle::NULL))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemsetNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: In<SetParameters>,
    context: ContextHandle,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::set(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemsetNodeGetParams(node: NodeHandle, out: Out<SetParameters>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Set(_, numbers) => out.set(node_params::set_parameters(numbers)?),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemsetNodeSetParams(node: NodeHandle, asked: In<SetParameters>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |state| node_params::set(process, state, &asked, Handle::NULL))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddHostNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: In<HostParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |_| node_params::host(&asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphHostNodeGetParams(node: NodeHandle, out: Out<HostParameters>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Host(HostCall::Plain(function, argument)) => {
            out.set(HostParameters { function: Some(*function), argument: *argument })
        }
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphHostNodeSetParams(node: NodeHandle, asked: In<HostParameters>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |_| node_params::host(&asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddChildGraphNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    child: GraphHandle,
) -> CUresult {
    call(|process| {
        let asked = ChildParameters { graph: child, moved: 0 };
        add(process, node, graph, (deps, count), |state| node_params::child(state, graph, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphChildGraphNodeGetGraph(node: NodeHandle, out: Out<GraphHandle>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Child(graph) => out.set(*graph),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEventRecordNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    event: EventHandle,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| node_params::event(state, event).map(What::Record))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphEventRecordNodeGetEvent(node: NodeHandle, out: Out<EventHandle>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Record(event) => out.set(*event),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphEventRecordNodeSetEvent(node: NodeHandle, event: EventHandle) -> CUresult {
    call(|process| change(process, node, |state| node_params::event(state, event).map(What::Record)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddEventWaitNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    event: EventHandle,
) -> CUresult {
    call(|process| {
        add(process, node, graph, (deps, count), |state| node_params::event(state, event).map(What::Wait))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphEventWaitNodeGetEvent(node: NodeHandle, out: Out<EventHandle>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Wait(event) => out.set(*event),
        _ => Err(Code::INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphEventWaitNodeSetEvent(node: NodeHandle, event: EventHandle) -> CUresult {
    call(|process| change(process, node, |state| node_params::event(state, event).map(What::Wait)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemAllocNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: Out<AllocParameters>,
) -> CUresult {
    call(|process| {
        let mut parameters = asked.read()?;
        add(process, node, graph, (deps, count), |state| {
            let (what, address) = node_params::alloc(state, graph, &parameters)?;
            parameters.address = address;
            Ok(what)
        })?;
        asked.set(parameters)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemAllocNodeGetParams(
    node: NodeHandle,
    out: Out<AllocParameters>,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let What::Alloc(address, bytes) = *what(&process.state(), node)? else {
            return Err(Code::INVALID_VALUE);
        };
        let pool = PoolProperties::of_device(0);
        out.set(AllocParameters { pool, access: 0, access_count: 0, bytes: bytes as usize, address })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddMemFreeNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    address: u64,
) -> CUresult {
    call(|process| add(process, node, graph, (deps, count), |state| node_params::free(state, graph, address)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphMemFreeNodeGetParams(node: NodeHandle, out: Out<u64>) -> CUresult {
    call(|process| match what(&process.state(), node)? {
        What::Free(address) => out.set(*address),
        _ => Err(Code::INVALID_VALUE),
    })
}
