//! The border to C: codes, handles and pointers from outside.
//!
//! A pointer that a caller hands in has a type here that says what NVML's contract owes us, so that every
//! unsafe step of this library is in this file.

use std::ffi::{CStr, c_char};

/// NVML's return codes, as far as they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    Uninitialized = 1,
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    NotFound = 6,
    InsufficientSize = 7,
    DriverNotLoaded = 9,
    Timeout = 10,
    FunctionNotFound = 13,
    GpuIsLost = 15,
    VersionMismatch = 18,
    ArgumentVersionMismatch = 25,
    Unknown = 999,
}

pub(crate) type Answer<T> = Result<T, Code>;

/// What C sees of an answer.
pub(crate) fn number(answer: Answer<()>) -> u32 {
    answer.map_or_else(|code| code as u32, |()| 0)
}

/// A device as C holds it: a value of ours that is never followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Handle(usize);

/// "GPU" in the upper half, so that a stray number is no device.
const HANDLE_BASE: usize = 0x0047_5055_0000_0000;
const HANDLE_STEP: usize = 64;

impl Handle {
    pub(crate) const fn of(index: usize) -> Self {
        Self(HANDLE_BASE + index * HANDLE_STEP)
    }

    pub(crate) fn index(self) -> Answer<usize> {
        let distance = self.0.checked_sub(HANDLE_BASE).ok_or(Code::InvalidArgument)?;
        if distance.is_multiple_of(HANDLE_STEP) {
            Ok(distance / HANDLE_STEP)
        } else {
            Err(Code::InvalidArgument)
        }
    }
}

/// A set of events as C holds it: its number, which is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct SetHandle(pub(crate) usize);

/// A pointer for one value: by contract null, or valid for one read and one write.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Refuses null.
    pub(crate) fn check(self) -> Answer<()> {
        if self.is_null() { Err(Code::InvalidArgument) } else { Ok(()) }
    }

    pub(crate) fn put(self, value: T) -> Answer<()> {
        self.check()?;
        // SAFETY: not null, so by NVML's contract it is valid for one write; callers may pack it.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    pub(crate) fn get(self) -> Answer<T> {
        self.check()?;
        // SAFETY: not null, so by NVML's contract it is valid for one read of what the caller has set.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

/// A pointer to the first of several values: by contract null, or valid for as many as the caller said.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Room<T>(*mut T);

impl<T: Copy> Room<T> {
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Writes value `at`, which must be below what the caller said fits.
    pub(crate) fn put(self, at: usize, value: T) -> Answer<()> {
        if self.is_null() {
            return Err(Code::InvalidArgument);
        }
        // SAFETY: not null, and `at` is below the caller's count, for which its room is valid.
        unsafe { self.0.add(at).write_unaligned(value) };
        Ok(())
    }

    /// Reads value `at`, which must be below what the caller said is there.
    pub(crate) fn get(self, at: usize) -> Answer<T> {
        if self.is_null() {
            return Err(Code::InvalidArgument);
        }
        // SAFETY: not null, and `at` is below the caller's count, for which its room is valid.
        Ok(unsafe { self.0.add(at).read_unaligned() })
    }

    /// Hands over a list the way NVML does: the count goes out in any case, the values only if all fit.
    pub(crate) fn fill(self, count: Out<u32>, values: &[T]) -> Answer<()> {
        let fits = count.get()?;
        let there = u32::try_from(values.len()).unwrap_or(u32::MAX);
        count.put(there)?;
        if fits < there {
            return Err(Code::InsufficientSize);
        }
        values.iter().enumerate().try_for_each(|(at, value)| self.put(at, *value))
    }
}

/// Room for a text: by contract null, or valid for as many bytes as the caller said.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Text(*mut c_char);

impl Text {
    pub(crate) fn check(self) -> Answer<()> {
        if self.0.is_null() { Err(Code::InvalidArgument) } else { Ok(()) }
    }

    /// Writes the text and its zero, or nothing if they do not fit.
    pub(crate) fn put(self, bytes: u32, text: &str) -> Answer<()> {
        self.check()?;
        if text.len() >= bytes as usize {
            return Err(Code::InsufficientSize);
        }
        let room = Room(self.0.cast::<u8>());
        text.bytes().chain([0]).enumerate().try_for_each(|(at, byte)| room.put(at, byte))
    }
}

/// A text from C: by contract null, or ended by zero.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Word(*const c_char);

impl Word {
    /// The text, as far as it is one.
    pub(crate) fn get(self) -> Answer<String> {
        if self.0.is_null() {
            return Err(Code::InvalidArgument);
        }
        // SAFETY: not null, so by NVML's contract it is ended by zero and stays as it is during the call.
        let text = unsafe { CStr::from_ptr(self.0) };
        Ok(text.to_string_lossy().into_owned())
    }
}

/// Fixed room inside a structure, filled with a text and zeros.
pub(crate) fn fixed<const BYTES: usize>(text: &str) -> [u8; BYTES] {
    let mut room = [0; BYTES];
    let length = text.len().min(BYTES.saturating_sub(1));
    room[..length].copy_from_slice(&text.as_bytes()[..length]);
    room
}

/// Structures that begin with their version: its lower part is the size, its upper the number.
pub(crate) const fn versioned<T>(number: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "no structure of NVML comes near 16 MiB")]
    let bytes = size_of::<T>() as u32;
    bytes | number << 24
}
