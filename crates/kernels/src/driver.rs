//! The CUDA driver, found by its name at run time, and as little of it as the demo programs need.
//!
//! Everything that was taken is given back when its value is dropped, in the order in which the driver wants it.
#![expect(
    unsafe_code,
    reason = "a C library that is found at run time has no safe form; this file is its fence"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::time::Duration;

/// What every CUDA program opens.
const LIBRARY: &CStr = c"libcuda.so.1";

/// Why a program for a GPU did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// There is no driver where programs look for it.
    #[error("there is no CUDA driver here: {detail}")]
    NoDriver {
        /// What the loader said.
        detail: String,
    },
    /// What was found is no driver.
    #[error("the CUDA driver lacks `{name}`")]
    NoFunction {
        /// What is missing.
        name: String,
    },
    /// The driver works and shows no device.
    #[error("the CUDA driver shows no device to this program")]
    NoDevice,
    /// The driver refused something.
    #[error("the CUDA driver refused {doing}: {name}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The driver's name for it.
        name: String,
    },
    /// A number came out wrong.
    #[error("result {place} is wrong: {got:#x} instead of {expected:#x}")]
    Wrong {
        /// Which of them, counted from 0.
        place: usize,
        /// Its bits.
        got: u32,
        /// What they should be.
        expected: u32,
    },
}

type Code = c_int;
type Handle = *mut c_void;

/// The functions of the driver that are used, as its public interface declares them.
#[derive(Debug, Clone, Copy)]
struct Functions {
    init: extern "C" fn(c_uint) -> Code,
    error_name: extern "C" fn(Code, *mut *const c_char) -> Code,
    device_count: extern "C" fn(*mut c_int) -> Code,
    device_name: extern "C" fn(*mut c_char, c_int, c_int) -> Code,
    context_retain: extern "C" fn(*mut Handle, c_int) -> Code,
    context_release: extern "C" fn(c_int) -> Code,
    context_set: extern "C" fn(Handle) -> Code,
    context_wait: extern "C" fn() -> Code,
    module_load: extern "C" fn(*mut Handle, *const c_void) -> Code,
    module_unload: extern "C" fn(Handle) -> Code,
    module_function: extern "C" fn(*mut Handle, Handle, *const c_char) -> Code,
    memory_take: extern "C" fn(*mut u64, usize) -> Code,
    memory_free: extern "C" fn(u64) -> Code,
    copy_in: extern "C" fn(u64, *const c_void, usize) -> Code,
    copy_out: extern "C" fn(*mut c_void, u64, usize) -> Code,
    event_create: extern "C" fn(*mut Handle, c_uint) -> Code,
    event_record: extern "C" fn(Handle, Handle) -> Code,
    event_wait: extern "C" fn(Handle) -> Code,
    event_elapsed: extern "C" fn(*mut f32, Handle, Handle) -> Code,
    event_destroy: extern "C" fn(Handle) -> Code,
    launch: extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *mut *mut c_void,
        *mut *mut c_void,
    ) -> Code,
}

/// The first device that the driver shows, with its context current on this thread.
#[derive(Debug)]
pub struct Gpu {
    functions: Functions,
    name: String,
    library: String,
    /// A context is current on one thread.
    _here: PhantomData<*mut ()>,
}

impl Gpu {
    /// Finds the driver and takes its first device.
    ///
    /// # Errors
    /// When there is no driver, no device, or the driver does not work.
    pub fn first() -> Result<Self, GpuError> {
        let library = open()?;
        let functions = Functions::of(library)?;
        let mut gpu = Self {
            functions,
            name: String::new(),
            library: path_of(functions.init as *const c_void),
            _here: PhantomData,
        };
        gpu.check("to start", (functions.init)(0))?;
        let mut count = 0;
        gpu.check("to count devices", (functions.device_count)(&raw mut count))?;
        if count < 1 {
            return Err(GpuError::NoDevice);
        }
        let mut name = [0 as c_char; 128];
        gpu.check("the name of a device", (functions.device_name)(name.as_mut_ptr(), 128, 0))?;
        // SAFETY: the driver ends the name by a zero inside the room it was given.
        gpu.name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let mut context = std::ptr::null_mut();
        gpu.check("a context", (functions.context_retain)(&raw mut context, 0))?;
        gpu.check("to use a context", (functions.context_set)(context))?;
        Ok(gpu)
    }

    /// What the driver calls the device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the driver's library.
    #[must_use]
    pub fn library(&self) -> &str {
        &self.library
    }

    /// Whether this is a software GPU: such a driver has its ledger in this process's memory.
    #[must_use]
    pub fn is_software(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        maps.lines().any(|line| line.ends_with("/ledger"))
    }

