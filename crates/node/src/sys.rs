//! The one fence around unsafe code: system calls that no safe crate offers in the form we need.
//!
//! Every function here is one small call with its argument checks before it and its error read at once.
//! Nothing here knows what a task is.
#![expect(unsafe_code, reason = "fork, exec and signals have no safe form; this file is the fence")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use rustix::thread::UnshareFlags;

/// What `fork` returned, and where.
#[derive(Debug)]
pub enum Forked {
    /// In the parent, with the child's pid.
    Parent(i32),
    /// In the child.
    Child,
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Copies this process. Only a process with one thread may call it: the copy has one thread, and locks that
/// other threads held would stay shut in it for ever.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: fork has no memory preconditions; the keeper and its guardians are single-threaded, so the
    // child may run any code.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// The C library's constant is too narrow for this flag.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// For a few system calls and a sentence about one that failed; only pages that are used become memory.
const CHILD_STACK_BYTES: usize = 128 * 1024;

/// A child that was started by [`spawn_borrowing`].
#[derive(Debug, Clone, Copy)]
pub struct Spawned {
    /// Its pid.
    pub pid: i32,
    /// Whether it was born inside the control group.
    pub in_cgroup: bool,
}

/// Starts a child that borrows our memory, and our turn, until it becomes another program or ends: nothing
/// is copied, which makes it several times cheaper than [`fork`]. `child` is told whether it was born inside
/// the control group `cgroup` (version 2): being born there costs nothing, being moved there a lock over the
/// whole machine. What `child` writes to our memory is there when this returns. It must end by [`execve`] or
/// [`exit_now`], and must not give back descriptors that we own.
pub fn spawn_borrowing(cgroup: Option<BorrowedFd<'_>>, child: &mut dyn FnMut(bool)) -> io::Result<Spawned> {
    let mut stack = vec![0u128; CHILD_STACK_BYTES / size_of::<u128>()];
    if let Some(cgroup) = cgroup {
        let mut run = Borrower { child: &mut *child, in_cgroup: true };
        if let Ok(pid) = clone_into(cgroup, &mut stack, &mut run) {
            return Ok(Spawned { pid, in_cgroup: true });
        }
    }
    let mut run = Borrower { child, in_cgroup: false };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is ours, large enough, aligned, and lives until clone returns; with CLONE_VFORK that
    // is after the child has left our memory, so `run` outlives its use and nobody else touches it. We have
    // one thread, so the child cannot meet a lock that is held.
    let pid = check(unsafe {
        libc::clone(enter, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut run).cast())
    })?;
    Ok(Spawned { pid, in_cgroup: false })
}

/// What the child finds on its new stack.
struct Borrower<'a> {
    child: &'a mut dyn FnMut(bool),
    in_cgroup: bool,
}

extern "C" fn enter(run: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `spawn_borrowing` passed a Borrower, which it keeps and does not touch while we run.
    let run = unsafe { &mut *run.cast::<Borrower<'_>>() };
    (run.child)(run.in_cgroup);
    exit_now(127);
}

/// As `clone` of the C library, which cannot pass the control group on.
#[cfg(target_arch = "x86_64")]
fn clone_into(cgroup: BorrowedFd<'_>, stack: &mut [u128], run: &mut Borrower<'_>) -> io::Result<i32> {
    // SAFETY: clone_args is a plain struct of integers for which all zeroes is the documented default.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP | (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = u64::try_from(cgroup.as_raw_fd()).expect("an open descriptor is not negative");
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = size_of_val(stack) as u64;
    let result: i64;
    // SAFETY: the system call keeps every register but rax, rcx and r11. The parent goes on behind the label
    // as if the child did not exist. The child begins on the given stack, whose end is aligned as the call
    // demands, calls `enter` with the Borrower, and never comes back. CLONE_VFORK holds us until it has left
    // our memory, so both outlive their use.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw mut args,
            in("rsi") size_of::<libc::clone_args>(),
            in("r8") &raw mut *run,
            in("r9") enter as extern "C" fn(*mut libc::c_void) -> libc::c_int,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    let result = i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    if result > 0 { Ok(result) } else { Err(io::Error::from_raw_os_error(-result)) }
}

/// Elsewhere the child moves itself into the group.
#[cfg(not(target_arch = "x86_64"))]
fn clone_into(_: BorrowedFd<'_>, _: &mut [u128], _: &mut Borrower<'_>) -> io::Result<i32> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Ends this process at once, without running anything that was registered for a normal exit.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Argument and environment lists as `execve` wants them, prepared before the fork.
#[derive(Debug)]
pub struct ExecList {
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl ExecList {
    /// `None` if a string has a NUL byte inside.
    #[must_use]
    pub fn new(strings: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let strings: Vec<CString> = strings.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?;
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(ptr::null());
        Some(Self { strings, pointers })
    }

    /// The strings, without the closing null pointer.
    #[must_use]
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// Becomes another program; returns only when that failed.
pub fn execve(path: &CStr, argv: &ExecList, envp: &ExecList) -> io::Error {
    // SAFETY: path is NUL-terminated; both lists end with a null pointer and point into strings that the
    // lists own and that live until the call returns.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Closes every descriptor above the standard three but those in `keep`.
pub fn close_all_but(keep: &mut [RawFd]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first: libc::c_uint = 3;
    let close = |first: libc::c_uint, last: libc::c_uint| {
        if first > last {
            return Ok(());
        }
        // SAFETY: the callers (guardian and task child, right after fork) never again use an owner of a
        // descriptor that they did not name, nor drop one: they end by exec or `exit_now`.
        check(unsafe { libc::close_range(first, last, 0) }).map(drop)
    };
    for &fd in keep.iter() {
        let fd = libc::c_uint::try_from(fd).map_err(|_| io::ErrorKind::InvalidInput)?;
        if fd >= first {
            close(first, fd - 1)?;
            first = fd + 1;
        }
    }
    close(first, libc::c_uint::MAX)
}

/// Gives back the memory that our own code takes up; what is needed again is read again from the program's
/// file. For a process that will sleep for long.
pub fn drop_code_pages() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some("r-xp")) = (fields.next(), fields.next()) else { continue };
        let is_file = fields.next_back().is_some_and(|path| path.starts_with('/'));
        let Some((from, to)) = range.split_once('-').filter(|_| is_file) else { continue };
        let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)) else {
            continue;
        };
        // SAFETY: a private mapping of a file that is executable and not writable holds nothing but the
        // file's content, so dropping its pages loses nothing. The range comes from the kernel.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED) };
    }
}

