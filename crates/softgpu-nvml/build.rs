//! Makes the export list complete: what `exports.txt` names and no source file defines gets a function that
//! says "not supported" and is counted by name.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=exports.txt");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
    // A preload must not see this library talking to itself.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    let names = fs::read_to_string("exports.txt")?;
    let mut defined = BTreeSet::new();
    collect(Path::new("src"), &mut defined)?;
    let mut stubs = String::new();
    for name in names.lines().filter(|name| !defined.contains(*name)) {
        writeln!(stubs, "#[unsafe(no_mangle)]")?;
        writeln!(stubs, "extern \"C\" fn {name}() -> u32 {{")?;
        writeln!(stubs, "    crate::session::unsupported(\"{name}\")")?;
        writeln!(stubs, "}}")?;
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("stubs.rs"), stubs)?;
    Ok(())
}

/// The names of the functions for C in a folder's sources.
fn collect(folder: &Path, defined: &mut BTreeSet<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, defined)?;
        } else {
            let text = fs::read_to_string(&path)?;
            let found = text.lines().filter_map(|line| line.strip_prefix("extern \"C\" fn "));
            defined.extend(found.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
        }
    }
    Ok(())
}
