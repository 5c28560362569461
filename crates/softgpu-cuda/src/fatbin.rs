//! Fat binaries: what compilers put into programs, and the CUDA runtime hands to the driver: one code for
//! several devices. Their form is publicly known, not documented.
//!
//! A text among the parts is what a device without a part of its own takes. Texts that are compressed are not
//! read here.

use crate::abi::{Code, Done, In, reread};

/// What a program's wrapper begins with, and the binary itself.
const WRAPPER_MARK: u32 = 0x4662_43b1;
const MARK: u32 = 0xba55_ed50;
/// Parts that hold a text.
const KIND_TEXT: u16 = 1;
/// Most parts that are looked at.
const PARTS_MAX: usize = 256;

/// What a program registers with the runtime.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Wrapper {
    mark: u32,
    version: u32,
    binary: In<Header>,
    more: usize,
}

const _: () = assert!(size_of::<Wrapper>() == 24);

/// What a binary begins with.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Header {
    mark: u32,
    version: u16,
    header_bytes: u16,
    parts_bytes: u64,
}

const _: () = assert!(size_of::<Header>() == 16);

/// What each part begins with, as far as it matters.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Part {
    kind: u16,
    version: u16,
    header_bytes: u32,
    payload_bytes: u64,
}

const _: () = assert!(size_of::<Part>() == 16);

/// True for the first four bytes of a fat binary or its wrapper.
pub(crate) fn is_mark(start: [u8; 4]) -> bool {
    [WRAPPER_MARK, MARK].contains(&u32::from_le_bytes(start))
}

/// The text in the binary at an address, which begins with a [mark](is_mark).
pub(crate) fn text<'a>(address: In<u8>) -> Done<&'a str> {
    let header = match address.cast::<u32>().get()? {
        WRAPPER_MARK => address.cast::<Wrapper>().get()?.binary,
        _ => address.cast(),
    };
    // A wrapper points to a binary, by its contract.
    let found = header.optional().filter(|found| found.mark == MARK).ok_or(Code::INVALID_IMAGE)?;
    let length = usize::try_from(found.parts_bytes).map_err(|_| Code::INVALID_IMAGE)?;
    text_among(header.cast::<u8>().at(usize::from(found.header_bytes)).bytes(length)?)
}

/// The first text among the parts.
fn text_among(parts: &[u8]) -> Done<&str> {
    let mut rest = parts;
    for _ in 0..PARTS_MAX {
        let Some(part) = rest.first_chunk::<{ size_of::<Part>() }>().map(reread::<_, Part>) else { break };
        let begin = part.header_bytes as usize;
        let size = usize::try_from(part.payload_bytes).map_err(|_| Code::INVALID_IMAGE)?;
        let end = begin.checked_add(size).filter(|end| begin >= size_of::<Part>() && *end <= rest.len());
        let (payload, others) = rest.split_at(end.ok_or(Code::INVALID_IMAGE)?);
        match plain_text(&payload[begin..]) {
            Some(text) if part.kind == KIND_TEXT => return Ok(text),
            _ => rest = others,
        }
    }
    Err(Code::NO_BINARY_FOR_GPU)
}

/// The text of a part, unless it is compressed. It may be padded with zeros.
fn plain_text(payload: &[u8]) -> Option<&str> {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    let text = std::str::from_utf8(&payload[..end]).ok()?;
    text.contains(".version").then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = ".version 7.0\n.target sm_52\n.address_size 64\n";

    fn part(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([1, 1]);
        bytes.extend(64u32.to_le_bytes());
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.resize(64, 0);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_text_of_a_fat_binary_is_found_behind_compiled_parts() {
        let parts = [part(2, b"\x7fELF compiled"), part(1, format!("{PTX}\0\0\0").as_bytes())].concat();
        assert_eq!(text_among(&parts), Ok(PTX));
        let header = [&MARK.to_le_bytes()[..], &[1, 0, 16, 0], &(parts.len() as u64).to_le_bytes()].concat();
        let binary = [header, parts].concat();
        assert_eq!(text(In::told(binary.as_ptr() as usize)), Ok(PTX));
        let wrapper =
            Wrapper { mark: WRAPPER_MARK, version: 1, binary: In::told(binary.as_ptr() as usize), more: 0 };
        assert_eq!(text(In::told(&raw const wrapper as usize)), Ok(PTX));
    }

    #[test]
    fn compiled_and_compressed_parts_are_for_other_devices() {
        let parts = [part(2, PTX.as_bytes()), part(1, &[0x1f, 0xff, 3])].concat();
        assert_eq!(text_among(&parts), Err(Code::NO_BINARY_FOR_GPU));
        assert_eq!(text_among(&[]), Err(Code::NO_BINARY_FOR_GPU));
    }

    #[test]
    fn a_part_that_is_longer_than_the_binary_is_no_image() {
        let parts = part(2, &[7; 100]);
        assert_eq!(text_among(&parts[..120]), Err(Code::INVALID_IMAGE));
        for (place, byte) in [(4, 3), (15, 0xff)] {
            let mut broken = parts.clone();
            broken[place] = byte;
            assert_eq!(text_among(&broken), Err(Code::INVALID_IMAGE));
        }
    }
}
