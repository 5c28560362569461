//! What goes wrong before anything runs: each with its sentence, what to type next, and its exit code.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use crate::world::World;
use insta::assert_snapshot;

#[test]
fn a_share_that_is_none_is_refused_before_anything_is_sent() {
    let world = World::empty();
    let told = |gpu: &str| world.run(&["run", "--gpu", gpu, "true"]).told().to_owned();
    assert_snapshot!(told("0"), @r#"
    exit 2
    stderr: error: `--gpu`: 0 GPUs is not a share
    stderr:   help: for a task without a GPU write `"none"` (on the command line `--gpu none`)
    "#);
    assert_snapshot!(told("-1"), @r"
    exit 2
    stderr: error: `--gpu`: -1 GPUs is less than nothing
    stderr:   help: write a share of one GPU from 0.001 to 1, or a whole number of GPUs
    ");
    assert_snapshot!(told("1.5"), @r#"
    exit 2
    stderr: error: `--gpu`: 1.5 GPUs is neither a share of one GPU nor a whole number
    stderr:   help: write 1 or 2, or the same share of several GPUs: {"count": 2, "share": 0.75}
    "#);
    assert_snapshot!(told("NaN"), @r"
    exit 2
    stderr: error: `--gpu`: NaN is not a number of GPUs
    stderr:   help: write a share of one GPU from 0.001 to 1, or a whole number of GPUs
    ");
    assert!(!world.data().exists(), "no server was started for it");
}

#[test]
fn more_than_there_is_is_refused_with_what_there_is() {
    let world = World::with_gpus("2xA100-80GB");
    let told = |flags: &[&str]| world.run(&[&["run"], flags, &["--", "true"]].concat()).told().to_owned();
    assert_snapshot!(told(&["--gpu", "3"]), @r"
    exit 1
    stderr: error: 3 GPUs are asked for; there are 2
    stderr:   help: ask for at most 2 GPUs; `--wait-for-capacity` queues it all the same
    ");
    assert_snapshot!(told(&["--gpu-memory", "96GiB"]), @r"
    exit 1
    stderr: error: no device offers 96 GiB of GPU memory; the largest has 81152 MiB
    stderr:   help: ask for at most 81152 MiB with `--gpu-memory`, or split the task over several GPUs; `--wait-for-capacity` queues it all the same
    ");
    assert_snapshot!(told(&["--gpu-model", "h100"]), @r"
    exit 1
    stderr: error: no device here is of model h100
    stderr:   help: the models here are: NVIDIA A100-SXM4-80GB; `--wait-for-capacity` queues it all the same
    ");
    assert_eq!(world.run(&["run", "-d", "--gpu", "3", "--wait-for-capacity", "--", "true"]).code, Some(0));
}

#[test]
fn names_that_would_fool_a_terminal_or_a_file_system_are_refused() {
    let world = World::with_gpus("1xA100-80GB");
    for name in ["a\x1b[31m", "../etc", "a\nb", ""] {
        let ran = world.run(&["run", "--name", name, "true"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
    }
    let mut command = world.command(&["run", "--gpu", "1", "--"]);
    command.arg(std::ffi::OsString::from_vec(vec![b'x', 0xff]));
    assert_eq!(world.finish(command).code, Some(2), "arguments must be UTF-8");
}

#[test]
fn a_command_or_folder_that_does_not_exist_is_named() {
    let world = World::with_gpus("1xA100-80GB");
    let ran = world.run(&["run", "--", "no-such-program"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("`no-such-program`"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("/usr/local/bin:/usr/bin:/bin"),
        "it names the PATH searched: {}",
        ran.stderr
    );
    let ran = world.run(&["run", "--cwd", "no-such-folder", "--", "true"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("work/no-such-folder"), "{}", ran.stderr);
}

#[test]
fn tasks_that_do_not_exist_are_not_found() {
    let world = World::with_gpus("1xA100-80GB");
    let told = |task: &str| world.run(&["logs", task]).told().to_owned();
    assert_snapshot!(told("train"), @r"
    exit 1
    stderr: error: there is no task `train`
    stderr:   help: `fastgpu ps -a` lists all tasks that your token may see
    ");
    assert!(told("t-0000000000000").starts_with("exit 1\nstderr: error: there is no task"));
    assert!(told("@").starts_with("exit 1\nstderr: error: you have not submitted a task yet"));
    assert!(told("@~x").starts_with("exit 2\nstderr: error: `@~x` names no task"));
}

#[test]
fn a_wrong_token_is_77_and_never_printed() {
    let world = World::with_gpus("1xA100-80GB");
    for token in ["nonsense", "fgp_0123456789012345678901234567890123456789012345678901234567890"] {
        let mut command = world.command(&["ps"]);
        command.env("FASTGPU_TOKEN", token);
        let ran = world.finish(command);
        assert_eq!(ran.code, Some(77), "{ran:?}");
        assert!(!ran.stderr.contains(token), "{}", ran.stderr);
    }
    // The local token is not sent to servers that were named by address.
    let mut command = world.command(&["ps", "--url", &world.url()]);
    command.env("FASTGPU_DATA_DIR", world.path().join("elsewhere"));
    assert_eq!(world.finish(command).code, Some(77));
}

#[test]
fn no_server_is_69_and_says_how_to_start_one() {
    let world = World::empty();
    assert_snapshot!(world.run(&["ps"]).told(), @r"
    exit 69
    stderr: error: no server is named, and no local one was ever started here
    stderr:   note: [dir]/data/client.json does not exist
    stderr:   help: start one with `fastgpu up --detach`, or name one with `--url` and FASTGPU_TOKEN
    ");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = world.run(&["ps", "--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.stderr.contains("no server answers at http://127.0.0.1:"), "{}", ran.stderr);
    assert_eq!(world.run(&["ps", "--url", "127.0.0.1"]).code, Some(2));
}

/// A server that answers everything with this.
fn pretend(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes()));
        }
    });
    url
}

#[test]
fn a_server_of_another_version_is_told_apart_from_another_program() {
    let world = World::empty();
    let ran = world.run(&["ps", "--url", &pretend(r#"{"version":"9.1.0","api":"v9"}"#)]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("is FastGPU 9.1.0 with API v9; this program speaks API v1"),
        "{}",
        ran.stderr
    );
    let ran = world.run(&["ps", "--url", &pretend("<html>hello</html>")]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.stderr.contains("is not FastGPU"), "{}", ran.stderr);
}

#[test]
fn up_says_why_it_cannot_start() {
    let world = World::with_gpus("1xA100-80GB");
    let told = |words: &[&str]| world.run(&[&["up"], words].concat()).told().to_owned();
    let pid = world.server_pid();
    assert_snapshot!(told(&["--listen", "127.0.0.1:0"]).replace(&pid.to_string(), "[pid]"), @r"
    exit 1
    stderr: error: the data folder `[dir]/data` is in use by process [pid]
    stderr:   note: a FastGPU with this folder listens at http://127.0.0.1:[port]
    stderr:   help: use it as it is, stop it first, or name another folder with `--data-dir`
    ");
    let other = world.path().join("other").display().to_string();
    let listen = world.url().replace("http://", "");
    assert_snapshot!(told(&["--data-dir", &other, "--listen", &listen]), @r"
    exit 1
    stderr: error: 127.0.0.1:[port] is in use
    stderr:   note: a FastGPU 0.1.0 listens there
    stderr:   help: use it as it is, or listen elsewhere, as in `--listen 127.0.0.1:0`
    ");
    assert_snapshot!(told(&["--listen", "0.0.0.0:0"]), @r"
    exit 2
    stderr: error: 0.0.0.0:0 can be reached by other machines, and FastGPU does not speak TLS yet: tokens and data would travel readable
    stderr:   help: listen on 127.0.0.1 behind a proxy that speaks TLS, or accept it with `--insecure-http`
    ");
    assert_snapshot!(told(&["--data-dir", &other, "--simulate", "8xV10O"]), @r"
    exit 2
    stderr: error: `--simulate`: `V10O` is not a model that can be simulated
    stderr:   help: did you mean `V100`?
    ");
    // The same words when it is started in the background.
    let detached = told(&["--detach", "--data-dir", &other, "--listen", &listen]);
    assert!(detached.starts_with("exit 1\nstderr: error: 127.0.0.1:[port] is in use"), "{detached}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let world = World::empty();
    // A file where the folder should be: nobody may write there, not even root.
    std::fs::write(world.data(), "not a folder").unwrap();
    for words in [&["up", "--listen", "127.0.0.1:0"][..], &["up", "-d", "--listen", "127.0.0.1:0"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.told().contains("data folder") && ran.told().contains("[dir]/data"), "{}", ran.told());
        assert!(ran.stderr.contains("--data-dir"), "{}", ran.stderr);
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_nearest() {
    let world = World::empty();
    let folder = world.path().join("home/.config/fastgpu");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "listne = \"127.0.0.1:1\"").unwrap();
    assert_snapshot!(world.run(&["ps"]).told(), @r"
    exit 2
    stderr: error: [dir]/home/.config/fastgpu/config.toml: `listne` is not a setting
    stderr:   help: did you mean `listen`?
    ");
    std::fs::remove_file(folder.join("config.toml")).unwrap();
    let mut command = world.command(&["ps"]);
    command.env("FASTGPU_OUTPUT", "yaml");
    assert_eq!(world.finish(command).code, Some(2));
    assert_eq!(world.run(&["sp"]).code, Some(2));
}

#[test]
fn the_token_file_is_for_its_owner_alone() {
    let world = World::with_gpus("1xA100-80GB");
    let mode = |path: &str| std::fs::metadata(world.data().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("client.json"), mode("")), (0o600, 0o700));
}
