//! Instantiated graphs: what is launched, and what can be changed of it between launches.

use super::objects::Kept;
use super::{Graph, Node, What};
use crate::abi::{Code, Done};
use crate::engine::item::Item;
use crate::engine::{Dep, Op, Stream};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::State;

/// A graph that can be launched.
#[derive(Debug)]
pub(crate) struct GraphExec {
    /// In the order in which they run.
    pub(crate) steps: Vec<Step>,
    pub(crate) flags: u64,
    /// What its allocations got at the last launch and was not freed.
    pub(crate) live: Vec<u64>,
    /// What it keeps alive, by the child graph that it came with.
    pub(crate) kept: Vec<(Vec<Handle<Node>>, Kept)>,
    /// The ends of its launches that are under way.
    pub(crate) launches: Vec<Dep>,
}

/// One thing an instantiated graph does.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The node it was made from.
    pub(crate) node: Handle<Node>,
    /// The nodes of the child graphs it is a part of, from the outermost.
    pub(crate) within: Vec<Handle<Node>>,
    pub(crate) what: What,
    /// A disabled step is passed over.
    pub(crate) enabled: bool,
}

/// Why an instantiated graph cannot become like another one: the driver's number, and the node where it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mismatch {
    pub(crate) number: u32,
    pub(crate) node: Handle<Node>,
}

impl Mismatch {
    /// It is no graph.
    pub(crate) const INVALID: Self = Self { number: 1, node: Handle::NULL };

    const fn topology(node: Handle<Node>) -> Self {
        Self { number: 2, node }
    }

    const fn kind(node: Handle<Node>) -> Self {
        Self { number: 3, node }
    }
}

impl State {
    /// An instantiated graph, or the driver's code for what is none.
    pub(crate) fn exec(&self, exec: Handle<GraphExec>) -> Done<&GraphExec> {
        self.execs.find(exec).ok_or(Code::INVALID_VALUE)
    }

    /// An instantiated graph to change.
    pub(crate) fn exec_mut(&mut self, exec: Handle<GraphExec>) -> Done<&mut GraphExec> {
        self.execs.get_mut(exec).map_err(|_| Code::INVALID_VALUE)
    }

    /// Makes a graph into what can be launched.
    pub(crate) fn instantiate(&mut self, graph: Handle<Graph>, flags: u64) -> Done<Handle<GraphExec>> {
        let mut exec =
            GraphExec { steps: Vec::new(), flags, live: Vec::new(), kept: Vec::new(), launches: Vec::new() };
        self.flatten(graph, &[], &mut exec)?;
        exec.kept.iter().for_each(|(_, kept)| self.retain_all(std::slice::from_ref(kept)));
        Ok(self.execs.insert(exec))
    }

    /// Everything a graph does, in order, with the graphs inside it; and everything they keep.
    fn flatten(&self, graph: Handle<Graph>, within: &[Handle<Node>], exec: &mut GraphExec) -> Done {
        exec.kept.extend(self.graph(graph)?.kept.iter().map(|kept| (within.to_vec(), *kept)));
        for node in self.in_order(graph)? {
            match &self.node(node)?.what {
                What::Child(inner) => self.flatten(*inner, &[within, &[node]].concat(), exec)?,
                what => {
                    exec.steps.push(Step { node, within: within.to_vec(), what: what.clone(), enabled: true })
                }
            }
        }
        Ok(())
    }

    /// Gives an instantiated graph, or the child graph at one of its nodes, the parameters of another graph of
    /// the same shape.
    pub(crate) fn update_exec(
        &mut self,
        handle: Handle<GraphExec>,
        child: Option<Handle<Node>>,
        graph: Handle<Graph>,
    ) -> Result<(), Mismatch> {
        let mut like = GraphExec {
            steps: Vec::new(),
            flags: 0,
            live: Vec::new(),
            kept: Vec::new(),
            launches: Vec::new(),
        };
        self.flatten(graph, &[], &mut like).map_err(|_| Mismatch::INVALID)?;
        let here = |within: &[Handle<Node>]| child.is_none_or(|child| within.contains(&child));
        let Ok(exec) = self.exec(handle) else { return Err(Mismatch::INVALID) };
        let old: Vec<usize> =
            (0..exec.steps.len()).filter(|place| here(&exec.steps[*place].within)).collect();
        if old.len() != like.steps.len() {
            return Err(Mismatch::topology(Handle::NULL));
        }
        for (place, new) in old.iter().zip(&like.steps) {
            let old = &exec.steps[*place];
            if old.what.number() != new.what.number() {
                return Err(Mismatch::kind(new.node));
            }
            let inside = old.within.len()
                - old.within.iter().position(|node| Some(*node) == child).map_or(0, |at| at + 1);
            if inside != new.within.len() {
                return Err(Mismatch::topology(new.node));
            }
        }
        like.kept.iter().for_each(|(_, kept)| self.retain_all(std::slice::from_ref(kept)));
        let Ok(exec) = self.exec_mut(handle) else { return Err(Mismatch::INVALID) };
        for (place, new) in old.into_iter().zip(like.steps) {
            exec.steps[place].what = new.what;
        }
        let around: Vec<Handle<Node>> = child.into_iter().collect();
        let (gone, stay) = std::mem::take(&mut exec.kept).into_iter().partition(|(within, _)| here(within));
        exec.kept = stay;
        exec.kept.extend(like.kept.into_iter().map(|(within, kept)| ([&around[..], &within].concat(), kept)));
        let launches = exec.launches.clone();
        self.release_after(launches, gone.into_iter().map(|(_, kept)| kept).collect());
        Ok(())
    }

