//! Recording streams into graphs.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::StreamKind;
use crate::graph::Edge;
use crate::graph::capture::{Mode, exchange_mode};
use crate::handle::{GraphHandle, Handle, NodeHandle, StreamHandle};
use crate::process::Process;

/// Words for how a stream's recording stands.
const NOT_CAPTURING: u32 = 0;
const ACTIVE: u32 = 1;
const INVALIDATED: u32 = 2;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBeginCapture_v2(stream: StreamHandle, mode: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        state.begin_capture(stream, Mode::from_number(mode)?, None)
    })
}

/// The form of before CUDA 10.1, which knew one mode.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBeginCapture(stream: StreamHandle) -> CUresult {
    cuStreamBeginCapture_v2(stream, 0)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBeginCaptureToGraph(
    stream: StreamHandle,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    _edges: In<u64>,
    count: usize,
    mode: u32,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        let deps = deps.list(count)?;
        state.check_deps(graph, &deps)?;
        state.begin_capture(stream, Mode::from_number(mode)?, Some((graph, deps)))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamEndCapture(stream: StreamHandle, graph: Out<GraphHandle>) -> CUresult {
    call(|process| {
        let graph = graph.required()?;
        graph.set_if_wanted(Handle::NULL);
        let mut state = process.state();
        let stream = state.stream(stream)?;
        let ended = state.end_capture(stream);
        drop(state);
        process.announce_endings();
        graph.set(ended?)
    })
}

fn status(process: &Process, stream: StreamHandle) -> Done<u32> {
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let found = state.streams.get(stream)?;
    // Asking of stream 0 while a stream that it waits for is recorded spoils nothing here, and says so.
    let recorded = found.kind == StreamKind::Legacy
        && state.streams.iter().any(|(_, other)| {
            other.context == found.context && other.kind == StreamKind::Blocking && other.capture.is_some()
        });
    if recorded {
        return Err(Code::STREAM_CAPTURE_IMPLICIT);
    }
    let capture = found.capture.and_then(|capture| state.captures.find(capture));
    Ok(match capture {
        None => NOT_CAPTURING,
        Some(capture) if capture.invalid => INVALIDATED,
        Some(_) => ACTIVE,
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamIsCapturing(stream: StreamHandle, out: Out<u32>) -> CUresult {
    call(|process| {
        let out = out.required()?;
        out.set(status(process, stream)?)
    })
}

/// Where information on a recording goes.
struct Wanted {
    status: Out<u32>,
    id: Out<u64>,
    graph: Out<GraphHandle>,
    deps: Out<*const NodeHandle>,
    count: Out<usize>,
}

thread_local! {
    /// What the last question of this thread was answered with: it stays valid until the next one.
    static DEPS: std::cell::RefCell<Vec<NodeHandle>> = const { std::cell::RefCell::new(Vec::new()) };
    /// What the edges from there are: plain order, as many times as anybody asked for.
    static EDGES: std::cell::RefCell<Vec<Edge>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn information(process: &Process, stream: StreamHandle, wanted: &Wanted) -> Done {
    let now = status(process, stream)?;
    wanted.status.set(now)?;
    if now != ACTIVE {
        return Ok(());
    }
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let Some(handle) = state.streams.get(stream)?.capture else { return Ok(()) };
    let capture = state.captures.get(handle)?;
    wanted.id.set_if_wanted(capture.id);
    wanted.graph.set_if_wanted(capture.graph);
    let frontier = capture.frontier(stream);
    wanted.count.set_if_wanted(frontier.len());
    DEPS.with_borrow_mut(|deps| {
        *deps = frontier;
        wanted.deps.set_if_wanted(deps.as_ptr());
    });
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetCaptureInfo(
    stream: StreamHandle,
    status: Out<u32>,
    id: Out<u64>,
) -> CUresult {
    let wanted = Wanted { status, id, graph: Out::NULL, deps: Out::NULL, count: Out::NULL };
    call(|process| information(process, stream, &wanted))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetCaptureInfo_v2(
    stream: StreamHandle,
    status: Out<u32>,
    id: Out<u64>,
    graph: Out<GraphHandle>,
    deps: Out<*const NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    call(|process| information(process, stream, &Wanted { status, id, graph, deps, count }))
}

/// What a recorded stream does next follows what it did, by plain order.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetCaptureInfo_v3(
    stream: StreamHandle,
    status: Out<u32>,
    id: Out<u64>,
    graph: Out<GraphHandle>,
    deps: Out<*const NodeHandle>,
    edges: Out<*const Edge>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        information(process, stream, &Wanted { status, id, graph, deps, count })?;
        let needed = DEPS.with_borrow(Vec::len);
        EDGES.with_borrow_mut(|plain| {
            if plain.len() < needed {
                plain.resize(needed, Edge::PLAIN);
            }
            edges.set_if_wanted(plain.as_ptr());
        });
        Ok(())
    })
}

fn update(process: &Process, stream: StreamHandle, deps: &[NodeHandle], replace: bool) -> Done {
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let capture = state.capture_of(stream)?.ok_or(Code::ILLEGAL_STATE)?;
    let graph = state.captures.get(capture)?.graph;
    if deps.iter().any(|node| state.nodes.find(*node).is_none_or(|node| node.graph != graph)) {
        return Err(Code::INVALID_VALUE);
    }
    state.captures.get_mut(capture)?.update_frontier(stream, deps, replace);
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamUpdateCaptureDependencies(
    stream: StreamHandle,
    deps: In<NodeHandle>,
    count: usize,
    flags: u32,
) -> CUresult {
    call(|process| {
        if flags > 1 {
            Err(Code::INVALID_VALUE)
        } else {
            update(process, stream, &deps.list(count)?, flags == 1)
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamUpdateCaptureDependencies_v2(
    stream: StreamHandle,
    deps: In<NodeHandle>,
    _edges: In<u64>,
    count: usize,
    flags: u32,
) -> CUresult {
    cuStreamUpdateCaptureDependencies(stream, deps, count, flags)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuThreadExchangeStreamCaptureMode(mode: Out<u32>) -> CUresult {
    call(|_| {
        let before = exchange_mode(mode.read()?)?;
        mode.set(before)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_capture.rs"));
