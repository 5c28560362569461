//! A FastGPU for one story, and the words to tell the story with.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A healthy machine needs milliseconds; a crowded one gets its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fastgpu");

/// Waits until `look` finds something, or tells what it waited for.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A folder, an environment, and perhaps a server.
pub(crate) struct World {
    folder: tempfile::TempDir,
    server: Option<Child>,
    gpus: String,
    /// Where the last server listened; the next one listens there again.
    listen: String,
    /// How much the server says to its operator, if not the usual.
    log_filter: Option<&'static str>,
}

impl World {
    /// A world without a server.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("fastgpu-e2e-").tempdir().unwrap();
        for name in ["home", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self {
            folder,
            server: None,
            gpus: "2xA100-80GB".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            log_filter: None,
        }
    }

    /// A world with a server that says this much to its operator.
    pub(crate) fn with_log(filter: &'static str) -> Self {
        let mut world = Self::empty();
        world.log_filter = Some(filter);
        world.start();
        world
    }

    /// A world with a server that has these GPUs.
    pub(crate) fn with_gpus(gpus: &str) -> Self {
        let mut world = Self::empty();
        gpus.clone_into(&mut world.gpus);
        world.start();
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where tasks run.
    pub(crate) fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The program with this world around it and nothing of ours.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.work()).stdin(Stdio::null()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path().join("home"));
        command.env("USER", "ann").env("TZ", "UTC").env("TMPDIR", self.path());
        command.env("FASTGPU_DATA_DIR", self.data());
        command
    }

    /// Types a command and waits for its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.finish(self.command(words))
    }

    /// Runs a prepared command to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        Ran::new(output.status, &output.stdout, &output.stderr, self)
    }

    /// Types a command that has to succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "{words:?}\n{ran:?}");
        ran.stdout.trim_end().to_owned()
    }

    /// As [`World::ok`], for JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(words)).unwrap()
    }

    /// Submits a shell script as a task and returns its id.
    #[track_caller]
    pub(crate) fn submit(&self, flags: &[&str], script: &str) -> String {
        let words = [&["run", "-d", "-o", "id"], flags, &["--", "sh", "-c", script]].concat();
        self.ok(&words)
    }

    /// The state word of a task.
    pub(crate) fn state(&self, task: &str) -> String {
        let all = self.json(&["ps", "-a", "-o", "json"]);
        let items = all["items"].as_array().unwrap();
        let found =
            items.iter().find(|item| item["id"] == task).unwrap_or_else(|| panic!("no {task} in {all}"));
        found["state"].as_str().unwrap().to_owned()
    }

    pub(crate) fn wait_for_state(&self, task: &str, state: &str) {
        wait_for(&format!("{task} is {state}"), || (self.state(task) == state).then_some(()));
    }

    /// Starts a server in the foreground and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same, with more flags.
    pub(crate) fn start_with(&mut self, flags: &[&str]) {
        assert!(self.server.is_none(), "there is a server already");
        let (output, errors) = (self.path().join("up.out"), self.path().join("up.err"));
        let (listen, gpus) = (self.listen.clone(), self.gpus.clone());
        let words = ["up", "--listen", &listen, "--simulate", &gpus, "--ephemeral"];
        let mut command = self.command(&[&words, flags].concat());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        command.envs(self.log_filter.map(|filter| ("FASTGPU_LOG", filter)));
        let mut child = command.spawn().unwrap();
        let address = wait_for("the server is ready", || {
            let said = fs::read_to_string(&output).unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}\n{said}{}", fs::read_to_string(&errors).unwrap());
            }
            // The last line of the banner is there, so the others are too.
            said.contains("Ctrl-C").then(|| {
                let (_, rest) = said.split_once("http://").unwrap();
                rest.split_whitespace().next().unwrap().to_owned()
            })
        });
        self.listen = address;
        self.server = Some(child);
    }

    /// Ends the server and everything that runs, and starts one with other GPUs.
    pub(crate) fn restart_with(&mut self, gpus: &str) {
        self.stop_server(Signal::TERM);
        gpus.clone_into(&mut self.gpus);
        self.start();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub(crate) fn server_pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// What the server has printed.
    pub(crate) fn banner(&self) -> String {
        self.filter(&fs::read_to_string(self.path().join("up.out")).unwrap())
    }

    /// What the server has said to its operator.
    pub(crate) fn server_log(&self) -> String {
        fs::read_to_string(self.path().join("up.err")).unwrap()
    }

    /// The body of an answer of the API, as it is.
    pub(crate) fn fetch(&self, path: &str) -> Vec<u8> {
        let local = fs::read(self.data().join("client.json")).unwrap();
        let local: serde_json::Value = serde_json::from_slice(&local).unwrap();
        let address = local["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        // HTTP/1.0: the body comes in one piece and ends with the connection.
        let token = local["token"].as_str().unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer[..100]));
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        answer.split_off(head + 4)
    }

    /// `kill -9`.
    pub(crate) fn kill_server(&mut self) {
        let mut child = self.server.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the server by a signal, and returns how it ended and what it said at last.
    pub(crate) fn stop_server(&mut self, signal: Signal) -> (ExitStatus, String) {
        let mut child = self.server.take().unwrap();
        send(&child, signal);
        let status = wait_for("the server has ended", || child.try_wait().unwrap());
        (status, fs::read_to_string(self.path().join("up.err")).unwrap())
    }

    /// Ids by the order of their appearance, our folder, our port.
    fn filter(&self, text: &str) -> String {
        let text = text.replace(&*self.path().to_string_lossy(), "[dir]");
        let port = self.listen.rsplit_once(':').map_or("", |(_, port)| port);
        let text = if port == "0" { text } else { text.replace(&format!(":{port}"), ":[port]") };
        number_ids(&text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.path().join("up.err")).unwrap_or_default();
            eprintln!("the server said:\n{said}");
        }
        if self.server.is_none() && self.data().join("node/keeper.json").exists() && !std::thread::panicking()
        {
            // Somebody must send the keeper away.
            self.start();
        }
        if let Some(mut child) = self.server.take() {
            send(&child, Signal::TERM);
            let deadline = Instant::now() + PATIENCE;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(LOOK_AGAIN);
            }
            let in_time = Instant::now() < deadline;
            let _ = child.kill();
            let _ = child.wait();
            assert!(in_time || std::thread::panicking(), "the server did not end when it was told to");
        }
    }
}