    fn check(&self, doing: &'static str, code: Code) -> Result<(), GpuError> {
        if code == 0 {
            return Ok(());
        }
        let mut name = std::ptr::null();
        let told = (self.functions.error_name)(code, &raw mut name) == 0 && !name.is_null();
        // SAFETY: the driver's names are constants ended by a zero.
        let name = told.then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        Err(GpuError::Refused { doing, name: name.unwrap_or_else(|| format!("error {code}")) })
    }

    /// Loads kernels from text that ends with a zero.
    pub(crate) fn load(&self, text: &'static str) -> Result<Module<'_>, GpuError> {
        let mut handle = std::ptr::null_mut();
        let image = CStr::from_bytes_with_nul(text.as_bytes()).map_err(|_| GpuError::Refused {
            doing: "a module",
            name: "its text has a zero in it".to_owned(),
        })?;
        self.check("a module", (self.functions.module_load)(&raw mut handle, image.as_ptr().cast()))?;
        Ok(Module { gpu: self, handle })
    }

    /// Takes room for so many values.
    pub(crate) fn reserve<T: Copy + Default>(&self, count: usize) -> Result<Memory<'_, T>, GpuError> {
        let mut address = 0;
        self.check("memory", (self.functions.memory_take)(&raw mut address, count * size_of::<T>()))?;
        Ok(Memory { gpu: self, address, count, kind: PhantomData })
    }

    /// Takes room for values and copies them there.
    pub(crate) fn upload<T: Copy + Default>(&self, values: &[T]) -> Result<Memory<'_, T>, GpuError> {
        let memory = self.reserve(values.len())?;
        let from = values.as_ptr().cast();
        self.check("a copy", (self.functions.copy_in)(memory.address, from, size_of_val(values)))?;
        Ok(memory)
    }

    /// Puts a kernel into the default stream's queue.
    pub(crate) fn launch(
        &self,
        kernel: &Kernel<'_>,
        blocks: u32,
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), GpuError> {
        // The driver reads as many bytes as the kernel declares, and each argument is of the declared kind.
        let mut places: Vec<*mut c_void> = arguments.iter().map(Argument::place).collect();
        let (stream, extra) = (std::ptr::null_mut(), std::ptr::null_mut());
        let launched = (self.functions.launch)(
            kernel.handle,
            blocks,
            1,
            1,
            threads,
            1,
            1,
            0,
            stream,
            places.as_mut_ptr(),
            extra,
        );
        self.check("a launch", launched)
    }

    /// Waits until the device has done everything.
    pub(crate) fn synchronize(&self) -> Result<(), GpuError> {
        self.check("to wait", (self.functions.context_wait)())
    }

    /// How long the device was at what `work` gave it, by its own events.
    pub(crate) fn timed(&self, work: impl FnOnce() -> Result<(), GpuError>) -> Result<Duration, GpuError> {
        let (begin, end) = (self.event()?, self.event()?);
        begin.record()?;
        work()?;
        end.record()?;
        self.check("to wait", (self.functions.event_wait)(end.handle))?;
        let mut milliseconds = 0.0;
        self.check(
            "a time",
            (self.functions.event_elapsed)(&raw mut milliseconds, begin.handle, end.handle),
        )?;
        Ok(Duration::from_secs_f32((milliseconds / 1_000.0).max(0.0)))
    }

    fn event(&self) -> Result<Event<'_>, GpuError> {
        let mut handle = std::ptr::null_mut();
        self.check("an event", (self.functions.event_create)(&raw mut handle, 0))?;
        Ok(Event { gpu: self, handle })
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Harmless where nothing was retained.
        let _ = (self.functions.context_release)(0);
    }
}

/// Loaded kernels.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    gpu: &'a Gpu,
    handle: Handle,
}

/// A kernel, as long as its module is loaded.
#[derive(Debug)]
pub(crate) struct Kernel<'a> {
    handle: Handle,
    module: PhantomData<&'a ()>,
}

impl Module<'_> {
    pub(crate) fn function(&self, name: &CStr) -> Result<Kernel<'_>, GpuError> {
        let mut handle = std::ptr::null_mut();
        let found = (self.gpu.functions.module_function)(&raw mut handle, self.handle, name.as_ptr());
        self.gpu.check("a kernel", found)?;
        Ok(Kernel { handle, module: PhantomData })
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        let _ = (self.gpu.functions.module_unload)(self.handle);
    }
}

#[derive(Debug)]
struct Event<'a> {
    gpu: &'a Gpu,
    handle: Handle,
}

