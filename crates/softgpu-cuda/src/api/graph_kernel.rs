//! Kernel nodes: their parameters and attributes.

use super::graph_node::{add, change, what};
use super::launch::{BUFFER_POINTER, BUFFER_SIZE};
use super::launch_attributes::{
    CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP, value_bytes,
};
use super::node_params::{self, KernelParameters};
use crate::abi::{CUresult, Code, Done, In, Out, reread};
use crate::call::call;
use crate::graph::{Shown, What};
use crate::handle::{GraphHandle, Handle, NodeHandle};
use crate::kernels::Builtin;
use crate::process::Process;

/// The older form of the parameters ends earlier.
const OLD_BYTES: usize = std::mem::offset_of!(KernelParameters, kernel);

/// Reads the older form.
pub(super) fn read_old(asked: In<KernelParameters>) -> Done<KernelParameters> {
    let bytes = asked.cast::<[u8; OLD_BYTES]>().get()?;
    let mut whole = [0u8; size_of::<KernelParameters>()];
    whole[..OLD_BYTES].copy_from_slice(&bytes);
    Ok(reread(&whole))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphAddKernelNode_v2(
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
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
    node: Out<NodeHandle>,
    graph: GraphHandle,
    deps: In<NodeHandle>,
    count: usize,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        add(process, node, graph, (deps, count), |state| node_params::kernel(process, state, &asked))
    })
}

/// The arguments as a list of where each one is, and each one.
fn listed(arguments: &[u64]) -> Vec<u64> {
    let mut memory = vec![0; arguments.len()];
    memory.extend_from_slice(arguments);
    let first = memory.as_ptr().wrapping_add(arguments.len());
    for (place, pointer) in memory[..arguments.len()].iter_mut().enumerate() {
        *pointer = first.wrapping_add(place) as u64;
    }
    memory
}

/// The arguments as a list of settings, and the size and the buffer that these are about.
fn packed(arguments: &[u64], builtin: &Builtin) -> Vec<u64> {
    const SETTINGS: usize = 5;
    let parts = || builtin.offsets().into_iter().zip(builtin.parameters);
    let size = parts().map(|(offset, size)| offset + size).max().unwrap_or(0);
    let mut bytes = vec![0u8; size.next_multiple_of(8)];
    for ((offset, size), bits) in parts().zip(arguments) {
        bytes[offset..offset + size].copy_from_slice(&bits.to_le_bytes()[..*size]);
    }
    let mut memory = vec![0; SETTINGS];
    memory.push(size as u64);
    let words =
        bytes.chunks_exact(8).map(|word| word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    memory.extend(words);
    let at = |place: usize| memory.as_ptr().wrapping_add(place) as u64;
    let settings = [BUFFER_POINTER as u64, at(SETTINGS + 1), BUFFER_SIZE as u64, at(SETTINGS), 0];
    memory[..SETTINGS].copy_from_slice(&settings);
    memory
}

/// What a kernel node was told, its arguments in the form in which they came. They are the node's own.
fn parameters(process: &Process, node: NodeHandle) -> Done<KernelParameters> {
    let mut state = process.state();
    let What::Kernel(launch) = what(&state, node)? else { return Err(Code::INVALID_VALUE) };
    let builtin = state.functions.find(launch.function).and_then(|function| function.builtin);
    let builtin = builtin.filter(|_| launch.packed && !launch.arguments.is_empty());
    let made = match builtin {
        Some(builtin) => packed(&launch.arguments, builtin),
        None => listed(&launch.arguments),
    };
    let mut asked = KernelParameters {
        function: launch.function,
        grid: launch.grid,
        block: launch.block,
        shared_bytes: launch.shared_bytes,
        parameters: In::NULL,
        extra: In::NULL,
        kernel: Handle::NULL,
        context: launch.context,
    };
    let shown = &mut state.node_mut(node)?.shown;
    if shown.0.is_empty() {
        *shown = Shown(made);
    }
    if builtin.is_some() {
        asked.extra = In::told(shown.0.as_ptr() as usize);
    } else if !shown.0.is_empty() {
        asked.parameters = In::told(shown.0.as_ptr() as usize);
    }
    Ok(asked)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetParams_v2(
    node: NodeHandle,
    out: Out<KernelParameters>,
) -> CUresult {
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
pub(crate) extern "C" fn cuGraphKernelNodeGetParams(
    node: NodeHandle,
    out: Out<KernelParameters>,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let asked = parameters(process, node)?;
        let bytes = reread::<_, [u8; OLD_BYTES]>(&asked);
        out.cast::<[u8; OLD_BYTES]>().set(bytes)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams_v2(
    node: NodeHandle,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = asked.get()?;
        change(process, node, |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetParams(
    node: NodeHandle,
    asked: In<KernelParameters>,
) -> CUresult {
    call(|process| {
        let asked = read_old(asked)?;
        change(process, node, |state| node_params::kernel(process, state, &asked))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeGetAttribute(
    node: NodeHandle,
    number: u32,
    out: Out<[u64; 8]>,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let bytes = value_bytes(number)?;
        let What::Kernel(_) = what(&state, node)? else { return Err(Code::INVALID_VALUE) };
        let set = state.node(node)?.attributes.get(&number).copied();
        // Without a map, the second domain is another one than the first.
        let value = set.unwrap_or(if number == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP {
            [0x100, 0, 0, 0, 0, 0, 0, 0]
        } else {
            [0; 8]
        });
        let value: Vec<u8> = value.iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect();
        out.cast::<u8>().set_all(&value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeSetAttribute(
    node: NodeHandle,
    number: u32,
    value: In<u8>,
) -> CUresult {
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
        if number == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE && value[0] as u32 != 0 {
            process.ledger.count_unsupported("cuGraphKernelNodeSetAttribute:device-updatable");
            return Err(Code::NOT_SUPPORTED);
        }
        node.attributes.insert(number, value);
        Ok(())
    })
}

/// Both nodes are of one context.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphKernelNodeCopyAttributes(to: NodeHandle, from: NodeHandle) -> CUresult {
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
