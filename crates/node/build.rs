//! Builds the two libraries of the software GPU and hands them to the compiler as files: linked into the
//! binary, their exports would take the place of the driver's.
//!
//! They are built by a cargo of their own, in a folder beside the usual ones, so that nothing waits for
//! anything and a second build finds everything done.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Package, what cargo calls its library, and what programs call it.
const LIBRARIES: [(&str, &str, &str); 2] = [
    ("fastgpu-softgpu-cuda", "libcuda.so", "libcuda.so.1"),
    ("fastgpu-softgpu-nvml", "libnvidia_ml.so", "libnvidia-ml.so.1"),
];
/// Folders whose change makes other libraries, from the workspace's.
const SOURCES: [&str; 4] = ["crates/softgpu", "crates/softgpu-cuda", "crates/softgpu-nvml", "Cargo.lock"];
/// A folder with libraries that were built already, such as against an older C library for a package.
const BUILT_ELSEWHERE: &str = "FASTGPU_SOFTGPU_LIBRARIES";
/// What the outer cargo tells its compilers and must not tell the inner one.
const NOT_INHERITED: [&str; 6] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new("../..");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-env-changed={BUILT_ELSEWHERE}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let built_folder = match env::var_os(BUILT_ELSEWHERE) {
        Some(folder) => PathBuf::from(folder),
        None => build(&workspace.join("Cargo.toml"), &target_folder(&out).join("softgpu"))?,
    };
    let mut hash = FNV_BASIS;
    for (_, built, name) in LIBRARIES {
        let path = built_folder.join(built);
        if env::var_os(BUILT_ELSEWHERE).is_some() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let bytes = fs::read(path)?;
        hash = bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
        fs::write(out.join(name), bytes)?;
    }
    println!("cargo::rustc-env=FASTGPU_SOFTGPU_HASH={hash:016x}");
    Ok(())
}

/// The hash only tells builds apart; nobody is kept from making one that has the same.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// `target`, from `target/…/build/fastgpu-node-0123/out`: shared by all profiles and features.
fn target_folder(out: &Path) -> PathBuf {
    let marked = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.or_else(|| out.ancestors().nth(4)).unwrap_or(out).to_owned()
}

/// Builds both libraries; says in which folder they are.
fn build(manifest: &Path, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("cargo names itself to build scripts")?);
    // What is needed was fetched for this build already.
    cargo.args(["build", "--release", "--locked", "--offline", "--quiet", "--lib"]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(folder);
    for (package, ..) in LIBRARIES {
        cargo.args(["--package", package]);
    }
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    match cargo.status()? {
        status if status.success() => Ok(folder.join("release")),
        status => Err(format!("the libraries of the software GPU could not be built ({status})").into()),
    }
}