/// Ends a server that runs in the background.
pub(crate) fn end_background(pid: u64) {
    let id = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    wait_for("the background server has ended", || {
        // Its parent has gone; whether anybody collects what is left of it is not our affair.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("gone", |(_, rest)| rest);
        (state == "gone" || state.starts_with('Z')).then_some(())
    });
}

/// Sends a signal to a process that we have started.
pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// What a command has done, with everything that differs from day to day filtered out of its talk.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// As it is.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    told: String,
}

impl Ran {
    pub(crate) fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8], world: &World) -> Self {
        let (stdout, stderr) =
            (String::from_utf8_lossy(stdout).into_owned(), String::from_utf8_lossy(stderr).into_owned());
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        let mut told = how;
        for (name, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            for line in world.filter(text).lines() {
                told.push_str(format!("\n{name}: {line}").trim_end_matches(' '));
            }
        }
        // Filtered apart, numbered together.
        Self { code: status.code(), stdout, stderr, told }
    }

    /// Exit code, stdout and stderr in one text.
    pub(crate) fn told(&self) -> &str {
        &self.told
    }
}

/// `t-1`, `t-2`, … in the order of their appearance.
fn number_ids(text: &str) -> String {
    const ID_CHARS: usize = 13;
    let mut seen: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("t-") {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let digits: String = tail[2..].chars().take_while(char::is_ascii_alphanumeric).collect();
        if digits.len() == ID_CHARS && digits.starts_with('0') {
            let place = seen.iter().position(|known| *known == digits).unwrap_or_else(|| {
                seen.push(digits.clone());
                seen.len() - 1
            });
            out.push_str(&format!("t-{}", place + 1));
            rest = &tail[2 + ID_CHARS..];
        } else {
            out.push_str("t-");
            rest = &tail[2..];
        }
    }
    out.push_str(rest);
    out
}
