//! Graphs: making, launching and ending them.

use crate::abi::{CUresult, Code, Done, Out, Text};
use crate::call::call;
use crate::graph::dot::Detail;
use crate::graph::{Graph, Owner, What};
use crate::handle::{GraphExecHandle, GraphHandle, Handle, NodeHandle, StreamHandle};
use crate::process::Process;

/// Flags of instantiation that there are.
const FLAGS: u64 = 15;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphCreate(graph: Out<GraphHandle>, flags: u32) -> CUresult {
    call(|process| {
        let graph = graph.required()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        graph.set(process.state().graphs.insert(Graph::default()))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphDestroy(graph: GraphHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        if state.graph(graph)?.owner != Owner::Program {
            return Err(Code::INVALID_VALUE);
        }
        state.destroy_graph(graph)?;
        drop(state);
        process.announce_endings();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphClone(out: Out<GraphHandle>, graph: GraphHandle) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let mut state = process.state();
        // The addresses of its allocations are its own.
        if state.has_memory_nodes(graph)? {
            return Err(Code::NOT_SUPPORTED);
        }
        let copy = state.clone_graph(graph, Owner::Program)?;
        out.set(copy)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeFindInClone(
    out: Out<NodeHandle>,
    original: NodeHandle,
    clone: GraphHandle,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let nodes = &state.graph(clone)?.nodes;
        let same =
            |node: &&NodeHandle| state.nodes.find(**node).is_some_and(|node| node.original == original);
        out.set(*nodes.iter().find(same).ok_or(Code::INVALID_VALUE)?)
    })
}

fn instantiate(process: &Process, out: Out<GraphExecHandle>, graph: GraphHandle, flags: u64) -> Done {
    let out = out.required()?;
    if flags & !FLAGS != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let mut state = process.state();
    state.current()?;
    if state.graph(graph)?.is_moved() {
        return Err(Code::INVALID_VALUE);
    }
    let exec = state.instantiate(graph, flags)?;
    out.set(exec)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiateWithFlags(
    out: Out<GraphExecHandle>,
    graph: GraphHandle,
    flags: u64,
) -> CUresult {
    call(|process| instantiate(process, out, graph, flags))
}

/// The older forms can say where it went wrong; nothing here goes wrong at one node.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiate_v2(
    out: Out<GraphExecHandle>,
    graph: GraphHandle,
    _node: Out<NodeHandle>,
    _log: Out<u8>,
    _size: usize,
) -> CUresult {
    call(|process| instantiate(process, out, graph, 0))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiate(
    out: Out<GraphExecHandle>,
    graph: GraphHandle,
    _node: Out<NodeHandle>,
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
    stream: StreamHandle,
    node: NodeHandle,
    result: u32,
}

const _: () = assert!(size_of::<InstantiateParameters>() == 32);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphInstantiateWithParams(
    out: Out<GraphExecHandle>,
    graph: GraphHandle,
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
pub(crate) extern "C" fn cuGraphExecGetFlags(exec: GraphExecHandle, flags: Out<u64>) -> CUresult {
    call(|process| flags.set(process.state().exec(exec)?.flags))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphExecDestroy(exec: GraphExecHandle) -> CUresult {
    call(|process| {
        process.state().destroy_exec(exec)?;
        process.announce_endings();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphUpload(exec: GraphExecHandle, stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.stream(stream)?;
        state.exec(exec).map(drop)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphLaunch(exec: GraphExecHandle, stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.exec(exec)?;
        let stream = state.stream(stream)?;
        // A graph that is launched into a recording becomes a part of it.
        if state.capture_of(stream)?.is_some() {
            let steps = state.exec(exec)?.plan.steps.clone();
            for step in steps.into_iter().filter(|step| !matches!(step.what, What::Child(_))) {
                state.recorded(stream, || if step.enabled { step.what } else { What::Empty })?;
            }
            return Ok(());
        }
        drop(state);
        process.make_room(stream, true)?;
        process.state().launch_graph(process, exec, stream)
    })
}

/// Draws a graph, in the language of Graphviz.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphDebugDotPrint(graph: GraphHandle, path: Text, flags: u32) -> CUresult {
    call(|process| {
        let path = path.get()?;
        let detail = Detail::from_flags(flags).ok_or(Code::INVALID_VALUE)?;
        let drawn = process.state().draw(graph, detail)?;
        std::fs::write(path, drawn).map_err(|_| Code::OPERATING_SYSTEM)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_graph.rs"));
