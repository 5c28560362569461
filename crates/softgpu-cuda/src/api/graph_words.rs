//! Nodes that write and wait for words in memory.

use super::graph_node::{add, change};
use super::node_params::{self, WordsParameters};
use crate::abi::{CUresult, Code, In, Out};
use crate::call::call;
use crate::graph::{Shown, What};
use crate::handle::{GraphHandle, NodeHandle};

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddBatchMemOpNode(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: In<WordsParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::batch(state, &asked))
    })
}

/// The list of operations is the node's own.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphBatchMemOpNodeGetParams(
    node: NodeHandle,
    out: Out<WordsParameters>,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let mut state = process.state();
        let found = state.node_mut(node)?;
        let What::Words(words) = &found.what else { return Err(Code::INVALID_VALUE) };
        if found.shown.0.is_empty() {
            found.shown = Shown(words.told.concat());
        }
        out.set(WordsParameters {
            context: words.context,
            count: words.told.len() as u32,
            operations: In::told(found.shown.0.as_ptr() as usize),
            flags: 0,
        })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphBatchMemOpNodeSetParams(
    node: NodeHandle,
    asked: In<WordsParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |state| node_params::batch(state, &asked))
    })
}
