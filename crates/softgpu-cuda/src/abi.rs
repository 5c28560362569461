//! Words of the driver's interface: result codes, and arguments as C hands them over.
//!
//! [`In`], [`Out`] and [`Text`] are pointers in all but name. They come to be only as arguments of exported
//! functions, whose callers owe us the driver's contract: null, or valid for what the driver documents.

use std::ffi::CStr;
use std::os::raw::c_char;

pub(crate) use crate::codes::Code;

/// What every function returns.
pub(crate) type CUresult = u32;

/// What the inside of a function returns.
pub(crate) type Done<T = ()> = Result<T, Code>;

/// A pointer that a result is written to.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out<T>(pub(crate) *mut T);

impl<T> Out<T> {
    /// Writes the result; a null pointer is an invalid value.
    pub(crate) fn set(self, value: T) -> Done {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        self.set_if_wanted(value);
        Ok(())
    }

    /// Writes the result unless nobody wants it.
    pub(crate) fn set_if_wanted(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, so the caller of the exported function owes us a valid place.
            unsafe { self.0.write_unaligned(value) };
        }
    }

    /// Refuses a null pointer before anything is done.
    pub(crate) fn required(self) -> Done<Self> {
        if self.0.is_null() { Err(Code::INVALID_VALUE) } else { Ok(self) }
    }

    /// Writes several results in a row.
    pub(crate) fn set_all(self, values: &[T])
    where
        T: Copy,
    {
        for (index, value) in values.iter().enumerate() {
            // SAFETY: the caller of the exported function owes us room for as many as it asked for.
            unsafe { self.0.add(index).write_unaligned(*value) };
        }
    }
}

impl<T: Copy> Out<T> {
    /// What is there now, for arguments that go both ways.
    pub(crate) fn read(self) -> Done<T> {
        In(self.0.cast_const()).get()
    }
}

/// A pointer that an argument is read from.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct In<T>(pub(crate) *const T);

impl<T: Copy> In<T> {
    /// The argument; a null pointer is an invalid value.
    pub(crate) fn get(self) -> Done<T> {
        self.optional().ok_or(Code::INVALID_VALUE)
    }

    /// The argument if there is one.
    pub(crate) fn optional(self) -> Option<T> {
        // SAFETY: not null, so the caller of the exported function owes us a valid value.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// Several arguments in a row.
    pub(crate) fn list(self, count: usize) -> Done<Vec<T>> {
        if count > 0 && self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| Code::OUT_OF_MEMORY)?;
        // SAFETY: the caller of the exported function owes us as many as it says.
        list.extend((0..count).map(|index| unsafe { self.0.add(index).read_unaligned() }));
        Ok(list)
    }
}

/// A text that ends with a zero.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) *const c_char);

impl Text {
    /// The text; null and what is not UTF-8 are invalid values.
    pub(crate) fn get(&self) -> Done<&str> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, so the caller of the exported function owes us a text that ends.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| Code::INVALID_VALUE)
    }
}

/// Writes a text and its zero into a caller's buffer, cut to its size.
pub(crate) fn write_text(to: Out<u8>, size: usize, text: &str) -> Done {
    let to = to.required()?;
    let Some(room) = size.checked_sub(1) else { return Err(Code::INVALID_VALUE) };
    let mut bytes = text.as_bytes()[..text.len().min(room)].to_vec();
    bytes.push(0);
    to.set_all(&bytes);
    Ok(())
}
