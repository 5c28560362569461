//! The driver's private tables.
//!
//! NVIDIA's CUDA runtime asks for some before it does anything. Those through which it keeps its own data with
//! our contexts are here: their ids and slots are publicly known facts. The one through which a driver vouches
//! for being NVIDIA's own (runtimes since CUDA 11.2 ask for it) is not: this driver is not NVIDIA's and does not
//! say so. Such runtimes are refused in order.

use std::ffi::c_void;
use std::sync::atomic::AtomicU32;

use crate::abi::{CUresult, Code, In, Out};
use crate::call::{bare, call, missing};
use crate::engine::{Keepsake, Leave};
use crate::handle::{ContextHandle, ModuleHandle};
use crate::process;

use super::context::cuDevicePrimaryCtxRetain;
use super::module::cuModuleLoadData;

/// Ids that NVIDIA's driver knows and this one does not; asking for one is counted.
const KNOWN: [u128; 6] = [
    0xf8cf_f951_2146_8b4e_b9e2_fb46_9e7c_0dd9,
    0x263e_8860_7cd2_6143_92f6_bbd5_006d_fa7e,
    0xd408_2055_bde6_704b_8d34_ba12_3c66_e1f2,
    0x2131_8c60_9714_3248_8ca6_41ff_7324_c8f2,
    0x69a2_8e9f_2449_8b47_b030_c5da_330e_a4e9,
    0xda91_51d3_3ae6_cc41_a5c0_4f26_d533_e328,
];

/// Hooks of tools on the runtime's calls.
const HOOKS: u128 = 0xa094_798c_2e74_2e74_93f2_0800_200c_0a66;
/// What the runtime needs of primary contexts, and its way of loading code.
const RUNTIME: u128 = 0x6bd5_fb6c_5bf4_e74a_8987_d939_12fd_9df9;
/// Tools' data of a thread.
const TOOLS: u128 = 0x42d8_5a81_23f6_cb47_8298_f6e7_8a3a_ecdc;
/// The runtime's data of a context.
const KEEPSAKES: u128 = 0xc693_336e_1121_df11_a8c3_68f3_55d8_9593;

/// A table: its size in bytes in the first slot, or a function there too.
#[repr(transparent)]
struct Table<const N: usize>([Slot; N]);

/// A function, or a number.
#[derive(Clone, Copy)]
union Slot {
    function: *const (),
    number: usize,
}

// SAFETY: tables are read-only, and what they point to is code or has a lock of its own.
unsafe impl<const N: usize> Sync for Table<N> {}

const fn is(function: *const ()) -> Slot {
    Slot { function }
}

/// What nobody knows the meaning of.
const ABSENT: Slot = is(absent as *const ());

const fn size(slots: usize) -> Slot {
    Slot { number: slots * size_of::<Slot>() }
}

static HOOKS_TABLE: Table<7> = Table([
    size(7),
    ABSENT,
    is(hooks_of_calls as *const ()),
    ABSENT,
    ABSENT,
    ABSENT,
    is(hooks_of_kinds as *const ()),
]);
static RUNTIME_TABLE: Table<9> = Table([
    size(9),
    is(load as *const ()),
    is(cuDevicePrimaryCtxRetain as *const ()),
    ABSENT,
    ABSENT,
    ABSENT,
    is(load as *const ()),
    is(part as *const ()),
    is(load_second as *const ()),
]);
static TOOLS_TABLE: Table<4> = Table([size(4), ABSENT, ABSENT, ABSENT]);
static KEEPSAKES_TABLE: Table<4> =
    Table([is(keep as *const ()), is(forget as *const ()), is(kept as *const ()), ABSENT]);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetExportTable(table: Out<*const c_void>, id: In<[u8; 16]>) -> CUresult {
    bare(|| {
        let id = u128::from_be_bytes(id.get()?);
        let found = match id {
            HOOKS => HOOKS_TABLE.start(),
            RUNTIME => RUNTIME_TABLE.start(),
            TOOLS => TOOLS_TABLE.start(),
            KEEPSAKES => KEEPSAKES_TABLE.start(),
            _ => std::ptr::null(),
        };
        table.set_if_wanted(found);
        if !found.is_null() {
            return Ok(());
        }
        if let (true, Ok(process)) = (KNOWN.contains(&id), process::initialised()) {
            process.ledger.count_unsupported("cuGetExportTable");
        }
        Err(Code::INVALID_VALUE)
    })
}

impl<const N: usize> Table<N> {
    fn start(&'static self) -> *const c_void {
        (&raw const self.0).cast()
    }
}

/// Which calls of the runtime a tool wants to see, one word each: none, as no tool attaches here.
static CALLS: [AtomicU32; 1024] = [const { AtomicU32::new(0) }; 1024];
/// The same for kinds of calls.
static KINDS: [AtomicU32; 14] = [const { AtomicU32::new(0) }; 14];

extern "C" fn hooks_of_calls(words: Out<*const AtomicU32>, count: Out<usize>) {
    words.set_if_wanted(CALLS.as_ptr());
    count.set_if_wanted(CALLS.len());
}

extern "C" fn hooks_of_kinds(words: Out<*const AtomicU32>, count: Out<usize>) {
    words.set_if_wanted(KINDS.as_ptr());
    count.set_if_wanted(KINDS.len());
}

/// Loads the code that a program registered.
extern "C" fn load(module: Out<ModuleHandle>, binary: In<u8>) -> CUresult {
    cuModuleLoadData(module, binary)
}

/// The same with its arguments the other way round.
extern "C" fn load_second(binary: In<u8>, module: Out<ModuleHandle>) -> CUresult {
    load(module, binary)
}

/// The program parts with code that it registered: modules go with their contexts.
extern "C" fn part(_binary: usize) -> CUresult {
    0
}

extern "C" fn absent() -> CUresult {
    missing("cuGetExportTable: a slot")
}

/// Keeps a value of the runtime's with a context; null means the current one.
extern "C" fn keep(context: ContextHandle, key: usize, value: usize, leave: Option<Leave>) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let context = if context.is_null() { state.current()? } else { context };
        let context = state.contexts.get_mut(context).map_err(|_| Code::INVALID_CONTEXT)?;
        context.keepsakes.insert(key, Keepsake { value, leave });
        Ok(())
    })
}

/// What was kept under a key.
extern "C" fn kept(value: Out<usize>, context: ContextHandle, key: usize) -> CUresult {
    call(|process| {
        let state = process.state();
        let context = if context.is_null() { state.current()? } else { context };
        let context = state.contexts.get(context).map_err(|_| Code::INVALID_CONTEXT)?;
        value.set(context.keepsakes.get(&key).ok_or(Code::INVALID_HANDLE)?.value)
    })
}

/// Lets go of what was kept under a key, and says so to nobody.
extern "C" fn forget(context: ContextHandle, key: usize) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let context = if context.is_null() { state.current()? } else { context };
        let context = state.contexts.get_mut(context).map_err(|_| Code::INVALID_CONTEXT)?;
        context.keepsakes.remove(&key).map(drop).ok_or(Code::INVALID_HANDLE)
    })
}