impl Event<'_> {
    fn record(&self) -> Result<(), GpuError> {
        let recorded = (self.gpu.functions.event_record)(self.handle, std::ptr::null_mut());
        self.gpu.check("an event", recorded)
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let _ = (self.gpu.functions.event_destroy)(self.handle);
    }
}

/// Values on the device.
#[derive(Debug)]
pub(crate) struct Memory<'a, T> {
    gpu: &'a Gpu,
    address: u64,
    count: usize,
    kind: PhantomData<T>,
}

impl<T: Copy + Default> Memory<'_, T> {
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Copies the values back, after everything before has been done.
    pub(crate) fn download(&self) -> Result<Vec<T>, GpuError> {
        let mut values = vec![T::default(); self.count];
        let to = values.as_mut_ptr().cast();
        let bytes = self.count * size_of::<T>();
        self.gpu.check("a copy", (self.gpu.functions.copy_out)(to, self.address, bytes))?;
        Ok(values)
    }
}

impl<T> Drop for Memory<'_, T> {
    fn drop(&mut self) {
        let _ = (self.gpu.functions.memory_free)(self.address);
    }
}

/// What a kernel is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    Word(u32),
    Long(u64),
    Float(f32),
}

impl Argument {
    fn place(&self) -> *mut c_void {
        match self {
            Self::Word(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Long(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Float(value) => std::ptr::from_ref(value).cast_mut().cast(),
        }
    }
}

fn open() -> Result<Handle, GpuError> {
    // SAFETY: the name is ended by a zero; loading a driver's library runs its constructors, as in any program.
    let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
    if !library.is_null() {
        return Ok(library);
    }
    // SAFETY: the loader's message is ended by a zero and stays until the next call of the loader.
    let said = unsafe { libc::dlerror() };
    let detail = if said.is_null() {
        "the loader does not say why".to_owned()
    } else {
        // SAFETY: not null, so it is the message.
        unsafe { CStr::from_ptr(said) }.to_string_lossy().into_owned()
    };
    Err(GpuError::NoDriver { detail })
}

/// The file that a function of a library came from.
fn path_of(function: *const c_void) -> String {
    // SAFETY: the structure is pointers only, for which zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for, and `info` is valid for one write.
    let found = unsafe { libc::dladdr(function, &raw mut info) } != 0 && !info.dli_fname.is_null();
    if !found {
        return String::new();
    }
    // SAFETY: the loader's own name of the file, ended by a zero, as long as the library is loaded.
    unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned()
}

impl Functions {
    fn of(library: Handle) -> Result<Self, GpuError> {
        Ok(Self {
            init: find(library, "cuInit")?,
            error_name: find(library, "cuGetErrorName")?,
            device_count: find(library, "cuDeviceGetCount")?,
            device_name: find(library, "cuDeviceGetName")?,
            context_retain: find(library, "cuDevicePrimaryCtxRetain")?,
            context_release: find(library, "cuDevicePrimaryCtxRelease_v2")?,
            context_set: find(library, "cuCtxSetCurrent")?,
            context_wait: find(library, "cuCtxSynchronize")?,
            module_load: find(library, "cuModuleLoadData")?,
            module_unload: find(library, "cuModuleUnload")?,
            module_function: find(library, "cuModuleGetFunction")?,
            memory_take: find(library, "cuMemAlloc_v2")?,
            memory_free: find(library, "cuMemFree_v2")?,
            copy_in: find(library, "cuMemcpyHtoD_v2")?,
            copy_out: find(library, "cuMemcpyDtoH_v2")?,
            event_create: find(library, "cuEventCreate")?,
            event_record: find(library, "cuEventRecord")?,
            event_wait: find(library, "cuEventSynchronize")?,
            event_elapsed: find(library, "cuEventElapsedTime")?,
            event_destroy: find(library, "cuEventDestroy_v2")?,
            launch: find(library, "cuLaunchKernel")?,
        })
    }
}

/// A function of the library, as the type that the field it goes to says.
fn find<F: Copy>(library: Handle, name: &str) -> Result<F, GpuError> {
    const { assert!(size_of::<F>() == size_of::<Handle>()) };
    let missing = || GpuError::NoFunction { name: name.to_owned() };
    let symbol = CString::new(name).map_err(|_| missing())?;
    // SAFETY: the library is open and the name ended by a zero.
    let address = unsafe { libc::dlsym(library, symbol.as_ptr()) };
    if address.is_null() {
        return Err(missing());
    }
    // SAFETY: of the same size, not null, and the driver's public interface declares the name with this type.
    Ok(unsafe { std::mem::transmute_copy::<Handle, F>(&address) })
}
