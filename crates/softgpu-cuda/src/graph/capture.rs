//! Stream capture: what a stream is told is written into a graph instead of being done.

use std::cell::Cell;
use std::thread::ThreadId;

use super::GraphPart;
use super::{Graph, What};
use crate::abi::{Code, Done};
use crate::engine::{Stream, StreamKind};
use crate::handle::{CaptureHandle, ContextHandle, EventHandle, GraphHandle, NodeHandle, StreamHandle};
use crate::numbers::{
    CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_RELAXED, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
};

/// What a recording forbids, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Unsafe calls, to all threads.
    Global,
    /// Unsafe calls, to the thread that began it.
    ThreadLocal,
    /// Nothing.
    Relaxed,
}

impl Mode {
    pub(crate) fn from_number(number: u32) -> Done<Self> {
        match number {
            CU_STREAM_CAPTURE_MODE_GLOBAL => Ok(Self::Global),
            CU_STREAM_CAPTURE_MODE_THREAD_LOCAL => Ok(Self::ThreadLocal),
            CU_STREAM_CAPTURE_MODE_RELAXED => Ok(Self::Relaxed),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

thread_local! {
    /// How strict this thread wants unsafe calls to be treated.
    static MODE: Cell<u32> = const { Cell::new(0) };
}

/// Gives this thread another mode; says which it had.
pub(crate) fn exchange_mode(number: u32) -> Done<u32> {
    Mode::from_number(number)?;
    Ok(MODE.replace(number))
}

/// A recording.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) graph: GraphHandle,
    pub(crate) origin: StreamHandle,
    pub(crate) mode: Mode,
    pub(crate) thread: ThreadId,
    /// Streams that take part, each with the nodes that its next one follows.
    pub(crate) streams: Vec<(StreamHandle, Vec<NodeHandle>)>,
    /// Something was done that cannot be recorded.
    pub(crate) invalid: bool,
    pub(crate) id: u64,
}

impl Capture {
    /// What the next node of a stream follows.
    pub(crate) fn frontier(&self, stream: StreamHandle) -> Vec<NodeHandle> {
        self.streams
            .iter()
            .find(|(one, _)| *one == stream)
            .map(|(_, nodes)| nodes.clone())
            .unwrap_or_default()
    }

    /// Lets the next node of a stream follow others, besides or instead of those it would.
    pub(crate) fn update_frontier(&mut self, stream: StreamHandle, nodes: &[NodeHandle], replace: bool) {
        let mut frontier = if replace { Vec::new() } else { self.frontier(stream) };
        for node in nodes {
            if !frontier.contains(node) {
                frontier.push(*node);
            }
        }
        self.set_frontier(stream, frontier);
    }

    fn set_frontier(&mut self, stream: StreamHandle, nodes: Vec<NodeHandle>) {
        match self.streams.iter_mut().find(|(one, _)| *one == stream) {
            Some((_, frontier)) => *frontier = nodes,
            None => self.streams.push((stream, nodes)),
        }
    }
}

impl GraphPart {
    /// Begins to record a stream; into `graph` after `deps`, if one is given.
    pub(crate) fn begin_capture(
        &mut self,
        stream: StreamHandle,
        mode: Mode,
        into: Option<(GraphHandle, Vec<NodeHandle>)>,
    ) -> Done {
        let found = self.streams.get(stream)?;
        if found.kind == StreamKind::Legacy {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if found.capture.is_some() {
            return Err(Code::ILLEGAL_STATE);
        }
        let (graph, nodes) = match into {
            Some((graph, nodes)) => (graph, nodes),
            None => (self.graphs.insert(Graph::default()), Vec::new()),
        };
        let id = self.new_id();
        let capture = Capture {
            graph,
            origin: stream,
            mode,
            thread: std::thread::current().id(),
            streams: vec![(stream, nodes)],
            invalid: false,
            id,
        };
        let handle = self.captures.insert(capture);
        self.streams.get_mut(stream)?.capture = Some(handle);
        Ok(())
    }

    /// Ends a recording and gives its graph.
    pub(crate) fn end_capture(&mut self, stream: StreamHandle) -> Done<GraphHandle> {
        let handle = self.streams.get(stream)?.capture.ok_or(Code::ILLEGAL_STATE)?;
        let capture = self.captures.get(handle)?;
        if capture.origin != stream {
            return Err(Code::STREAM_CAPTURE_UNMATCHED);
        }
        if capture.mode != Mode::Relaxed && capture.thread != std::thread::current().id() {
            return Err(Code::STREAM_CAPTURE_WRONG_THREAD);
        }
        let unjoined = self.has_unjoined_work(capture);
        let capture = self.captures.remove(handle)?;
        for (one, _) in &capture.streams {
            if let Ok(stream) = self.streams.get_mut(*one) {
                stream.capture = None;
            }
        }
        if capture.invalid || unjoined {
            self.destroy_graph(capture.graph)?;
            let joined = !unjoined || capture.invalid;
            return Err(if joined {
                Code::STREAM_CAPTURE_INVALIDATED
            } else {
                Code::STREAM_CAPTURE_UNJOINED
            });
        }
        Ok(capture.graph)
    }

    /// Whether a stream beside the first one has work that the first one does not wait for.
    fn has_unjoined_work(&self, capture: &Capture) -> bool {
        let mut reached = capture.frontier(capture.origin);
        let mut at = 0;
        while at < reached.len() {
            let deps = self.nodes.find(reached[at]).map(|node| node.deps.clone()).unwrap_or_default();
            reached.extend(deps.into_iter().filter(|dep| !reached.contains(dep)).collect::<Vec<_>>());
            at += 1;
        }
        let others = capture.streams.iter().filter(|(stream, _)| *stream != capture.origin);
        others.flat_map(|(_, nodes)| nodes).any(|node| !reached.contains(node))
    }

    /// The recording a stream takes part in; an error if it is spoiled already.
    pub(crate) fn capture_of(&self, stream: StreamHandle) -> Done<Option<CaptureHandle>> {
        let Some(handle) = self.streams.get(stream)?.capture else { return Ok(None) };
        match self.captures.find(handle) {
            Some(capture) if capture.invalid => Err(Code::STREAM_CAPTURE_INVALIDATED),
            found => Ok(found.map(|_| handle)),
        }
    }

    /// Writes work down, if the stream is being recorded. True if it was.
    pub(crate) fn recorded(
        &mut self,
        stream: StreamHandle,
        what: impl FnOnce() -> What,
    ) -> Done<Option<NodeHandle>> {
        self.refuse_implicit(stream)?;
        let Some(handle) = self.capture_of(stream)? else { return Ok(None) };
        let capture = self.captures.get(handle)?;
        let (graph, deps) = (capture.graph, capture.frontier(stream));
        let node = self.add_node(graph, &deps, what())?;
        self.captures.get_mut(handle)?.set_frontier(stream, vec![node]);
        Ok(Some(node))
    }

    /// Work in stream 0 would wait for a blocking stream that is being recorded: that spoils the recording.
    fn refuse_implicit(&mut self, stream: StreamHandle) -> Done {
        let found = self.streams.get(stream)?;
        if found.kind != StreamKind::Legacy || self.captures.iter().next().is_none() {
            return Ok(());
        }
        let context = found.context;
        let blocking = self.streams.iter().find_map(|(_, other)| {
            let same = other.context == context && other.kind == StreamKind::Blocking;
            if same { other.capture } else { None }
        });
        let Some(handle) = blocking else { return Ok(()) };
        self.spoil(handle);
        Err(Code::STREAM_CAPTURE_IMPLICIT)
    }

    /// A stream goes while it is recorded: the recording ends with its first stream. It goes on without others,
    /// whose work must be joined by its end all the same.
    pub(crate) fn lose_stream(&mut self, capture: CaptureHandle, stream: StreamHandle) {
        if self.captures.find(capture).is_none_or(|capture| capture.origin != stream) {
            return;
        }
        let Ok(ended) = self.captures.remove(capture) else { return };
        for (one, _) in &ended.streams {
            if let Ok(stream) = self.streams.get_mut(*one) {
                stream.capture = None;
            }
        }
        let _ = self.destroy_graph(ended.graph);
    }

    /// Something happened that the recording cannot hold.
    pub(crate) fn spoil(&mut self, capture: CaptureHandle) {
        if let Ok(capture) = self.captures.get_mut(capture) {
            capture.invalid = true;
        }
    }

    /// Refuses a call on a stream that cannot be recorded; that spoils the recording.
    pub(crate) fn refuse_captured(&mut self, stream: StreamHandle) -> Done {
        let Some(handle) = self.streams.get(stream)?.capture else { return Ok(()) };
        self.spoil(handle);
        Err(Code::STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Refuses to wait for a context while one of its streams, or of those of the green ones in it, is recorded.
    pub(crate) fn refuse_captured_context(&mut self, context: ContextHandle) -> Done {
        if self.captures.iter().next().is_none() {
            return Ok(());
        }
        let views = self.with_greens(context);
        let inside = |stream: &Stream| stream.capture.filter(|_| views.contains(&stream.context));
        let found = self.streams.iter().find_map(|(_, stream)| inside(stream));
        let Some(handle) = found else { return Ok(()) };
        self.spoil(handle);
        Err(Code::STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Refuses a call that could make a recorded stream wait, if recordings under way forbid it.
    pub(crate) fn refuse_unsafe(&mut self) -> Done {
        let relaxed = MODE.get() == 2;
        let here = std::thread::current().id();
        let forbids = |capture: &Capture| match capture.mode {
            Mode::Global => MODE.get() == 0 || capture.thread == here,
            Mode::ThreadLocal => capture.thread == here,
            Mode::Relaxed => false,
        };
        let found = if relaxed { Vec::new() } else { self.captures.handles(forbids) };
        if found.is_empty() {
            return Ok(());
        }
        found.into_iter().for_each(|capture| self.spoil(capture));
        Err(Code::STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Records an event in a recorded stream: it stands for what the stream has come to. True if it did.
    pub(crate) fn record_captured(&mut self, event: EventHandle, stream: StreamHandle) -> Done<bool> {
        let Some(handle) = self.capture_of(stream)? else {
            self.events.get_mut(event)?.captured = None;
            return Ok(false);
        };
        let nodes = self.captures.get(handle)?.frontier(stream);
        self.events.get_mut(event)?.captured = Some((handle, nodes));
        Ok(true)
    }

    /// Waits for an event in a stream, where one of the two is recorded. False if neither is.
    pub(crate) fn wait_captured(&mut self, stream: StreamHandle, event: EventHandle) -> Done<bool> {
        let ours = self.capture_of(stream)?;
        let theirs = self.events.get(event)?.captured.clone();
        let theirs = theirs.filter(|(capture, _)| self.captures.find(*capture).is_some());
        match (ours, theirs) {
            (None, None) => Ok(false),
            (Some(ours), None) => {
                self.spoil(ours);
                Err(Code::STREAM_CAPTURE_ISOLATION)
            }
            (Some(ours), Some((theirs, _))) if ours != theirs => {
                self.spoil(ours);
                self.spoil(theirs);
                Err(Code::STREAM_CAPTURE_MERGE)
            }
            (_, Some((theirs, nodes))) => {
                if self.streams.get(stream)?.kind == StreamKind::Legacy {
                    self.spoil(theirs);
                    return Err(Code::STREAM_CAPTURE_IMPLICIT);
                }
                self.streams.get_mut(stream)?.capture = Some(theirs);
                let capture = self.captures.get_mut(theirs)?;
                let mut frontier = capture.frontier(stream);
                frontier
                    .extend(nodes.into_iter().filter(|node| !frontier.contains(node)).collect::<Vec<_>>());
                capture.set_frontier(stream, frontier);
                Ok(true)
            }
        }
    }
}
