//! User objects: references of the program, and of its graphs.

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::graph::objects::{Ending, Kept, UserObject};
use crate::handle::{GraphHandle, UserObjectHandle};

/// The one flag, which must be there: nothing waits for the end of an object.
const NO_DESTRUCTOR_SYNC: u32 = 1;
/// Flag: the graph takes references of the program's instead of having new ones.
const MOVE: u32 = 1;

/// How many references a call is about.
fn counted(count: u32) -> Done<u32> {
    if (1..=i32::MAX.cast_unsigned()).contains(&count) { Ok(count) } else { Err(Code::INVALID_VALUE) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuUserObjectCreate(
    object: Out<UserObjectHandle>,
    argument: usize,
    destroy: Option<extern "C" fn(usize)>,
    references: u32,
    flags: u32,
) -> CUresult {
    call(|process| {
        let object = object.required()?;
        let end = Ending(destroy.ok_or(Code::INVALID_VALUE)?, argument);
        let references = counted(references)?.into();
        if flags != NO_DESTRUCTOR_SYNC {
            return Err(Code::INVALID_VALUE);
        }
        object.set(process.state().objects.insert(UserObject { end, references }))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuUserObjectRetain(object: UserObjectHandle, count: u32) -> CUresult {
    call(|process| {
        let count = counted(count)?;
        process.state().retain_object(object, count)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuUserObjectRelease(object: UserObjectHandle, count: u32) -> CUresult {
    call(|process| {
        let count = counted(count)?;
        process.state().release_object(object, count)?;
        process.announce_endings();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphRetainUserObject(
    graph: GraphHandle,
    object: UserObjectHandle,
    count: u32,
    flags: u32,
) -> CUresult {
    call(|process| {
        let count = counted(count)?;
        if flags & !MOVE != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let mut state = process.state();
        state.keep(graph, Kept { object, count })?;
        if flags == MOVE { Ok(()) } else { state.retain_object(object, count) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGraphReleaseUserObject(
    graph: GraphHandle,
    object: UserObjectHandle,
    count: u32,
) -> CUresult {
    call(|process| {
        let count = counted(count)?;
        process.state().unkeep(graph, Kept { object, count })?;
        process.announce_endings();
        Ok(())
    })
}
