//! Graphs: making, launching, changing and ending them.

use super::graph_node::read_old;
use super::node_params::{self, HostParameters, KernelParameters, SetParameters};
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::Stream;
use crate::graph::{Graph, GraphExec, Node, What};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::{Context, State};

type G = Handle<Graph>;
type N = Handle<Node>;
type X = Handle<GraphExec>;
type S = Handle<Stream>;

/// Flags of instantiation that there are.
const FLAGS: u64 = 15;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphCreate(graph: Out<G>, flags: u32) -> CUresult {
    call(|process| {
        let graph = graph.required()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        graph.set(process.state().graphs.insert(Graph { nodes: Vec::new(), owned: true }))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphDestroy(graph: G) -> CUresult {
    call(|process| {
        let mut state = process.state();
        if !state.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.owned {
            return Err(Code::INVALID_VALUE);
        }
        state.destroy_graph(graph)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphClone(out: Out<G>, graph: G) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let copy = process.state().clone_graph(graph, true)?;
        out.set(copy)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeFindInClone(out: Out<N>, original: N, clone: G) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let nodes = &state.graphs.get(clone).map_err(|_| Code::INVALID_VALUE)?.nodes;
        let same = |node: &&N| state.nodes.find(**node).is_some_and(|node| node.original == original);
        out.set(*nodes.iter().find(same).ok_or(Code::INVALID_VALUE)?)
    })
}

/// Gives a list to a caller who first asks how long it is.
fn give<T: Copy>(out: Out<T>, count: Out<usize>, list: &[T]) -> Done {
    let count = count.required()?;
    if out.0.is_null() {
        return count.set(list.len());
    }
    let room = count.read()?;
    out.set_all(&list[..list.len().min(room)]);
    for place in list.len()..room {
        // SAFETY: the caller owes us as many places as it says; what is left is made zero, as the driver does.
        unsafe { out.0.add(place).write_bytes(0, 1) };
    }
    count.set(list.len().min(room))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetNodes(graph: G, out: Out<N>, count: Out<usize>) -> CUresult {
    call(|process| {
        let state = process.state();
        give(out, count, &state.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.nodes)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetRootNodes(graph: G, out: Out<N>, count: Out<usize>) -> CUresult {
    call(|process| {
        let state = process.state();
        let nodes = &state.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.nodes;
        let root = |node: &&N| state.nodes.find(**node).is_some_and(|node| node.deps.is_empty());
        give(out, count, &nodes.iter().filter(root).copied().collect::<Vec<_>>())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetEdges(graph: G, from: Out<N>, to: Out<N>, count: Out<usize>) -> CUresult {
    call(|process| {
        let count = count.required()?;
        let state = process.state();
        let nodes = &state.graphs.get(graph).map_err(|_| Code::INVALID_VALUE)?.nodes;
        let edges: Vec<(N, N)> = nodes
            .iter()
            .flat_map(|to| {
                state.nodes.find(*to).into_iter().flat_map(|node| node.deps.iter().map(|dep| (*dep, *to)))
            })
            .collect();
        if from.0.is_null() != to.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let room = if from.0.is_null() { 0 } else { count.read()? };
        give(from, count, &edges.iter().map(|(from, _)| *from).collect::<Vec<_>>())?;
        if room > 0 {
            count.set(room)?;
            give(to, count, &edges.iter().map(|(_, to)| *to).collect::<Vec<_>>())?;
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetEdges_v2(
    graph: G,
    from: Out<N>,
    to: Out<N>,
    _data: Out<u64>,
    count: Out<usize>,
) -> CUresult {
    cuGraphGetEdges(graph, from, to, count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependencies(node: N, out: Out<N>, count: Out<usize>) -> CUresult {
    call(|process| {
        let state = process.state();
        give(out, count, &state.nodes.get(node).map_err(|_| Code::INVALID_VALUE)?.deps)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependencies_v2(
    node: N,
    out: Out<N>,
    _data: Out<u64>,
    count: Out<usize>,
) -> CUresult {
    cuGraphNodeGetDependencies(node, out, count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependentNodes(node: N, out: Out<N>, count: Out<usize>) -> CUresult {
    call(|process| {
        let state = process.state();
        state.nodes.get(node).map_err(|_| Code::INVALID_VALUE)?;
        give(out, count, &state.nodes.handles(|other| other.deps.contains(&node)))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependentNodes_v2(
    node: N,
    out: Out<N>,
    _data: Out<u64>,
    count: Out<usize>,
) -> CUresult {
    cuGraphNodeGetDependentNodes(node, out, count)
}

fn edges(process: &Process, graph: G, lists: [In<N>; 2], count: usize, add: bool) -> Done {
    let [from, to] = [lists[0].list(count)?, lists[1].list(count)?];
    let mut state = process.state();
    for (from, to) in from.into_iter().zip(to) {
        let known =
            [from, to].iter().all(|node| state.nodes.find(*node).is_some_and(|node| node.graph == graph));
        let there = state.nodes.find(to).is_some_and(|node| node.deps.contains(&from));
        if !known || there == add || from == to {
            return Err(Code::INVALID_VALUE);
        }
        let node = state.nodes.get_mut(to)?;
        if add {
            node.deps.push(from);
        } else {
            node.deps.retain(|dep| *dep != from);
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddDependencies(graph: G, from: In<N>, to: In<N>, count: usize) -> CUresult {
    call(|process| edges(process, graph, [from, to], count, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddDependencies_v2(
    graph: G,
    from: In<N>,
    to: In<N>,
    _data: In<u64>,
    count: usize,
) -> CUresult {
    cuGraphAddDependencies(graph, from, to, count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphRemoveDependencies(
    graph: G,
    from: In<N>,
    to: In<N>,
    count: usize,
) -> CUresult {
    call(|process| edges(process, graph, [from, to], count, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphRemoveDependencies_v2(
    graph: G,
    from: In<N>,
    to: In<N>,
    _data: In<u64>,
    count: usize,
) -> CUresult {
    cuGraphRemoveDependencies(graph, from, to, count)
}

fn instantiate(process: &Process, out: Out<X>, graph: G, flags: u64) -> Done {
    let out = out.required()?;
    if flags & !FLAGS != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let mut state = process.state();
    state.current()?;
    let steps = state.steps(graph)?;
    let exec = state.execs.insert(GraphExec { steps, flags, live: Vec::new() });
    out.set(exec)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiateWithFlags(out: Out<X>, graph: G, flags: u64) -> CUresult {
    call(|process| instantiate(process, out, graph, flags))
}

/// The older forms can say where it went wrong; nothing here goes wrong at one node.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiate_v2(
    out: Out<X>,
    graph: G,
    _node: Out<N>,
    _log: Out<u8>,
    _size: usize,
) -> CUresult {
    call(|process| instantiate(process, out, graph, 0))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiate(
    out: Out<X>,
    graph: G,
    _node: Out<N>,
    _log: Out<u8>,
    _size: usize,
) -> CUresult {
    call(|process| instantiate(process, out, graph, 0))
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstantiateParameters {
    flags: u64,
    stream: S,
    node: N,
    result: u32,
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiateWithParams(
    out: Out<X>,
    graph: G,
    parameters: Out<InstantiateParameters>,
) -> CUresult {
    call(|process| {
        let mut asked = parameters.read()?;
        let done = instantiate(process, out, graph, asked.flags);
        asked.node = Handle::NULL;
        asked.result = u32::from(done.is_err());
        parameters.set(asked)?;
        done
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecGetFlags(exec: X, flags: Out<u64>) -> CUresult {
    call(|process| flags.set(process.state().execs.get(exec).map_err(|_| Code::INVALID_VALUE)?.flags))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecDestroy(exec: X) -> CUresult {
    call(|process| process.state().execs.remove(exec).map(drop).map_err(|_| Code::INVALID_VALUE))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphUpload(exec: X, stream: S) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.stream(stream)?;
        state.execs.get(exec).map(drop).map_err(|_| Code::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphLaunch(exec: X, stream: S) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.execs.get(exec).map_err(|_| Code::INVALID_VALUE)?;
        let stream = state.stream(stream)?;
        // A graph that is launched into a recording becomes a part of it.
        if let Some(capture) = state.capture_of(stream)? {
            let steps = state.execs.get(exec)?.steps.clone();
            for (_, what) in steps {
                state.recorded(stream, || what)?;
            }
            let _ = capture;
            return Ok(());
        }
        drop(state);
        process.make_room(stream, true)?;
        process.state().launch_graph(process, exec, stream)
    })
}

/// `CUgraphExecUpdateResultInfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpdateResult {
    result: u32,
    node: N,
    from: N,
}

/// Only parameters may differ: the nodes must be of the same kinds in the same order.
fn update(state: &mut State, exec: X, graph: G) -> Done {
    let steps = state.steps(graph)?;
    let known = state.execs.get_mut(exec).map_err(|_| Code::INVALID_VALUE)?;
    let same = known.steps.len() == steps.len()
        && known.steps.iter().zip(&steps).all(|((_, old), (_, new))| old.number() == new.number());
    if !same {
        return Err(Code::GRAPH_EXEC_UPDATE_FAILURE);
    }
    for ((_, old), (_, new)) in known.steps.iter_mut().zip(steps) {
        *old = new;
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecUpdate_v2(exec: X, graph: G, result: Out<UpdateResult>) -> CUresult {
    call(|process| {
        let result = result.required()?;
        let done = update(&mut process.state(), exec, graph);
        // 2: the shape of the graph has changed.
        let word = if done.is_ok() { 0 } else { 2 };
        result.set(UpdateResult { result: word, node: Handle::NULL, from: Handle::NULL })?;
        done
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecUpdate(exec: X, graph: G, node: Out<N>, result: Out<u32>) -> CUresult {
    call(|process| {
        let done = update(&mut process.state(), exec, graph);
        node.set_if_wanted(Handle::NULL);
        result.set_if_wanted(if done.is_ok() { 0 } else { 2 });
        done
    })
}

/// Gives one step of an instantiated graph other parameters.
fn change(state: &mut State, exec: X, node: N, what: What) -> Done {
    let exec = state.execs.get_mut(exec).map_err(|_| Code::INVALID_VALUE)?;
    let step = exec.steps.iter_mut().find(|(from, _)| *from == node).ok_or(Code::INVALID_VALUE)?;
    if step.1.number() != what.number() {
        return Err(Code::INVALID_VALUE);
    }
    step.1 = what;
    Ok(())
}

fn change_kernel(process: &Process, exec: X, node: N, asked: &KernelParameters) -> Done {
    let mut state = process.state();
    let what = node_params::kernel(process, &mut state, asked)?;
    change(&mut state, exec, node, what)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecKernelNodeSetParams_v2(
    exec: X,
    node: N,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| change_kernel(process, exec, node, &asked.get()?))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecKernelNodeSetParams(
    exec: X,
    node: N,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| change_kernel(process, exec, node, &read_old(asked)?))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecMemcpyNodeSetParams(
    exec: X,
    node: N,
    asked: In<super::copy::Copy3d>,
    context: Handle<Context>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        let mut state = process.state();
        let what = node_params::copy(process, &mut state, &asked, context)?;
        change(&mut state, exec, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecMemsetNodeSetParams(
    exec: X,
    node: N,
    asked: In<SetParameters>,
    context: Handle<Context>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        let mut state = process.state();
        let what = node_params::set(process, &mut state, &asked, context)?;
        change(&mut state, exec, node, what)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecHostNodeSetParams(
    exec: X,
    node: N,
    asked: In<HostParameters>,
) -> CUresult {
    call(|process| {
        let what = node_params::host(&asked.get()?)?;
        change(&mut process.state(), exec, node, what)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_graph.rs"));
