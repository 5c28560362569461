//! Writes the driver's whole list of names: stubs for what is not there, twins for per-thread streams, and
//! the table that `cuGetProcAddress` searches.
//!
//! The list is `exports.txt`: a name, and the CUDA version whose callers mean this form of it (0: unknown), or
//! `data` for a variable.
//! What the sources define is found in them, so that nothing is said twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The library's name for those who link with it.
const SONAME: &str = "libcuda.so.1";

fn main() {
    let names = fs::read_to_string("exports.txt").expect("the list lies beside this file");
    let mut defined = BTreeMap::new();
    for path in sources(Path::new("src")).expect("the sources lie beside this file") {
        println!("cargo::rerun-if-changed={}", path.display());
        let family = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        collect(&fs::read_to_string(&path).expect("a source is text"), family, &mut defined);
    }
    let mut twins: BTreeMap<String, String> = BTreeMap::new();
    let mut text = String::new();
    let mut table = String::new();
    let mut stubs = 0;
    for line in names.lines() {
        let (name, since) = line.split_once(' ').expect("a name and a version");
        if since == "data" {
            variable(&mut text, name);
            continue;
        }
        let base = name.strip_suffix("_ptsz").or_else(|| name.strip_suffix("_ptds"));
        match (defined.get(name), base.and_then(|base| defined.get(base))) {
            (Some(_), _) => {}
            (None, Some(function)) => {
                let text = twins.entry(function.family.clone()).or_default();
                twin(text, name, base.unwrap_or(name), &function.parameters);
            }
            (None, None) => {
                stub(&mut text, name, stubs);
                stubs += 1;
            }
        }
        let _ = writeln!(
            table,
            "    Export {{ name: {name:?}, since: {since}, address: Address({name} as *const ()) }},"
        );
    }
    let _ = write!(text, "/// Every name.\npub(crate) static EXPORTS: &[Export] = &[\n{table}];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("exports.rs"), text).expect("cargo's folder can be written");
    for (family, text) in twins {
        fs::write(out.join(format!("twins_{family}.rs")), text).expect("cargo's folder can be written");
    }
    println!("cargo::rerun-if-changed=exports.txt");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // The library's own calls go to itself, whatever was loaded before it under the same names.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}

fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// A function that the sources define: in which file, and its parameters as written.
struct Function {
    family: String,
    parameters: String,
}

/// Finds every exported function and its parameters, as written.
fn collect(source: &str, family: &str, defined: &mut BTreeMap<String, Function>) {
    const MARK: &str = "pub(crate) extern \"C\" fn ";
    for part in source.split(MARK).skip(1) {
        let (Some(open), Some(close)) = (part.find('('), part.find(") -> CUresult")) else { continue };
        let function = Function { family: family.to_owned(), parameters: part[open + 1..close].to_owned() };
        defined.insert(part[..open].to_owned(), function);
    }
}

/// The form for code in which stream 0 means the thread's own.
fn twin(text: &mut String, name: &str, base: &str, parameters: &str) {
    let parameters: Vec<&str> = parameters
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.starts_with("//"))
        .collect();
    let names: Vec<&str> = parameters.iter().filter_map(|one| Some(one.split_once(':')?.0)).collect();
    let _ = writeln!(
        text,
        "/// `{base}` with the thread's own stream as stream 0.\n#[unsafe(no_mangle)]\n\
         pub(crate) extern \"C\" fn {name}({}) -> CUresult {{\n    crate::threads::per_thread(|| {base}({}))\n}}\n",
        parameters.join(", "),
        names.join(", "),
    );
}

/// A variable that debuggers read and write.
fn variable(text: &mut String, name: &str) {
    let _ = writeln!(
        text,
        "/// For debuggers.\n#[unsafe(no_mangle)]\nstatic {name}: Variable = Variable::empty();\n"
    );
}

fn stub(text: &mut String, name: &str, number: usize) {
    let _ = writeln!(
        text,
        "/// Not there; counted as number {number}.\n#[unsafe(no_mangle)]\nextern \"C\" fn {name}() -> CUresult {{\n    \
         missing({name:?})\n}}\n",
    );
}