    /// The step that was made from a node, which must still be there.
    pub(crate) fn step_mut(&mut self, exec: Handle<GraphExec>, node: Handle<Node>) -> Done<&mut Step> {
        self.node(node)?;
        let exec = self.exec_mut(exec)?;
        exec.steps.iter_mut().find(|step| step.node == node).ok_or(Code::INVALID_VALUE)
    }

    /// Gives a step other parameters of the same kind.
    pub(crate) fn change_step(&mut self, exec: Handle<GraphExec>, node: Handle<Node>, what: What) -> Done {
        let step = self.step_mut(exec, node)?;
        if !step.what.can_become(&what) {
            return Err(Code::INVALID_VALUE);
        }
        step.what = what;
        Ok(())
    }

    /// Ends an instantiated graph; launches under way go on, and what they keep alive stays until they end.
    pub(crate) fn destroy_exec(&mut self, exec: Handle<GraphExec>) -> Done {
        let exec = self.execs.remove(exec).map_err(|_| Code::INVALID_VALUE)?;
        self.release_after(exec.launches, exec.kept.into_iter().map(|(_, kept)| kept).collect());
        Ok(())
    }

    /// Puts a whole graph into a stream. It counts as one launch.
    pub(crate) fn launch_graph(
        &mut self,
        process: &Process,
        handle: Handle<GraphExec>,
        stream: Handle<Stream>,
    ) -> Done {
        let mut exec = self.execs.lift(handle).ok_or(Code::INVALID_VALUE)?;
        let done = self.run_steps(process, &mut exec, stream);
        self.execs.put_back(handle, exec);
        done
    }

    fn run_steps(&mut self, process: &Process, exec: &mut GraphExec, stream: Handle<Stream>) -> Done {
        for step in exec.steps.iter().filter(|step| step.enabled) {
            match &step.what {
                What::Kernel(launch) => self.put(process, stream, launch.op.clone())?,
                What::Copy(op, _) | What::Set(op, _) => self.put(process, stream, op.clone())?,
                What::Host(call) => self.put(process, stream, Op::Host(*call))?,
                What::Empty | What::Child(_) => {}
                What::Words(words) => {
                    words.ops.iter().try_for_each(|op| self.put(process, stream, op.clone()))?;
                }
                What::Record(event) => self.record(process, *event, stream)?,
                What::Wait(event) => self.wait_event(process, stream, *event)?,
                What::Alloc(address, _) if exec.live.contains(address) => return Err(Code::INVALID_VALUE),
                What::Alloc(address, bytes) => {
                    exec.live.push(*address);
                    self.commit_graph_memory(process, stream, *address, *bytes)?;
                }
                What::Free(address) => {
                    exec.live.retain(|live| live != address);
                    for other in self.execs.handles(|other| other.live.contains(address)) {
                        self.exec_mut(other)?.live.retain(|live| live != address);
                    }
                    self.put(process, stream, Op::Marker)?;
                }
            }
        }
        let end = self.enqueue(process, stream, Item::new(Op::Marker, Vec::new(), true))?;
        exec.launches.retain(|launch| !self.is_done(*launch));
        exec.launches.push(end);
        Ok(())
    }

    fn put(&mut self, process: &Process, stream: Handle<Stream>, op: Op) -> Done {
        let op = self.arrive(process, stream, op)?;
        self.enqueue(process, stream, Item::new(op, Vec::new(), false)).map(drop)
    }
}

impl What {
    /// Whether a step may change into this between launches: it stays of its kind, and of the same operations on
    /// words.
    fn can_become(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Words(old), Self::Words(new)) => {
                // The first word of an operation says which it is.
                let kinds = |told: &[[u64; 6]]| told.iter().map(|one| one[0] as u32).collect::<Vec<_>>();
                old.context == new.context && kinds(&old.told) == kinds(&new.told)
            }
            _ => self.number() == other.number(),
        }
    }
}
