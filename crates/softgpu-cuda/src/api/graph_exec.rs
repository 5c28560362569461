//! Changing instantiated graphs between launches.

use super::copy::Copy3d;
use super::graph_kernel::read_old;
use super::node_params::{self, HostParameters, KernelParameters, SetParameters, WordsParameters};
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::graph::exec::Mismatch;
use crate::graph::{Graph, What};
use crate::handle::{ContextHandle, EventHandle, GraphExecHandle, GraphHandle, Handle, NodeHandle};
use crate::process::Process;
use crate::state::State;

/// `CUgraphExecUpdateResultInfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpdateResult {
    result: u32,
    node: NodeHandle,
    from: NodeHandle,
}

const _: () = assert!(size_of::<UpdateResult>() == 24);

/// Only parameters may differ: the nodes must be of the same kinds in the same order.
fn update(process: &'static Process, exec: GraphExecHandle, graph: GraphHandle) -> Result<(), Mismatch> {
    let mut state = process.state();
    if state.graph(graph).map_or(true, Graph::is_moved) {
        return Err(Mismatch::INVALID);
    }
    state.update_exec(exec, None, graph)?;
    drop(state);
    process.announce_endings();
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecUpdate_v2(
    exec: GraphExecHandle,
    graph: GraphHandle,
    result: Out<UpdateResult>,
) -> CUresult {
    call(|process| {
        let result = result.required()?;
        let done = update(process, exec, graph);
        let (number, node) = done.map_or_else(|why| (why.number, why.node), |()| (0, Handle::NULL));
        result.set(UpdateResult { result: number, node, from: Handle::NULL })?;
        done.map_err(|_| Code::GRAPH_EXEC_UPDATE_FAILURE)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecUpdate(
    exec: GraphExecHandle,
    graph: GraphHandle,
    node: Out<NodeHandle>,
    result: Out<u32>,
) -> CUresult {
    call(|process| {
        let done = update(process, exec, graph);
        let (number, at) = done.map_or_else(|why| (why.number, why.node), |()| (0, Handle::NULL));
        node.set_if_wanted(at);
        result.set_if_wanted(number);
        done.map_err(|_| Code::GRAPH_EXEC_UPDATE_FAILURE)
    })
}

/// Gives one step other parameters of the same kind.
fn change(
    process: &Process,
    exec: GraphExecHandle,
    node: NodeHandle,
    what: impl FnOnce(&mut State) -> Done<What>,
) -> Done {
    let mut state = process.state();
    state.step_mut(exec, node)?;
    let what = what(&mut state)?;
    state.change_step(exec, node, what)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecKernelNodeSetParams_v2(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, exec, node, |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecKernelNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        change(process, exec, node, |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecMemcpyNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<Copy3d>,
    context: ContextHandle,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, exec, node, |state| node_params::copy(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecMemsetNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<SetParameters>,
    context: ContextHandle,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, exec, node, |state| node_params::set(process, state, &asked, context))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecHostNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<HostParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, exec, node, |_| node_params::host(&asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecEventRecordNodeSetEvent(
    exec: GraphExecHandle,
    node: NodeHandle,
    event: EventHandle,
) -> CUresult {
    call(|process| change(process, exec, node, |state| node_params::event(state, event).map(What::Record)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecEventWaitNodeSetEvent(
    exec: GraphExecHandle,
    node: NodeHandle,
    event: EventHandle,
) -> CUresult {
    call(|process| change(process, exec, node, |state| node_params::event(state, event).map(What::Wait)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecBatchMemOpNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    asked: In<WordsParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, exec, node, |state| node_params::batch(state, &asked))
    })
}

/// Gives the steps of a child graph's node the parameters of another graph of the same shape.
pub(super) fn change_child(
    process: &'static Process,
    exec: GraphExecHandle,
    node: NodeHandle,
    graph: GraphHandle,
) -> Done {
    let mut state = process.state();
    let What::Child(_) = state.node(node)?.what else { return Err(Code::INVALID_VALUE) };
    state.exec(exec)?;
    state.update_exec(exec, Some(node), graph).map_err(|_| Code::INVALID_VALUE)?;
    drop(state);
    process.announce_endings();
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecChildGraphNodeSetParams(
    exec: GraphExecHandle,
    node: NodeHandle,
    graph: GraphHandle,
) -> CUresult {
    call(|process| change_child(process, exec, node, graph))
}

/// Only kernels, copies and sets can be passed over.
fn can_be_disabled(what: &What) -> bool {
    matches!(what, What::Kernel(_) | What::Copy(..) | What::Set(..))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeSetEnabled(
    exec: GraphExecHandle,
    node: NodeHandle,
    enabled: u32,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let step = state.step_mut(exec, node)?;
        if !can_be_disabled(&step.what) {
            return Err(Code::INVALID_VALUE);
        }
        step.enabled = enabled != 0;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetEnabled(
    exec: GraphExecHandle,
    node: NodeHandle,
    enabled: Out<u32>,
) -> CUresult {
    call(|process| {
        let enabled = enabled.required()?;
        let mut state = process.state();
        let step = state.step_mut(exec, node)?;
        if !can_be_disabled(&step.what) {
            return Err(Code::INVALID_VALUE);
        }
        enabled.set(step.enabled.into())
    })
}
