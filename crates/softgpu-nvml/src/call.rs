//! What every call begins and ends with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{Answer, Code, Handle, Out, Text, number};
use crate::session::{self, Gpu, Session};

/// Runs one call: only between init and shutdown, as late as was ordered, and never unwinding into C.
pub(crate) fn call(body: impl FnOnce(&Session) -> Answer<()>) -> u32 {
    let run = || {
        let session = session::current().ok_or(Code::Uninitialized)?;
        session.obey_delays();
        body(&session)
    };
    number(catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Code::Unknown)))
}

/// A call about one device that must be on its bus.
pub(crate) fn of_device(device: Handle, body: impl FnOnce(&mut Gpu<'_>) -> Answer<()>) -> u32 {
    call(|session| session.with_gpu(device, body))
}

/// A call that tells one value of one device.
pub(crate) fn tell<T: Copy>(
    device: Handle,
    out: Out<T>,
    value: impl FnOnce(&mut Gpu<'_>) -> Answer<T>,
) -> u32 {
    call(|session| {
        out.check()?;
        out.put(session.with_gpu(device, value)?)
    })
}

/// A call that tells two values of one device.
pub(crate) fn tell_two<T: Copy>(
    device: Handle,
    first: Out<T>,
    second: Out<T>,
    values: impl FnOnce(&mut Gpu<'_>) -> Answer<(T, T)>,
) -> u32 {
    call(|session| {
        first.check()?;
        second.check()?;
        let (one, two) = session.with_gpu(device, values)?;
        first.put(one)?;
        second.put(two)
    })
}

/// A call that tells a text of one device.
pub(crate) fn tell_text(
    device: Handle,
    room: Text,
    bytes: u32,
    text: impl FnOnce(&mut Gpu<'_>) -> Answer<String>,
) -> u32 {
    call(|session| {
        room.check()?;
        room.put(bytes, &session.with_gpu(device, text)?)
    })
}

/// A call about one device whose answer is always the same code, once the arguments are sound.
pub(crate) fn refuse(device: Handle, code: Code) -> u32 {
    of_device(device, |_| Err(code))
}
