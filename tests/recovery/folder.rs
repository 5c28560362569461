//! A data folder belongs to one server at a time, and never to an older one.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Output;

use crate::world::World;

/// Where SQLite keeps the version of a file, in its first page.
const VERSION_AT: u64 = 60;

fn refused(world: &World) -> String {
    let Output { status, stderr, .. } =
        world.run(&["up", "--listen", "127.0.0.1:0", "--simulate", "1xA100-80GB"]);
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_folder_in_use_names_the_process_that_uses_it() {
    let mut world = World::new();
    world.start_well();
    let pid = world.server_pid().unwrap();
    let words = refused(&world);
    assert!(words.contains(&format!("is in use by process {pid}")), "{words}");
    assert!(world.door().get("/readyz").unwrap().is_success(), "the first one goes on");
    world.end();
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_as_it_is() {
    let mut world = World::new();
    world.start_well();
    world.end();
    let path = world.data().join("fastgpu.db");
    let mut file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut version = [0; 4];
    file.seek(SeekFrom::Start(VERSION_AT)).unwrap();
    file.read_exact(&mut version).unwrap();
    file.seek(SeekFrom::Start(VERSION_AT)).unwrap();
    file.write_all(&99_u32.to_be_bytes()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let words = refused(&world);
    assert!(words.contains("has version 99"), "{words}");
    assert!(words.contains("newer"), "{words}");
    assert!(std::fs::read(&path).unwrap() == before, "the refused file was changed");
    // With its own version back, it is as good as before.
    file.seek(SeekFrom::Start(VERSION_AT)).unwrap();
    file.write_all(&version).unwrap();
    drop(file);
    world.start_well();
    world.end();
}
