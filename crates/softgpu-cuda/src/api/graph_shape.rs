//! The shape of graphs: their nodes, and what follows what.

use crate::abi::{self, CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::graph::Edge;
use crate::handle::{GraphHandle, NodeHandle};
use crate::process::Process;
use crate::state::State;

/// Gives a list to a caller who first asks how long it is; says how many it got.
fn give<T: Copy>(out: Out<T>, count: Out<usize>, list: &[T]) -> Done {
    let count = count.required()?;
    if out.is_null() {
        return count.set(list.len());
    }
    let room = count.read()?;
    fill(out, room, list);
    count.set(list.len().min(room))
}

/// Fills as many places as there are; what is left is made zero, as the driver does.
fn fill<T: Copy>(out: Out<T>, room: usize, list: &[T]) {
    out.set_all(&list[..list.len().min(room)]);
    for place in list.len()..room {
        out.at(place).set_if_wanted(abi::reread(&[0u64; 8]));
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetNodes(
    graph: GraphHandle,
    out: Out<NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        let state = process.state();
        give(out, count, &state.graph(graph)?.nodes)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetRootNodes(
    graph: GraphHandle,
    out: Out<NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        let state = process.state();
        let nodes = &state.graph(graph)?.nodes;
        let root = |node: &&NodeHandle| state.nodes.find(**node).is_some_and(|node| node.deps.is_empty());
        give(out, count, &nodes.iter().filter(root).copied().collect::<Vec<_>>())
    })
}

/// An edge as it is shown: from, to, and what it is beside plain order.
type Shown = (NodeHandle, NodeHandle, Edge);

/// The edges that lead to a node.
fn edges_to(state: &State, to: NodeHandle) -> Done<Vec<Shown>> {
    let node = state.node(to)?;
    let annotated = |from: NodeHandle| {
        node.edges.iter().find(|(dep, _)| *dep == from).map_or(Edge::PLAIN, |(_, edge)| *edge)
    };
    Ok(node.deps.iter().map(|from| (*from, to, annotated(*from))).collect())
}

/// Where a list of edges goes. Who does not want the data must not lose any.
struct Wanted {
    from: Out<NodeHandle>,
    to: Out<NodeHandle>,
    data: Out<Edge>,
    count: Out<usize>,
}

impl Wanted {
    fn give(self, edges: &[Shown]) -> Done {
        let count = self.count.required()?;
        let lists = [self.from.is_null(), self.to.is_null()];
        if lists == [true, true] {
            return if self.data.is_null() { count.set(edges.len()) } else { Err(Code::INVALID_VALUE) };
        }
        if self.data.is_null() && edges.iter().any(|(_, _, edge)| *edge != Edge::PLAIN) {
            return Err(Code::LOSSY_QUERY);
        }
        let room = count.read()?;
        if !self.from.is_null() {
            fill(self.from, room, &edges.iter().map(|(from, ..)| *from).collect::<Vec<_>>());
        }
        if !self.to.is_null() {
            fill(self.to, room, &edges.iter().map(|(_, to, _)| *to).collect::<Vec<_>>());
        }
        if !self.data.is_null() {
            fill(self.data, room, &edges.iter().map(|(.., edge)| *edge).collect::<Vec<_>>());
        }
        count.set(edges.len().min(room))
    }
}

/// Nowhere.
const fn none<T>() -> Out<T> {
    Out::NULL
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetEdges_v2(
    graph: GraphHandle,
    from: Out<NodeHandle>,
    to: Out<NodeHandle>,
    data: Out<Edge>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        let state = process.state();
        let mut edges = Vec::new();
        for node in &state.graph(graph)?.nodes {
            edges.extend(edges_to(&state, *node)?);
        }
        if from.is_null() != to.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        Wanted { from, to, data, count }.give(&edges)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphGetEdges(
    graph: GraphHandle,
    from: Out<NodeHandle>,
    to: Out<NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    cuGraphGetEdges_v2(graph, from, to, none(), count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependencies_v2(
    node: NodeHandle,
    out: Out<NodeHandle>,
    data: Out<Edge>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        let edges = edges_to(&process.state(), node)?;
        Wanted { from: out, to: none(), data, count }.give(&edges)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependencies(
    node: NodeHandle,
    out: Out<NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    cuGraphNodeGetDependencies_v2(node, out, none(), count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependentNodes_v2(
    node: NodeHandle,
    out: Out<NodeHandle>,
    data: Out<Edge>,
    count: Out<usize>,
) -> CUresult {
    call(|process| {
        let state = process.state();
        let mut edges = Vec::new();
        for other in &state.graph(state.node(node)?.graph)?.nodes {
            edges.extend(edges_to(&state, *other)?.into_iter().filter(|(from, ..)| *from == node));
        }
        Wanted { from: none(), to: out, data, count }.give(&edges)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphNodeGetDependentNodes(
    node: NodeHandle,
    out: Out<NodeHandle>,
    count: Out<usize>,
) -> CUresult {
    cuGraphNodeGetDependentNodes_v2(node, out, none(), count)
}

/// Edges as a caller names them.
struct Named {
    from: In<NodeHandle>,
    to: In<NodeHandle>,
    data: In<Edge>,
    count: usize,
}

impl Named {
    fn list(&self) -> Done<Vec<Shown>> {
        let [from, to] = [self.from.list(self.count)?, self.to.list(self.count)?];
        let data = edge_list(self.data, self.count)?;
        Ok(from.into_iter().zip(to).zip(data).map(|((from, to), edge)| (from, to, edge)).collect())
    }
}

/// What edges are; without a list they are plain.
pub(super) fn edge_list(data: In<Edge>, count: usize) -> Done<Vec<Edge>> {
    if data.is_null() { Ok(vec![Edge::PLAIN; count]) } else { data.list(count) }
}

fn change(process: &Process, graph: GraphHandle, named: &Named, add: bool) -> Done {
    let mut state = process.state();
    state.graph(graph)?;
    for (from, to, edge) in named.list()? {
        let there = edges_to(&state, to)?.into_iter().find(|(dep, ..)| *dep == from);
        if [from, to].iter().any(|node| state.nodes.find(*node).is_none_or(|node| node.graph != graph))
            || from == to
        {
            return Err(Code::INVALID_VALUE);
        }
        match (add, there) {
            (true, None) => {
                state.set_edge(from, to, edge)?;
                state.node_mut(to)?.deps.push(from);
            }
            (false, Some((.., known))) if known == edge => {
                let node = state.node_mut(to)?;
                node.deps.retain(|dep| *dep != from);
                node.edges.retain(|(dep, _)| *dep != from);
            }
            _ => return Err(Code::INVALID_VALUE),
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddDependencies_v2(
    graph: GraphHandle,
    from: In<NodeHandle>,
    to: In<NodeHandle>,
    data: In<Edge>,
    count: usize,
) -> CUresult {
    call(|process| change(process, graph, &Named { from, to, data, count }, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddDependencies(
    graph: GraphHandle,
    from: In<NodeHandle>,
    to: In<NodeHandle>,
    count: usize,
) -> CUresult {
    cuGraphAddDependencies_v2(graph, from, to, In::NULL, count)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphRemoveDependencies_v2(
    graph: GraphHandle,
    from: In<NodeHandle>,
    to: In<NodeHandle>,
    data: In<Edge>,
    count: usize,
) -> CUresult {
    call(|process| change(process, graph, &Named { from, to, data, count }, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphRemoveDependencies(
    graph: GraphHandle,
    from: In<NodeHandle>,
    to: In<NodeHandle>,
    count: usize,
) -> CUresult {
    cuGraphRemoveDependencies_v2(graph, from, to, In::NULL, count)
}
