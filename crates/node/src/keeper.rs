//! The keeper: one small process per node that forks guardians and watches them, and does nothing else.
//!
//! It has one thread and one loop ([`Keeper::run`]), so it may fork. It knows nothing that is not also in
//! the node's folder: killed at any moment, the next keeper adopts everything ([`crate::adopt`]). An end is
//! kept until the agent says that it is durable elsewhere.

mod adopt;
mod connection;
mod guardians;
mod launch;
mod orders;
mod spares;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::node::{Exit, ExitKind};
use fastgpu_core::units::Timestamp;
use rustix::event::{Timespec, epoll};
use rustix::pipe::PipeFlags;

use crate::cgroup::Cgroups;
use crate::clock::now;
use crate::complaints::complain;
use crate::ends::Ends;
use crate::folder::{AttemptKey, Line, NodeFolder, RecordFile, boot_id};
use crate::guardian::BLOCKED_SIGNALS;
use crate::hide::View;
use crate::hint::Hint;
use crate::keeper::connection::Connection;
use crate::keeper::guardians::{Guardians, OwnGuardian};
use crate::keeper::spares::Spares;
use crate::protocol::{FromKeeper, WireAbility};
use crate::settings::KeeperSettings;
use crate::work::WorkFolders;
use crate::{hide, leftovers, sys};

/// How long to wait for an earlier keeper to let go of the folder.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// A keeper that holds nothing and that no server talks to leaves after this long. A server that comes back
/// starts another in milliseconds; one that was removed leaves nothing behind.
const IDLE_LEAVE: Duration = Duration::from_mins(10);
/// Tasks whose newest attempt is remembered after it was forgotten, against late orders. Every guardian
/// starts as a copy of this list, so it is short.
const SEEN_MAX: usize = 8_192;
/// How often to look whether an adopted attempt has begun: its guardian's hints went to the keeper before.
const ADOPTED_LOOK: Duration = Duration::from_millis(20);
/// A keeper that has had nothing to do for this long makes itself small.
const SETTLES_AFTER: Duration = Duration::from_secs(5);
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 64;
/// Hints from guardians taken at once. Small on purpose: after each fork, every page the keeper writes to
/// is copied.
const HINT_BYTES: usize = 4 * 1024;

const TOKEN_LISTENER: u64 = 0;
const TOKEN_CONNECTION: u64 = 1;
const TOKEN_HINTS: u64 = 2;
const TOKEN_SIGNALS: u64 = 3;
const TOKEN_FIRST_GUARDIAN: u64 = 4;

/// One attempt whose end is not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) fence: Fence,
    pub(crate) started: Option<Timestamp>,
    pub(crate) exit: Option<Exit>,
    /// The token of the guardian that looks after it.
    pub(crate) guardian: Option<u64>,
    pub(crate) slot: Option<u32>,
    pub(crate) groups: Vec<PathBuf>,
    /// Whether an earlier keeper started it: its guardian's hints do not reach us.
    pub(crate) adopted: bool,
    /// Whether its guardian said that there is no output, and uses the folder no more.
    bare: bool,
}

/// See the module.
pub(crate) struct Keeper {
    pub(crate) folder: NodeFolder,
    pub(crate) cgroups: Cgroups,
    pub(crate) work: WorkFolders,
    spares: Spares,
    ends: Ends,
    pub(crate) view: Option<View>,
    pub(crate) boot: String,
    pub(crate) attempts: BTreeMap<AttemptKey, Held>,
    /// Where guardians write their hints.
    pub(crate) hints_end: OwnedFd,
    hints: OwnedFd,
    hints_read: Vec<u8>,
    abilities: Vec<WireAbility>,
    epoll: OwnedFd,
    listener: UnixListener,
    signals: OwnedFd,
    connection: Option<Connection>,
    guardians: Guardians,
    seen: BTreeMap<TaskId, u32>,
    seen_order: VecDeque<TaskId>,
    leaving: Option<Leaving>,
    /// When something happened last, until the memory that it took is given back.
    busy_at: Option<Instant>,
    idle_leave: Duration,
    /// Since when nothing is held and nobody is connected.
    idle_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    WhenIdle,
    AfterKilling,
    Now,
}

