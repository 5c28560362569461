//! Where a server listened, somebody else may listen after it: the token does not go there.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use rustix::process::Signal;

use crate::world::{PATIENCE, World};

/// Passes for a FastGPU of our version, so that a caller who believes it goes on to its real question.
const PASSES: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 32\r\n\
    connection: close\r\n\r\n{\"version\":\"0.1.0\",\"api\":\"v1\"}\r\n";
/// What ends the listener; no client of ours begins so.
const GOODBYE: &[u8] = b"goodbye";

/// Somebody on an address that a server has left, who writes down all that is said to it.
struct Stranger {
    address: String,
    heard: Receiver<String>,
    thread: JoinHandle<()>,
}

impl Stranger {
    fn at(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(&address).unwrap();
        let (sender, heard) = channel();
        let thread = std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut said = Vec::new();
                let mut piece = [0; 4_096];
                while !said.ends_with(b"\r\n\r\n") && !said.ends_with(GOODBYE) {
                    match stream.read(&mut piece) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => said.extend_from_slice(&piece[..count]),
                    }
                }
                if said == GOODBYE {
                    return;
                }
                sender.send(String::from_utf8_lossy(&said).into_owned()).unwrap();
                let _ = stream.write_all(PASSES);
            }
        });
        Self { address, heard, thread }
    }

    /// All that was said to it.
    fn leave(self) -> Vec<String> {
        TcpStream::connect(&self.address).unwrap().write_all(GOODBYE).unwrap();
        self.thread.join().unwrap();
        self.heard.try_iter().collect()
    }
}

#[test]
fn whoever_takes_the_port_of_a_killed_server_never_sees_the_token() {
    let mut world = World::with_gpus("1xA100-80GB");
    let url = world.url();
    let task = world.submit(&["--gpu", "1"], "true");
    world.kill_server();
    let stranger = Stranger::at(&url);

    for words in [&["ps"][..], &["ps", "--url", &url], &["cancel", &task], &["gpus"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(69), "{words:?}\n{ran:?}");
    }
    let said = world.run(&["ps"]).stderr;
    assert!(said.contains("the local one is not running") && said.contains(&url), "{said}");
    let mut own = world.command(&["ps"]);
    own.env("FASTGPU_TOKEN", "fgp_of_my_own");
    assert_eq!(world.finish(own).code, Some(69));
    world.ok(&["version", "--url", &url]);

    let heard = stranger.leave();
    assert!(heard.iter().any(|request| request.starts_with("GET /version")), "{heard:?}");
    assert!(!heard.concat().contains("fgp_"), "{heard:?}");
    world.start();
    world.ok(&["wait", &task]);
}

#[test]
fn a_server_that_stops_takes_its_address_with_it_and_leaves_the_token() {
    let mut world = World::with_gpus("1xA100-80GB");
    let read = |world: &World| {
        let text = fs::read(world.data().join("client.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()
    };
    let before = read(&world);
    assert_eq!(before["url"], world.url());
    world.stop_server(Signal::TERM);
    let after = read(&world);
    assert_eq!((&after["url"], &after["token"]), (&"".into(), &before["token"]));
    let ran = world.run(&["ps"]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.stderr.contains("the local one is not running"), "{ran:?}");
    world.start();
    assert_eq!(read(&world)["token"], before["token"]);
    world.ok(&["ps"]);
}
