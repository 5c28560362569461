//! Builds small C programs against the library and runs them on a ledger of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use fastgpu_softgpu::ledger::Ledger;
use tempfile::TempDir;

/// A folder with the library under its real name, programs, and a ledger.
pub(crate) struct Bench {
    folder: TempDir,
    clock: &'static str,
    devices: &'static str,
}

impl Bench {
    /// With such devices and the machine's clock.
    pub(crate) fn new(devices: &'static str) -> Self {
        let folder = TempDir::new_in("/dev/shm").expect("memory for a folder");
        let library = library();
        std::os::unix::fs::symlink(&library, folder.path().join("libcuda.so.1")).unwrap();
        Self { folder, clock: "machine", devices }
    }

    /// With the test clock.
    pub(crate) fn on_test_clock(devices: &'static str) -> Self {
        Self { clock: "test", ..Self::new(devices) }
    }

    /// Builds a program of `tests/programs`.
    pub(crate) fn build(&self, name: &str) -> PathBuf {
        self.compile(name, name, &[self.folder.path().join("libcuda.so.1").to_str().unwrap(), "-ldl"])
    }

    /// Builds a library of `tests/programs` that is to be loaded before the driver.
    pub(crate) fn build_preload(&self, name: &str) -> PathBuf {
        self.compile(name, &format!("lib{name}.so"), &["-shared", "-fPIC", "-ldl"])
    }

    fn compile(&self, name: &str, to: &str, more: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
        let program = self.folder.path().join(to);
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]);
        let made = compiler.arg("-o").arg(&program).arg(source).args(more).output().expect("a C compiler");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        program
    }

    /// A command that runs a program with the library in its path.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", self.folder.path())
            .env("FASTGPU_SOFTGPU_DIR", self.folder.path().join("gpus"))
            .env("FASTGPU_SOFTGPU_DEVICES", self.devices)
            .env("FASTGPU_SOFTGPU_CLOCK", self.clock)
            .env_remove("CUDA_VISIBLE_DEVICES")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end and gives what it printed.
    pub(crate) fn run(&self, program: &Path, words: &[&str]) -> String {
        said(&self.command(program).args(words).output().unwrap())
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::open(&self.folder.path().join("gpus")).unwrap()
    }

    /// Everybody has ended: nothing may be left, and the sums must agree. Gives what was not there.
    pub(crate) fn settle(&self) -> Vec<(String, u64)> {
        let ledger = self.ledger();
        let begun = std::time::Instant::now();
        // A process that was just killed is a moment in dying.
        while !ledger.processes().is_empty() {
            assert!(begun.elapsed().as_secs() < 10, "somebody does not end: {:?}", ledger.processes());
            std::thread::yield_now();
        }
        assert_eq!(ledger.teams_held(), 0, "teams that nobody holds");
        assert_eq!(ledger.events_held(), 0, "events that nobody holds");
        for index in 0..ledger.device_count() {
            let device = ledger.device(index);
            assert!(device.objects.iter().all(|object| object.id == 0), "device {index}");
            assert!(device.is_sound(), "device {index}");
            assert_eq!(device.memory_used_bytes, 0, "device {index}");
            assert!(device.schedule.contexts.iter().all(|context| context.owner == 0), "device {index}");
        }
        ledger.registry().counted().map(|(name, calls)| (name.to_owned(), calls)).collect()
    }
}

/// What a program printed; it must have ended well.
pub(crate) fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{:?}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The library. Cargo does not build a library for C on behalf of a test, so the first to ask has it built.
pub(crate) fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--lib", "--target-dir"]);
        cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        said(&cargo.output().unwrap());
        profile.join("libcuda.so")
    };
    BUILT.get_or_init(build).clone()
}
