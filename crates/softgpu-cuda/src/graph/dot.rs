//! Graphs as pictures, in the language of Graphviz.

use std::fmt::Write as _;

use super::GraphPart;
use super::{Edge, Launch, Node, What};
use crate::abi::Done;
use crate::engine::item::HostCall;
use crate::handle::{GraphHandle, NodeHandle};

/// What a picture tells beside shape, kinds and names of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detail(u32);

impl Detail {
    /// All there is.
    const VERBOSE: u32 = 1;
    const HANDLES: u32 = 1 << 10;
    const ATTRIBUTES: u32 = 1 << 9;
    /// All flags that are defined.
    const ALL: u32 = 0xffff;

    /// From the driver's flags; none if there is one that is not defined.
    pub(crate) fn from_flags(flags: u32) -> Option<Self> {
        (flags & !Self::ALL == 0).then_some(Self(flags))
    }

    fn has(self, flag: u32) -> bool {
        self.0 & (flag | Self::VERBOSE) != 0
    }

    /// Whether the parameters of a node are told.
    fn has_parameters(self, what: &What) -> bool {
        match what {
            What::Kernel(_) => self.has(1 << 2),
            What::Copy(..) => self.has(1 << 3),
            What::Set(..) => self.has(1 << 4),
            What::Host(_) => self.has(1 << 5),
            What::Record(_) | What::Wait(_) => self.has(1 << 6),
            What::Alloc(..) => self.has(1 << 11),
            What::Free(_) => self.has(1 << 12),
            What::Words(_) => self.has(1 << 13),
            What::Empty | What::Child(_) => false,
        }
    }
}

impl GraphPart {
    /// Draws a graph, and the graphs inside it as clusters.
    pub(crate) fn draw(&self, graph: GraphHandle, detail: Detail) -> Done<String> {
        let mut text = String::from("digraph dot {\n");
        self.draw_into(&mut text, graph, "graph_0", detail)?;
        text.push_str("}\n");
        Ok(text)
    }

    fn draw_into(&self, text: &mut String, graph: GraphHandle, name: &str, detail: Detail) -> Done {
        let nodes = &self.graph(graph)?.nodes;
        let _ = writeln!(text, "subgraph cluster_{name} {{\nlabel=\"{name}\"");
        for (place, handle) in nodes.iter().enumerate() {
            let node = self.node(*handle)?;
            let label = self.label(*handle, node, place, detail);
            let _ = writeln!(text, "\"{name}_node_{place}\" [shape=\"box\" label=\"{label}\"];");
            if let What::Child(inner) = node.what {
                self.draw_into(text, inner, &format!("{name}_{place}"), detail)?;
            }
        }
        for (place, handle) in nodes.iter().enumerate() {
            let node = self.node(*handle)?;
            for dep in &node.deps {
                let Some(from) = nodes.iter().position(|other| other == dep) else { continue };
                let plain = node.edges.iter().all(|(other, edge)| other != dep || *edge == Edge::PLAIN);
                let style = if plain { "" } else { " [style=\"dashed\"]" };
                let _ = writeln!(text, "\"{name}_node_{from}\" -> \"{name}_node_{place}\"{style};");
            }
        }
        text.push_str("}\n");
        Ok(())
    }

    fn label(&self, handle: NodeHandle, node: &Node, place: usize, detail: Detail) -> String {
        let mut lines = vec![place.to_string(), kind(&node.what).to_owned()];
        if let What::Kernel(launch) = &node.what
            && let Some(function) = self.functions.find(launch.function)
        {
            lines.push(function.name.to_string_lossy().replace(['"', '\\'], "?"));
        }
        if detail.has_parameters(&node.what) {
            lines.push(parameters(&node.what));
        }
        if detail.has(Detail::ATTRIBUTES) {
            lines.extend(
                node.attributes.iter().map(|(number, value)| format!("attribute {number}: {:#x}", value[0])),
            );
        }
        if detail.has(Detail::HANDLES) {
            lines.push(format!("node {handle:?}"));
        }
        lines.join("\\n")
    }
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Kernel(_) => "KERNEL",
        What::Copy(..) => "MEMCPY",
        What::Set(..) => "MEMSET",
        What::Host(_) => "HOST",
        What::Child(_) => "GRAPH",
        What::Empty => "EMPTY",
        What::Wait(_) => "EVENT_WAIT",
        What::Record(_) => "EVENT_RECORD",
        What::Alloc(..) => "MEM_ALLOC",
        What::Free(_) => "MEM_FREE",
        What::Words(_) => "BATCH_MEM_OP",
    }
}

fn parameters(what: &What) -> String {
    match what {
        What::Kernel(Launch { grid, block, shared_bytes, .. }) => {
            format!("grid {grid:?} block {block:?} shared {shared_bytes}")
        }
        What::Copy(_, numbers) => format!("copy {numbers:x?}"),
        What::Set(_, numbers) => format!("set {numbers:x?}"),
        What::Host(HostCall::Plain(function, argument)) => {
            format!("function {:#x} argument {argument:#x}", *function as usize)
        }
        What::Host(HostCall::WithStream(..)) | What::Empty | What::Child(_) => String::new(),
        What::Record(event) | What::Wait(event) => format!("event {event:?}"),
        What::Alloc(address, bytes) => format!("address {address:#x} bytes {bytes}"),
        What::Free(address) => format!("address {address:#x}"),
        What::Words(words) => format!("operations {}", words.told.len()),
    }
}
