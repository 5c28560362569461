//! Kernel nodes: their parameters and attributes.

use std::collections::BTreeMap;

use super::graph_node::{add, change, what};
use super::node_params::{self, KernelParameters};
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::graph::{Graph, Node, Shown, What};
use crate::handle::Handle;
use crate::process::Process;

type G = Handle<Graph>;
type N = Handle<Node>;

/// The older form of the parameters ends earlier.
const OLD_BYTES: usize = std::mem::offset_of!(KernelParameters, kernel);

/// Reads the older form.
pub(super) fn read_old(asked: In<KernelParameters>) -> Done<KernelParameters> {
    let bytes = In(asked.0.cast::<[u8; OLD_BYTES]>()).get()?;
    let mut whole = [0u8; size_of::<KernelParameters>()];
    whole[..OLD_BYTES].copy_from_slice(&bytes);
    In(whole.as_ptr().cast::<KernelParameters>()).get()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddKernelNode_v2(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        add(process, node, graph, (deps, count), |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddKernelNode(
    node: Out<N>,
    graph: G,
    deps: In<N>,
    count: usize,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        add(process, node, graph, (deps, count), |state| node_params::kernel(process, state, &asked))
    })
}

/// What a kernel node was told. The arguments are the node's own, behind a list of where each one is.
fn parameters(process: &Process, node: N) -> Done<KernelParameters> {
    let mut state = process.state();
    let found = state.node_mut(node)?;
    let What::Kernel(launch) = &found.what else { return Err(Code::INVALID_VALUE) };
    let (function, count) = (launch.function, launch.arguments.len());
    if found.shown.0.is_empty() && count > 0 {
        let mut memory = vec![0; count];
        memory.extend_from_slice(&launch.arguments);
        let arguments = memory.as_ptr().wrapping_add(count);
        for (place, pointer) in memory[..count].iter_mut().enumerate() {
            *pointer = arguments.wrapping_add(place) as u64;
        }
        found.shown = Shown(memory);
    }
    let arguments = if count == 0 { std::ptr::null() } else { found.shown.0.as_ptr() };
    let asked = KernelParameters {
        function,
        grid: launch.grid,
        block: launch.block,
        shared_bytes: launch.shared_bytes,
        parameters: In(arguments.cast()),
        extra: In(std::ptr::null()),
        kernel: Handle::NULL,
        context: launch.context,
    };
    Ok(asked)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetParams_v2(node: N, out: Out<KernelParameters>) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let mut asked = parameters(process, node)?;
        let loaded =
            process.state().functions.find(asked.function).is_none_or(|found| found.module.is_some());
        if !loaded {
            (asked.kernel, asked.function) = (asked.function, Handle::NULL);
        }
        out.set(asked)
    })
}

/// In the older form a kernel of a library passes for a function.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetParams(node: N, out: Out<KernelParameters>) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let asked = parameters(process, node)?;
        let bytes = In((&raw const asked).cast::<[u8; OLD_BYTES]>()).get()?;
        Out(out.0.cast::<[u8; OLD_BYTES]>()).set(bytes)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams_v2(node: N, asked: In<KernelParameters>) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams(node: N, asked: In<KernelParameters>) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        change(process, node, |state| node_params::kernel(process, state, &asked))
    })
}

/// Attributes that a kernel node can have, and their value's size in bytes.
const ATTRIBUTES: [(u32, usize); 11] = [
    (1, 32),
    (COOPERATIVE, 4),
    (4, 12),
    (5, 4),
    (PRIORITY, 4),
    (DOMAIN_MAP, 2),
    (10, 4),
    (11, 12),
    (DEVICE_UPDATABLE, 16),
    (14, 4),
    (16, 4),
];
/// All blocks at once.
pub(super) const COOPERATIVE: u32 = 2;
/// The stream's priority, or another.
pub(super) const PRIORITY: u32 = 8;
/// The number of each domain of memory order; one byte for each of the two.
const DOMAIN_MAP: u32 = 9;
/// Other kernels may change the node while the graph runs.
const DEVICE_UPDATABLE: u32 = 13;

/// How much of a value an attribute has.
fn value_bytes(number: u32) -> Done<usize> {
    ATTRIBUTES.iter().find(|(known, _)| *known == number).map(|(_, bytes)| *bytes).ok_or(Code::INVALID_VALUE)
}

/// Those of a launch's attributes that a kernel node has.
pub(super) fn attributes_of(launch: impl Iterator<Item = (u32, [u64; 8])>) -> BTreeMap<u32, [u64; 8]> {
    launch.filter(|(number, _)| value_bytes(*number).is_ok()).collect()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetAttribute(node: N, number: u32, out: Out<[u64; 8]>) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let bytes = value_bytes(number)?;
        let What::Kernel(_) = what(&state, node)? else { return Err(Code::INVALID_VALUE) };
        let set = state.node(node)?.attributes.get(&number).copied();
        // Without a map, the second domain is another one than the first.
        let value = set.unwrap_or(if number == DOMAIN_MAP { [0x100, 0, 0, 0, 0, 0, 0, 0] } else { [0; 8] });
        let value: Vec<u8> = value.iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect();
        Out(out.0.cast::<u8>()).set_all(&value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetAttribute(node: N, number: u32, value: In<u8>) -> CUresult {
    call(|process| {
        let given = value.list(value_bytes(number)?)?;
        let mut value = [0u64; 8];
        for (word, bytes) in value.iter_mut().zip(given.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let mut state = process.state();
        let node = state.node_mut(node)?;
        let What::Kernel(_) = node.what else { return Err(Code::INVALID_VALUE) };
        if number == DEVICE_UPDATABLE && value[0] as u32 != 0 {
            process.ledger.count_unsupported("cuGraphKernelNodeSetAttribute:device-updatable");
            return Err(Code::NOT_SUPPORTED);
        }
        node.attributes.insert(number, value);
        Ok(())
    })
}

/// Both nodes are of one context.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeCopyAttributes(to: N, from: N) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let (What::Kernel(one), What::Kernel(other)) = (what(&state, from)?, what(&state, to)?) else {
            return Err(Code::INVALID_VALUE);
        };
        if one.context != other.context {
            return Err(Code::INVALID_VALUE);
        }
        let attributes = state.node(from)?.attributes.clone();
        state.node_mut(to)?.attributes = attributes;
        Ok(())
    })
}
