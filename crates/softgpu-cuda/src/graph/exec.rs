//! Instantiated graphs: what is launched, and what can be changed of it between launches.

use std::collections::HashMap;

use super::GraphPart;
use super::What;
use super::objects::Kept;
use crate::abi::{Code, Done};
use crate::engine::item::Item;
use crate::engine::{Dep, Op};
use crate::handle::{GraphExecHandle, GraphHandle, Handle, NodeHandle, StreamHandle};
use crate::process::Process;

/// Flag of instantiation: a launch frees what the one before allocated and nobody freed.
const AUTO_FREE: u64 = 1;

/// A graph that can be launched.
#[derive(Debug)]
pub(crate) struct GraphExec {
    pub(crate) flags: u64,
    pub(crate) plan: Plan,
    /// What its allocations got at the last launch and was not freed.
    pub(crate) live: Vec<u64>,
    /// The ends of its launches that are under way.
    pub(crate) launches: Vec<Dep>,
}

/// A graph laid out, with the graphs inside it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In the order in which they run.
    pub(crate) steps: Vec<Step>,
    /// What it keeps alive, and the nodes of the child graphs that this came with, from the outermost.
    kept: Vec<(Vec<NodeHandle>, Kept)>,
}

/// One thing an instantiated graph does. A child graph is one too, which does nothing: its steps follow.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The node it was made from.
    pub(crate) node: NodeHandle,
    /// The nodes of the child graphs it is a part of, from the outermost.
    within: Vec<NodeHandle>,
    /// What it follows: places in the order of its own graph.
    after: Vec<usize>,
    pub(crate) what: What,
    /// A disabled step is passed over.
    pub(crate) enabled: bool,
}

/// Why an instantiated graph cannot become like another one: the driver's number, and the node where it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mismatch {
    pub(crate) number: u32,
    pub(crate) node: NodeHandle,
}

impl Mismatch {
    /// It is no graph.
    pub(crate) const INVALID: Self = Self { number: 1, node: Handle::NULL };

    const fn topology(node: NodeHandle) -> Self {
        Self { number: 2, node }
    }

    const fn kind(node: NodeHandle) -> Self {
        Self { number: 3, node }
    }
}

impl GraphPart {
    /// An instantiated graph, or the driver's code for what is none.
    pub(crate) fn exec(&self, exec: GraphExecHandle) -> Done<&GraphExec> {
        self.execs.find(exec).ok_or(Code::INVALID_VALUE)
    }

    /// An instantiated graph to change.
    pub(crate) fn exec_mut(&mut self, exec: GraphExecHandle) -> Done<&mut GraphExec> {
        self.execs.get_mut(exec).map_err(|_| Code::INVALID_VALUE)
    }

    /// Makes a graph into what can be launched.
    pub(crate) fn instantiate(&mut self, graph: GraphHandle, flags: u64) -> Done<GraphExecHandle> {
        let plan = self.plan(graph)?;
        self.retain_all(plan.kept.iter().map(|(_, kept)| kept));
        Ok(self.execs.insert(GraphExec { flags, plan, live: Vec::new(), launches: Vec::new() }))
    }

    /// Lays a graph out.
    fn plan(&self, graph: GraphHandle) -> Done<Plan> {
        let mut plan = Plan::default();
        self.lay_out(graph, &[], &mut plan)?;
        Ok(plan)
    }

    fn lay_out(&self, graph: GraphHandle, within: &[NodeHandle], plan: &mut Plan) -> Done {
        plan.kept.extend(self.graph(graph)?.kept.iter().map(|kept| (within.to_vec(), *kept)));
        let order = self.in_order(graph)?;
        let places: HashMap<_, _> = order.iter().enumerate().map(|(place, node)| (*node, place)).collect();
        for handle in order {
            let node = self.node(handle)?;
            let after = node.deps.iter().filter_map(|dep| places.get(dep).copied()).collect();
            let what = node.what.clone();
            plan.steps.push(Step { node: handle, within: within.to_vec(), after, what, enabled: true });
            if let What::Child(inner) = node.what {
                self.lay_out(inner, &[within, &[handle]].concat(), plan)?;
            }
        }
        Ok(())
    }

