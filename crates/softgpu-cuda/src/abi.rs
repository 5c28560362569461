//! Words of the driver's interface: result codes, and arguments as C hands them over.
//!
//! [`In`], [`Out`] and [`Text`] are pointers in all but name, and their fields are private: no other file of this
//! library can make one of a number or follow one by itself. They come to be as arguments of exported functions and
//! in the structures that these read, whose callers owe us the driver's contract: null, or valid for what the driver
//! documents. Every step that this contract carries is in this file; what the system does is in
//! [`sys`](crate::sys).

use std::ffi::CStr;
use std::os::raw::c_char;

pub(crate) use crate::codes::Code;

/// What every function returns.
pub(crate) type CUresult = u32;

/// What the inside of a function returns.
pub(crate) type Done<T = ()> = Result<T, Code>;

/// A pointer that a result is written to.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// Nowhere: what is written there is lost.
    pub(crate) const NULL: Self = Self(std::ptr::null_mut());

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The same place for a value of another type, which is what the contract says of it.
    pub(crate) fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    /// The place so many values further on.
    pub(crate) fn at(self, index: usize) -> Self {
        Self(self.0.wrapping_add(index))
    }

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
        self.to_read().get()
    }

    /// The same place to read from.
    pub(crate) fn to_read(self) -> In<T> {
        In(self.0.cast_const())
    }
}

/// A pointer that an argument is read from.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct In<T>(*const T);

impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<T> {}

impl<T> In<T> {
    /// No argument.
    pub(crate) const NULL: Self = Self(std::ptr::null());

    /// What the program's own memory says is an address: a word of a list that it handed in, or memory of ours that
    /// lasts as long as the program may read it.
    pub(crate) const fn told(address: usize) -> Self {
        Self(address as *const T)
    }

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The same place as another type, which is what the contract says of it.
    pub(crate) fn cast<U>(self) -> In<U> {
        In(self.0.cast())
    }

    /// The place so many values further on.
    pub(crate) fn at(self, index: usize) -> Self {
        Self(self.0.wrapping_add(index))
    }
}

impl In<u8> {
    /// The text that begins here and ends with a zero.
    pub(crate) fn text(self) -> Text {
        Text(self.0.cast())
    }

    /// So many bytes from here on, which do not change while the call runs.
    pub(crate) fn bytes<'a>(self, length: usize) -> Done<&'a [u8]> {
        if self.is_null() || length > isize::MAX as usize {
            return Err(Code::INVALID_IMAGE);
        }
        // SAFETY: not null, no longer than any memory, and the program owes us as many bytes as it says.
        Ok(unsafe { std::slice::from_raw_parts(self.0, length) })
    }
}

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
pub(crate) struct Text(*const c_char);

impl Text {
    /// The text, as long as the call lasts; null and what is not UTF-8 are invalid values.
    pub(crate) fn get<'a>(self) -> Done<&'a str> {
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

/// The beginning of a structure of the driver's interface as another one of it. Such structures are numbers, handles
/// and pointers of the types above, so that any bits make one.
pub(crate) fn reread<T: Copy, U: Copy>(from: &T) -> U {
    const { assert!(size_of::<U>() <= size_of::<T>()) };
    // SAFETY: a reference is valid for reads of its own size, which is checked to be enough; any bits make a `U`.
    unsafe { (&raw const *from).cast::<U>().read_unaligned() }
}

/// Writes one structure over the beginning of another one.
pub(crate) fn overlay<T: Copy, U: Copy>(to: &mut T, value: U) {
    const { assert!(size_of::<U>() <= size_of::<T>()) };
    // SAFETY: a reference is valid for writes of its own size, which is checked to be enough; any bits make a `T`.
    unsafe { (&raw mut *to).cast::<U>().write_unaligned(value) };
}
