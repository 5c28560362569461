//! What a machine has beside devices: its name, its processors, its memory.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use fastgpu_core::ids::Name;
use fastgpu_core::units::{CpuMilli, MemoryMib};

/// Kept back from tasks for the system and FastGPU: this much at most, ...
const RESERVE_MAX: MemoryMib = MemoryMib(1_024);
/// ... and on small machines this part of all there is.
const RESERVE_PART: u64 = 20;

/// The machine's own name.
#[must_use]
pub fn hostname() -> Name {
    let system = rustix::system::uname();
    match system.nodename().to_string_lossy().trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}

/// Cores this process may run on, with affinity and cgroup quota counted in.
pub(super) fn cpu() -> CpuMilli {
    let cores = available_parallelism().map_or(1, usize::from);
    CpuMilli(u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(1_000))
}

/// Memory to hand out: all there is, or what our cgroup may use, less a reserve.
pub(super) fn memory() -> MemoryMib {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let total = total_bytes(&read("/proc/meminfo")).unwrap_or(0);
    let limit = cgroup_limit_bytes(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
    let usable = MemoryMib(limit.unwrap_or(u64::MAX).min(total) / (1 << 20));
    let reserve = RESERVE_MAX.min(MemoryMib(usable.0 / RESERVE_PART));
    usable.checked_sub(reserve).unwrap_or_default()
}

/// The NUMA node a device is attached to, by its PCI address as the driver writes it (`00000000:3B:00.0`);
/// `None` where the machine does not say, as most with one node do.
pub(super) fn numa_node(pci_devices: &Path, address: &str) -> Option<u16> {
    let address = address.to_ascii_lowercase();
    let (domain, rest) = address.split_once(':')?;
    // The driver writes eight digits of the domain, the kernel four, and more only if they are needed.
    let domain = u32::from_str_radix(domain, 16).ok()?;
    let is_address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    if !rest.bytes().all(is_address) {
        return None;
    }
    let file = pci_devices.join(format!("{domain:04x}:{rest}")).join("numa_node");
    // -1 means that the machine does not say.
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The lowest memory limit from our cgroup up to the root, whichever version holds the controller.
fn cgroup_limit_bytes(mounted: &Path, memberships: &str) -> Option<u64> {
    let limits = memberships.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (root, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                (mounted.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // In a container the path may name folders that only the host can see; the root is ours then.
        let own = root.join(path.trim_start_matches('/'));
        let up_to_root = own.ancestors().take_while(|folder| folder.starts_with(&root));
        up_to_root.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_device_is_on_the_numa_node_that_the_kernel_names() {
        let devices = tempfile::tempdir().unwrap();
        let say = |address: &str, node: &str| {
            let folder = devices.path().join(address);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("numa_node"), node).unwrap();
        };
        say("0000:3b:00.0", "1\n");
        say("10000:3b:00.0", "2\n");
        say("0000:86:00.0", "-1\n");
        let node = |address| numa_node(devices.path(), address);
        assert_eq!(node("00000000:3B:00.0"), Some(1));
        assert_eq!(node("00010000:3B:00.0"), Some(2));
        for unknown in ["00000000:86:00.0", "00000000:AF:00.0", "", "0:../../x", "zz:3b:00.0"] {
            assert_eq!(node(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_holds() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a/memory.max", "4096\n");
        write(root.path(), "a/b/memory.max", "max\n");
        write(root.path(), "a/b/c/memory.max", "8192\n");
        assert_eq!(cgroup_limit_bytes(root.path(), "0::/a/b/c\n"), Some(4_096));
        assert_eq!(cgroup_limit_bytes(root.path(), "0::/\n"), None);
    }

    #[test]
    fn the_controller_is_found_on_hybrid_hierarchies_too() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory/memory.limit_in_bytes", "9223372036854771712\n");
        write(root.path(), "memory/box/memory.limit_in_bytes", "2048\n");
        let memberships = "9:name=systemd:/\n4:memory:/box\n1:cpu:/\n0::/\n";
        assert_eq!(cgroup_limit_bytes(root.path(), memberships), Some(2_048));
        assert_eq!(
            cgroup_limit_bytes(root.path(), "4:memory:/not/visible/here"),
            Some(9_223_372_036_854_771_712)
        );
    }

    #[test]
    fn unreadable_facts_are_no_limit_and_no_panic() {
        assert_eq!(total_bytes("MemTotal:       16331212 kB\nMemFree: 1 kB"), Some(16_331_212 * 1_024));
        assert_eq!(total_bytes("MemTotal: many kB"), None);
        for odd in ["", ":", "::", "0::", "4:memory", "\u{0}\n\n"] {
            assert_eq!(cgroup_limit_bytes(Path::new("/nonexistent"), odd), None, "{odd:?}");
        }
    }

    #[test]
    fn this_machine_has_a_name_a_core_and_memory() {
        assert!(!hostname().is_empty());
        assert!(cpu() >= CpuMilli(1_000));
        assert!(memory() > MemoryMib::ZERO);
    }
}