/// The keeper's main function, for a process of its own that was started with a clean environment.
#[must_use]
pub fn main(node_dir: &Path) -> ExitCode {
    match begin(node_dir) {
        Ok(Some(keeper)) => keeper.run(),
        // Another keeper serves this folder.
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("the keeper could not begin: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn begin(node_dir: &Path) -> io::Result<Option<Keeper>> {
    fastgpu_failpoints::arm();
    // A session of its own, so that Ctrl-C in the server's terminal is not meant for it. It fails only for a
    // process that leads a group already, which is just as good.
    let _ = rustix::process::setsid();
    sys::default_signals();
    sys::ignore_signal(libc::SIGPIPE);
    sys::block_exactly(&BLOCKED_SIGNALS)?;
    rustix::process::umask(rustix::fs::Mode::from_bits_retain(0o077));
    rustix::thread::set_name(c"fastgpu-keeper")?;
    // Tasks of the same user must not look into our memory. Orphans of a killed guardian come to us.
    crate::powers::close_to_others()?;
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    let folder = NodeFolder::create(node_dir)?;
    let Some(lock) = take_folder(&folder)? else { return Ok(None) };
    // Held until this process ends.
    std::mem::forget(lock);
    let settings = KeeperSettings::load(&folder);
    let (cgroups, mut abilities) = Cgroups::detect(folder.root(), settings.use_cgroups);
    let (view, ability) = hide::prepare(&folder, &settings.hide);
    abilities.push(ability);
    let (hints, hints_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let listener = listen(&folder)?;
    let mut keeper = Keeper {
        work: WorkFolders::new(folder.work()),
        spares: Spares::new(folder.spare()),
        ends: Ends::read(folder.root()),
        cgroups,
        view,
        boot: boot_id(),
        attempts: BTreeMap::new(),
        hints_end,
        hints,
        hints_read: Vec::new(),
        abilities,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        listener,
        signals: sys::signalfd(&[libc::SIGTERM])?,
        connection: None,
        guardians: Guardians::new(TOKEN_FIRST_GUARDIAN),
        seen: BTreeMap::new(),
        seen_order: VecDeque::new(),
        leaving: None,
        busy_at: Some(Instant::now()),
        idle_leave: settings.idle_leave_ms.map_or(IDLE_LEAVE, Duration::from_millis),
        idle_since: Some(Instant::now()),
        folder,
    };
    fastgpu_failpoints::hit("keeper.adopt.before_scan");
    adopt::everything(&mut keeper)?;
    let Keeper { work, attempts, .. } = &mut keeper;
    work.take_up(|key| attempts.contains_key(&key));
    fastgpu_failpoints::hit("keeper.adopt.after_scan");
    keeper.open_for_business()?;
    Ok(Some(keeper))
}

/// `None` if another keeper lives and stays.
fn take_folder(folder: &NodeFolder) -> io::Result<Option<File>> {
    let lock = File::options().create(true).append(true).open(folder.keeper_lock())?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Listens under a name that nobody connects to yet; a short one, however long the folder's path is.
fn listen(folder: &NodeFolder) -> io::Result<UnixListener> {
    std::env::set_current_dir(folder.root())?;
    let _ = std::fs::remove_file("keeper.sock.new");
    let listener = UnixListener::bind("keeper.sock.new")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Keeper {
    /// Everything is adopted: the agent may come.
    fn open_for_business(&mut self) -> io::Result<()> {
        let add = |fd: &dyn AsFd, token| {
            epoll::add(&self.epoll, fd.as_fd(), epoll::EventData::new_u64(token), epoll::EventFlags::IN)
        };
        add(&self.listener, TOKEN_LISTENER)?;
        add(&self.hints, TOKEN_HINTS)?;
        add(&self.signals, TOKEN_SIGNALS)?;
        std::fs::rename("keeper.sock.new", "keeper.sock")?;
        std::env::set_current_dir("/")
    }

    /// The loop.
    fn run(mut self) -> ExitCode {
        loop {
            let tokens = match self.wait() {
                Ok(tokens) => tokens,
                Err(error) => {
                    complain(&format!("the keeper cannot wait: {error}"));
                    return ExitCode::FAILURE;
                }
            };
            // Hints first: a guardian's last hint comes before its end.
            self.read_hints();
            for token in tokens {
                match token {
                    TOKEN_LISTENER => self.accept(),
                    TOKEN_CONNECTION => self.read_connection(),
                    TOKEN_HINTS => {}
                    TOKEN_SIGNALS => self.leaving = Some(Leaving::Now),
                    token => self.guardian_ended(token),
                }
            }
            self.look_at_adopted();
            self.flush_connection();
            self.look_at_idleness();
            if self.may_leave() {
                return ExitCode::SUCCESS;
            }
        }
    }

    fn wait(&mut self) -> io::Result<Vec<u64>> {
        let adopted_wait = self.attempts.values().any(Held::is_waiting_to_start_unheard);
        let idle_left = self.idle_since.map(|since| self.idle_leave.saturating_sub(since.elapsed()));
        let guardian_idle_left = self.guardians.send_idle_away();
        let settle_left = self.busy_at.map(|at| SETTLES_AFTER.saturating_sub(at.elapsed()));
        let waits = [adopted_wait.then_some(ADOPTED_LOOK), idle_left, guardian_idle_left, settle_left];
        let timeout = waits.into_iter().flatten().min();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !events.is_empty() {
            self.busy_at = Some(Instant::now());
        } else if self.busy_at.is_some_and(|at| at.elapsed() >= SETTLES_AFTER) {
            self.busy_at = None;
            sys::drop_code_pages();
        }
        Ok(events.iter().map(|event| event.data.u64()).collect())
    }

    /// Starts to watch a guardian; says under which token.
    fn watch(&mut self, key: AttemptKey, pidfd: OwnedFd, own: Option<OwnGuardian>) -> io::Result<u64> {
        let token = self.guardians.next_token();
        epoll::add(&self.epoll, &pidfd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        self.guardians.add(token, key, pidfd, own);
        Ok(token)
    }

    fn read_hints(&mut self) {
        let mut bytes = [0; HINT_BYTES];
        while let Ok(count) = rustix::io::read(&self.hints, &mut bytes) {
            self.hints_read.extend_from_slice(&bytes[..count]);
            let whole = self.hints_read.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = self.hints_read.drain(..whole).collect();
            for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let Some(hint) = Hint::from_bytes(line) else { continue };
                let Some(task) = TaskId::new(hint.task) else { continue };
                let key = AttemptKey { task, attempt: hint.attempt };
                let is_over = matches!(hint.line, Line::Exit(_));
                self.heard(key, hint.line);
                if is_over {
                    self.guardian_is_free(key, hint.log);
                }
            }
            if count < HINT_BYTES {
                return;
            }
        }
    }

    /// A step of an attempt's life, from its guardian's hint or from its record.
    fn heard(&mut self, key: AttemptKey, line: Line) {
        let Some(held) = self.attempts.get_mut(&key) else { return };
        let (task, attempt, version) = (key.task.get(), key.attempt, held.fence.version);
        match line {
            Line::Started { at } if held.started.is_none() => {
                held.started = Some(Timestamp(at));
                fastgpu_failpoints::hit("keeper.start.before_report");
                self.send(&FromKeeper::Started { task, attempt, version, at });
            }
            Line::Exit(exit) if held.exit.is_none() => {
                held.exit = Some(exit.clone().into());
                fastgpu_failpoints::hit("keeper.exit.before_report");
                self.send(&FromKeeper::Exited { task, attempt, version, exit });
                fastgpu_failpoints::hit("keeper.exit.after_report");
            }
            Line::Started { .. } | Line::Exit(_) | Line::Meta(_) | Line::Guardian { .. } => {}
        }
    }

    /// An attempt is over, and nothing is left of it but what is held here.
    fn guardian_is_free(&mut self, key: AttemptKey, has_log: bool) {
        let Some(held) = self.attempts.get_mut(&key) else { return };
        let Some(token) = held.guardian.take() else { return };
        held.bare = !has_log;
        if let Some(slot) = held.slot.take() {
            self.cgroups.give_back(slot);
        }
        held.groups.clear();
        self.guardians.rest(token);
    }

    /// A guardian is gone: its record says how its attempt ended, or nothing does.
    fn guardian_ended(&mut self, token: u64) {
        let Some(key) = self.guardians.remove(token) else { return };
        let Some(held) = self.attempts.get_mut(&key) else { return };
        held.guardian = None;
        let slot = held.slot.take();
        let groups = std::mem::take(&mut held.groups);
        if held.exit.is_none() {
            self.hear_record(key);
        }
        if self.attempts.get(&key).is_some_and(|held| held.exit.is_none()) {
            leftovers::end_orphans(&groups, &key.task.to_string(), key.attempt);
            self.end_strays();
            self.end_without_guardian(key, "the attempt's guardian vanished".to_owned());
            // Its orphans came to us.
            while let Ok(sys::Reaped::One(_)) = sys::reap() {}
            slot.into_iter().for_each(|slot| self.cgroups.remove(slot));
        } else {
            slot.into_iter().for_each(|slot| self.cgroups.give_back(slot));
        }
    }

    /// Ends what has come to us from guardians that vanished.
    fn end_strays(&self) {
        leftovers::end_strays(&self.guardians.children());
    }

    /// Takes over what the record says.
    fn hear_record(&mut self, key: AttemptKey) {
        let record = RecordFile::open(&self.folder.attempt(key)).and_then(|mut file| file.read());
        let Ok(record) = record else { return };
        if let Some(at) = record.started {
            self.heard(key, Line::Started { at: at.0 });
        }
        if let Some(exit) = record.exit {
            self.heard(key, Line::Exit(exit.into()));
        }
    }

    /// Ends an attempt that nobody else can end, in its record if that is possible.
    pub(crate) fn end_without_guardian(&mut self, key: AttemptKey, why: String) {
        let exit =
            Exit { at: now(), how: ExitKind::Infrastructure(why), cpu_ms: 0, rss_max_kib: 0, sick: None };
        let line = Line::Exit(exit.into());
        let path = self.folder.attempt(key);
        let recorded = RecordFile::open(&path).and_then(|mut file| {
            file.mend()?;
            file.add(&[&line])
        });
        if let Err(error) = recorded {
            complain(&format!("could not record the end of {key}: {error}"));
        }
        self.heard(key, line);
    }

    fn look_at_adopted(&mut self) {
        let waiting: Vec<AttemptKey> = self
            .attempts
            .iter()
            .filter_map(|(key, held)| held.is_waiting_to_start_unheard().then_some(*key))
            .collect();
        for key in waiting {
            self.hear_record(key);
        }
    }

    /// Leaves when nobody has needed it for long.
    fn look_at_idleness(&mut self) {
        if self.connection.is_some() || !self.attempts.is_empty() {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if self.leaving.is_none() && since.elapsed() >= self.idle_leave {
            self.leaving = Some(Leaving::WhenIdle);
        }
    }

    fn may_leave(&mut self) -> bool {
        let running = self.attempts.values().any(|held| held.guardian.is_some());
        let leave = match self.leaving {
            None => false,
            Some(Leaving::Now) => return true,
            Some(Leaving::WhenIdle) => self.attempts.is_empty(),
            Some(Leaving::AfterKilling) => !running,
        };
        if leave {
            self.cgroups.remove_all();
            let _ = std::fs::remove_file(self.folder.socket());
        }
        leave
    }
}

impl Held {
    pub(crate) fn new(fence: Fence) -> Self {
        let groups = Vec::new();
        Self {
            fence,
            started: None,
            exit: None,
            guardian: None,
            slot: None,
            groups,
            adopted: false,
            bare: false,
        }
    }

    /// Adopted while starting: nobody will tell when it begins.
    fn is_waiting_to_start_unheard(&self) -> bool {
        self.adopted && self.guardian.is_some() && self.started.is_none()
    }
}
