//! Finding devices: by index, UUID, serial number and place on the bus.

use std::fmt::Write;

use crate::abi::{Answer, Code, Handle, Out, Word, versioned};
use crate::call::call;
use crate::layout::UuidQuestion;
use crate::session::Session;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount(count: Out<u32>) -> u32 {
    tell_count(count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: Out<u32>) -> u32 {
    tell_count(count)
}

fn tell_count(count: Out<u32>) -> u32 {
    call(|session| count.put(u32::try_from(session.ledger.device_count()).unwrap_or(0)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex(index: u32, device: Out<Handle>) -> u32 {
    by_index(index, device)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, device: Out<Handle>) -> u32 {
    by_index(index, device)
}

fn by_index(index: u32, device: Out<Handle>) -> u32 {
    call(|session| {
        device.check()?;
        let handle = Handle::of(index as usize);
        session.with_gpu(handle, |_| Ok(()))?;
        device.put(handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: Word, device: Out<Handle>) -> u32 {
    call(|session| {
        let wanted = uuid.get()?;
        let with_prefix = |bytes: &[u8; 16]| format!("GPU-{}", dashed(bytes));
        find(session, device, Code::NotFound, |place| {
            let own = &session.ledger.facts(place).uuid;
            wanted.eq_ignore_ascii_case(&with_prefix(own))
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUIDV(uuid: Out<UuidQuestion>, device: Out<Handle>) -> u32 {
    call(|session| {
        let question = uuid.get()?;
        if question.version != versioned::<UuidQuestion>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        find(session, device, Code::NotFound, |place| {
            let own = session.ledger.facts(place).uuid;
            match question.kind {
                1 => {
                    let text = format!("GPU-{}", dashed(&own));
                    question
                        .value
                        .get(..text.len())
                        .is_some_and(|said| said.eq_ignore_ascii_case(text.as_bytes()))
                }
                _ => question.value[..16] == own,
            }
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleBySerial(serial: Word, device: Out<Handle>) -> u32 {
    call(|session| {
        let wanted = serial.get()?;
        find(session, device, Code::NotFound, |place| {
            let own = session.ledger.facts(place).serial;
            own != 0 && own.to_string() == wanted
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId(bus_id: Word, device: Out<Handle>) -> u32 {
    by_bus_id(bus_id, device)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: Word, device: Out<Handle>) -> u32 {
    by_bus_id(bus_id, device)
}

fn by_bus_id(bus_id: Word, device: Out<Handle>) -> u32 {
    call(|session| {
        let wanted = parsed(&bus_id.get()?).ok_or(Code::NotFound)?;
        find(session, device, Code::NotFound, |place| session.ledger.facts(place).pci == wanted)
    })
}

/// `00000000:3B:00.0`, `0000:3b:00.0` or `3b:00.0`.
fn parsed(bus_id: &str) -> Option<[u32; 3]> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let (address, _function) = bus_id.rsplit_once('.').unwrap_or((bus_id, "0"));
    let parts: Vec<&str> = address.split(':').collect();
    match parts[..] {
        [bus, device] => Some([0, number(bus)?, number(device)?]),
        [domain, bus, device] => Some([number(domain)?, number(bus)?, number(device)?]),
        _ => None,
    }
}

fn find(
    session: &Session,
    device: Out<Handle>,
    otherwise: Code,
    is_it: impl Fn(usize) -> bool,
) -> Answer<()> {
    device.check()?;
    let place = (0..session.ledger.device_count()).find(|place| is_it(*place)).ok_or(otherwise)?;
    // One that fell off the bus is found and says so.
    session.at(place, |_| Ok(()))?;
    device.put(Handle::of(place))
}

/// Sixteen bytes as a UUID is written.
pub(crate) fn dashed(bytes: &[u8; 16]) -> String {
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, byte)| {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a text takes whatever is written to it");
        text
    })
}