    /// Gives an instantiated graph, or the child graph at one of its nodes, the parameters of another graph of
    /// the same shape.
    pub(crate) fn update_exec(
        &mut self,
        handle: GraphExecHandle,
        child: Option<NodeHandle>,
        graph: GraphHandle,
    ) -> Result<(), Mismatch> {
        let mut new = self.plan(graph).map_err(|_| Mismatch::INVALID)?;
        let exec = self.execs.find(handle).ok_or(Mismatch::INVALID)?;
        let above = match child {
            None => Vec::new(),
            Some(child) => {
                let step = exec.plan.steps.iter().find(|step| step.node == child).ok_or(Mismatch::INVALID)?;
                [&step.within[..], &[child]].concat()
            }
        };
        let places = exec.plan.places_below(&above);
        exec.plan.check_shape(&places, above.len(), &new)?;
        self.retain_all(new.kept.iter().map(|(_, kept)| kept));
        let exec = self.execs.get_mut(handle).map_err(|_| Mismatch::INVALID)?;
        // Steps keep the nodes by which they are known.
        let known: HashMap<_, _> = places
            .iter()
            .zip(&new.steps)
            .map(|(place, step)| (step.node, exec.plan.steps[*place].node))
            .collect();
        for (within, _) in &mut new.kept {
            *within = above
                .iter()
                .copied()
                .chain(within.iter().filter_map(|node| known.get(node).copied()))
                .collect();
        }
        let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut exec.plan.kept)
            .into_iter()
            .partition(|(within, _)| within.starts_with(&above));
        exec.plan.kept = stay;
        exec.plan.kept.extend(new.kept);
        for (place, step) in places.into_iter().zip(new.steps) {
            exec.plan.steps[place].what = step.what;
        }
        let launches = exec.launches.clone();
        self.release_after(launches, gone.into_iter().map(|(_, kept)| kept).collect());
        Ok(())
    }

    /// The step that was made from a node, which must still be there.
    pub(crate) fn step_mut(&mut self, exec: GraphExecHandle, node: NodeHandle) -> Done<&mut Step> {
        self.node(node)?;
        let exec = self.exec_mut(exec)?;
        exec.plan.steps.iter_mut().find(|step| step.node == node).ok_or(Code::INVALID_VALUE)
    }

    /// Gives a step other parameters of the same kind.
    pub(crate) fn change_step(&mut self, exec: GraphExecHandle, node: NodeHandle, what: What) -> Done {
        let step = self.step_mut(exec, node)?;
        if !step.what.can_become(&what) {
            return Err(Code::INVALID_VALUE);
        }
        step.what = what;
        Ok(())
    }

    /// Ends an instantiated graph; launches under way go on, and what they keep alive stays until they end.
    pub(crate) fn destroy_exec(&mut self, exec: GraphExecHandle) -> Done {
        let exec = self.execs.remove(exec).map_err(|_| Code::INVALID_VALUE)?;
        let kept = exec.plan.kept.into_iter().map(|(_, kept)| kept).collect();
        self.release_after(exec.launches, kept);
        Ok(())
    }

    /// Puts a whole graph into a stream. It counts as one launch.
    pub(crate) fn launch_graph(
        &mut self,
        process: &Process,
        handle: GraphExecHandle,
        stream: StreamHandle,
    ) -> Done {
        let mut exec = self.execs.lift(handle).ok_or(Code::INVALID_VALUE)?;
        let done = self.run_steps(process, &mut exec, stream);
        self.execs.put_back(handle, exec);
        done
    }

    fn run_steps(&mut self, process: &Process, exec: &mut GraphExec, stream: StreamHandle) -> Done {
        if exec.flags & AUTO_FREE != 0 {
            exec.live.clear();
        }
        for step in exec.plan.steps.iter().filter(|step| step.enabled) {
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
                    let home = self.home(self.streams.get(stream)?.context)?;
                    self.commit_graph_memory(process, home, *address, *bytes)?;
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

    fn put(&mut self, process: &Process, stream: StreamHandle, op: Op) -> Done {
        let op = self.arrive(process, stream, op)?;
        self.enqueue(process, stream, Item::new(op, Vec::new(), false)).map(drop)
    }
}

impl Plan {
    /// Which steps are below the nodes of child graphs; all, if there are none.
    fn places_below(&self, above: &[NodeHandle]) -> Vec<usize> {
        (0..self.steps.len()).filter(|place| self.steps[*place].within.starts_with(above)).collect()
    }

    /// Whether the steps at these places, so deep inside, are those of another plan but for their parameters.
    fn check_shape(&self, places: &[usize], depth: usize, new: &Self) -> Result<(), Mismatch> {
        if places.len() != new.steps.len() {
            return Err(Mismatch::topology(Handle::NULL));
        }
        for (place, new) in places.iter().zip(&new.steps) {
            let old = &self.steps[*place];
            if old.what.number() != new.what.number() {
                return Err(Mismatch::kind(new.node));
            }
            if old.within.len() - depth != new.within.len() || old.after != new.after {
                return Err(Mismatch::topology(new.node));
            }
        }
        Ok(())
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
