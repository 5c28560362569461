//! `fastgpu demo`: a FastGPU in a folder of its own, a small story told live, and nothing left of it.
//!
//! Here: where it takes place and how it is cleaned up. What is told is in [`story`], how it is drawn in
//! [`stage`].

mod stage;
mod story;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use fastgpu_client::Client;
use rustix::process::{Pid, Signal, kill_process};

use super::block_on;
use crate::args::{DemoArgs, UpArgs};
use crate::detach::{self, Background};
use crate::failure::{Failure, exit};
use crate::local::ClientFile;
use crate::output::Output;
use crate::settings::{Settings, UpSettings};

use stage::Stage;

/// What is pretended where there is no GPU.
const SIMULATED: &str = "4xA100-80GB";
/// A driver that has not told of its GPUs by then is not waited for.
const GPUS_PATIENCE: Duration = Duration::from_secs(5);
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// A server that ends everything is done in a second; then it is ended for good.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn run(flags: &DemoArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let folder = Folder::make(settings)?;
    let up = UpArgs {
        listen: Some("127.0.0.1:0".to_owned()),
        simulate: flags.simulate.clone(),
        ..UpArgs::default()
    };
    let mut up = UpSettings { data_dir: folder.0.clone(), ..settings.up(&up)? };
    let ephemeral: &[&str] = if flags.stay { &[] } else { &["--ephemeral"] };
    let began = Instant::now();
    let mut server = detach::start(&up, ephemeral)?;
    let mut simulated = up.simulate.is_some();
    if !simulated && !block_on(has_gpus(&server))? {
        stop(server.child)?;
        simulated = true;
        up.simulate = Some(SIMULATED.to_owned());
        server = detach::start(&up, ephemeral)?;
    }
    let told = block_on(tell(&server, simulated, out));
    let told = match told {
        Ok(()) if flags.stay => {
            folder.leave();
            say_stay(&server, out);
            return Ok(0);
        }
        Ok(()) => Ok(0),
        Err(failure) if failure.silent => Ok(failure.exit),
        Err(failure) => Err(failure),
    };
    stop(server.child)?;
    drop(folder);
    let seconds = began.elapsed().as_secs();
    out.say(&format!("\nThat took {seconds} s; the server, its tasks and its folder are gone again."));
    say_next(out);
    told
}

/// The story, unless somebody has seen enough.
async fn tell(server: &Background, simulated: bool, out: &Output) -> Result<(), Failure> {
    let client = client(server)?;
    let mut stage = Stage::new(out);
    tokio::select! {
        told = story::tell(&client, &server.ready, simulated, &mut stage) => told,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure { silent: true, ..Failure::new("interrupted").exit(exit::INTERRUPTED) })
        }
    }
}

fn client(server: &Background) -> Result<Client, Failure> {
    let file = ClientFile::read(&server.ready.data_dir)
        .ok_or_else(|| Failure::new("the server of the demo left no token"))?;
    Ok(Client::new(&file.url, Some(&file.token))?)
}

/// Whether the driver tells of GPUs that tasks can use.
async fn has_gpus(server: &Background) -> Result<bool, Failure> {
    let client = client(server)?;
    let deadline = Instant::now() + GPUS_PATIENCE;
    loop {
        let probed = client.nodes().await?.items.iter().any(|node| node.probed);
        let usable = client.gpus().await?.items.iter().any(|gpu| gpu.unusable.is_none());
        if usable || probed || Instant::now() > deadline {
            return Ok(usable);
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Ends a server that we have started.
fn stop(mut child: Child) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("the server of the demo cannot be ended: {error}"));
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let deadline = Instant::now() + STOP_PATIENCE;
    while child.try_wait().map_err(failed)?.is_none() {
        if Instant::now() > deadline {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(Failure::new("the server of the demo did not end by itself and was killed"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn say_stay(server: &Background, out: &Output) {
    let ready = &server.ready;
    let folder = ready.data_dir.display();
    out.say(&format!("\nThe server stays at {} (process {}).", ready.url, ready.pid));
    out.say(&format!("  use it      export FASTGPU_DATA_DIR={folder}; fastgpu ps -a"));
    out.say(&format!("  its token   {folder}/client.json"));
    out.say(&format!("  end it      fastgpu --data-dir {folder} down"));
}

fn say_next(out: &Output) {
    out.say("Where to go next");
    out.say("  fastgpu up                                   a server for this machine");
    out.say("  fastgpu run --gpu 0.5 -- python train.py     half a GPU for a program of yours");
    out.say("  fastgpu doctor                               what this machine can do");
    out.say("  docs/quick-start.md                          the first ten minutes");
}

/// A folder that is gone when the demo is over.
struct Folder(PathBuf);

impl Folder {
    fn make(settings: &Settings) -> Result<Self, Failure> {
        let parent = settings.environment.get("TMPDIR").unwrap_or("/tmp");
        let path = Path::new(parent).join(format!("fastgpu-demo-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::new(format!("the folder {} cannot be made: {}", path.display(), detach::plain(&error)))
                .help("name another place with TMPDIR")
        })?;
        Ok(Self(path))
    }

    fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever cannot be removed now is in a temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
