//! Settings of core dumps: kept and given back; this device writes no dump.

use std::ffi::c_void;

use crate::abi::{Code, Done, Out};

/// Room for a text, with its zero.
const TEXT_BYTES: usize = 1_024;
/// Settings by number: dump on errors, of the host too, lightweight, on demand, file, pipe, what to leave out.
pub(crate) const ON_DEMAND: u32 = 4;
pub(crate) const FILE: u32 = 5;
pub(crate) const PIPE: u32 = 6;
const FLAGS: u32 = 7;
/// Everything that can be left out.
const FLAGS_ALL: u32 = 0x3f;

/// The settings of one context, or of all that have none of their own.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    switches: [bool; 4],
    texts: [Vec<u8>; 2],
    flags: u32,
}

impl Settings {
    /// As the driver begins.
    pub(crate) fn new() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = |what: &str| format!("{what}.cuda.{}.{}", host.trim(), std::process::id()).into_bytes();
        Self { switches: [false, true, false, false], texts: [text("core"), text("corepipe")], flags: 0 }
    }

    pub(crate) fn get(&self, attribute: u32, value: Out<c_void>, size: Out<usize>) -> Done {
        let size = size.required()?;
        let needed = size_of_value(attribute)?;
        if value.is_null() {
            return size.set(needed);
        }
        let room = size.read()?;
        match attribute {
            FILE | PIPE => {
                let mut text = self.texts[(attribute - FILE) as usize].clone();
                text.push(0);
                if room < text.len() {
                    return Err(Code::INVALID_VALUE);
                }
                value.cast::<u8>().set_all(&text);
                size.set(text.len())
            }
            _ if room < needed => Err(Code::INVALID_VALUE),
            FLAGS => value.cast::<u32>().set(self.flags),
            _ => value.cast::<u8>().set(self.switches[attribute as usize - 1].into()),
        }
    }

    pub(crate) fn set(&mut self, attribute: u32, value: Out<c_void>, size: Out<usize>) -> Done {
        let size = size.required()?;
        let needed = size_of_value(attribute)?;
        if value.is_null() {
            return size.set(needed);
        }
        let length = size.read()?;
        match attribute {
            PIPE if self.switches[ON_DEMAND as usize - 1] => return Err(Code::NOT_PERMITTED),
            FILE | PIPE => {
                let bytes = value.cast::<u8>().to_read().list(length.min(TEXT_BYTES))?;
                let text: Vec<u8> = bytes.into_iter().take_while(|byte| *byte != 0).collect();
                if text.len() >= TEXT_BYTES {
                    return Err(Code::INVALID_VALUE);
                }
                self.texts[(attribute - FILE) as usize] = text;
            }
            _ if length < needed => return Err(Code::INVALID_VALUE),
            FLAGS => {
                let flags = value.cast::<u32>().read()?;
                if flags & !FLAGS_ALL != 0 {
                    return Err(Code::INVALID_VALUE);
                }
                self.flags = flags;
            }
            _ => self.switches[attribute as usize - 1] = value.cast::<u8>().read()? != 0,
        }
        Ok(())
    }
}

pub(crate) fn size_of_value(attribute: u32) -> Done<usize> {
    match attribute {
        1..=ON_DEMAND => Ok(1),
        FILE | PIPE => Ok(TEXT_BYTES),
        FLAGS => Ok(4),
        _ => Err(Code::INVALID_VALUE),
    }
}