/// Makes `target` another name of `fd`; it survives exec unless `close_on_exec` is said.
pub fn dup_onto(fd: BorrowedFd<'_>, target: RawFd, close_on_exec: bool) -> io::Result<()> {
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    if fd.as_raw_fd() == target {
        let flags = if close_on_exec { libc::FD_CLOEXEC } else { 0 };
        // SAFETY: F_SETFD changes one flag of an open descriptor.
        return check(unsafe { libc::fcntl(target, libc::F_SETFD, flags) }).map(drop);
    }
    // SAFETY: dup3 has no memory preconditions; what `target` named before is given up by the caller.
    check(unsafe { libc::dup3(fd.as_raw_fd(), target, flags) }).map(drop)
}

/// Leaves namespaces of this process, which must have one thread.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "the table of descriptors stays one");
    // SAFETY: the one hazard is a split table of descriptors, refused above.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigset_t is a plain bit set; sigemptyset initialises it and sigaddset only sets bits (a
    // number that is no signal is refused and changes nothing).
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks exactly `signals` in this thread; an empty list lets every signal through.
pub fn block_exactly(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised; the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) }).map(drop)
}

/// Gives `signal` its default meaning.
pub fn default_signal(signal: i32) {
    // SAFETY: SIG_DFL installs no code of ours; an invalid number is refused and changes nothing.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores `signal`.
pub fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives every signal its default meaning, whatever was inherited.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        default_signal(signal);
    }
}

/// A descriptor that reads blocked signals.
pub fn signalfd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised; -1 asks for a fresh descriptor.
    let fd = check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: fresh, hence ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A signal read from a [`signalfd`], with the number its sender attached, if it did.
#[derive(Debug, Clone, Copy)]
pub struct SignalRead {
    /// Which signal.
    pub signal: i32,
    /// The attached number; `None` when it was sent with plain `kill`.
    pub value: Option<i32>,
}

/// The next pending signal, or `None`.
pub fn read_signal(fd: BorrowedFd<'_>) -> io::Result<Option<SignalRead>> {
    // SAFETY: signalfd_siginfo is a plain struct of integers.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is exactly one record long.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size) };
    if read < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
    Ok(Some(SignalRead { signal, value: (info.ssi_code == libc::SI_QUEUE).then_some(info.ssi_int) }))
}

/// Sends `signal` with a number attached to the process behind `pidfd`.
pub fn pidfd_queue(pidfd: BorrowedFd<'_>, signal: i32, value: i32) -> io::Result<()> {
    /// The head of the kernel's `siginfo_t` for queued signals, on 64-bit Linux.
    #[repr(C)]
    struct Queued {
        signo: i32,
        errno: i32,
        code: i32,
        pad: i32,
        pid: i32,
        uid: u32,
        value: i32,
        rest: [i32; 25],
    }
    const { assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>()) };
    let info = Queued {
        signo: signal,
        errno: 0,
        code: libc::SI_QUEUE,
        pad: 0,
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        uid: rustix::process::getuid().as_raw(),
        value,
        rest: [0; 25],
    };
    // SAFETY: `info` is as large as siginfo_t and laid out as the kernel reads SI_QUEUE; flags are 0.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, &raw const info, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends `signal` to `pid`. Only for children not yet waited for, whose pid cannot have a new owner.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill has no memory preconditions; groups (0 and negative numbers) and init are refused above.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A child that ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Which.
    pub pid: i32,
    /// How.
    pub status: ChildStatus,
    /// Processor time of the child and of those it waited for.
    pub cpu: Duration,
    /// Its largest resident memory, in KiB.
    pub rss_max_kib: u64,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

/// The answer of [`reap`].
#[derive(Debug, Clone, Copy)]
pub enum Reaped {
    /// One child ended.
    One(Ended),
    /// Children live, none has ended.
    NoneYet,
    /// There is no child at all.
    NoChildren,
}

/// Collects one ended child, without waiting.
pub fn reap() -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is a plain struct of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both out-pointers are valid for the call.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    if pid < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(Reaped::NoChildren) } else { Err(error) };
    }
    if pid == 0 {
        return Ok(Reaped::NoneYet);
    }
    let byte = |value: i32| u8::try_from(value & 0xff).expect("masked to one byte");
    let status = if libc::WIFSIGNALED(status) {
        ChildStatus::Signal(byte(libc::WTERMSIG(status)))
    } else {
        ChildStatus::Code(byte(libc::WEXITSTATUS(status)))
    };
    let time = |t: libc::timeval| {
        Duration::new(
            u64::try_from(t.tv_sec).unwrap_or(0),
            u32::try_from(t.tv_usec).unwrap_or(0).saturating_mul(1_000),
        )
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    let rss_max_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    Ok(Reaped::One(Ended { pid, status, cpu, rss_max_kib }))
}
