//! How devices are connected: NVLinks, peer access, the way through the machine.
//!
//! Devices of one group (a server's board has eight) are linked with each other if their model has links.

use std::thread::available_parallelism;

use crate::abi::{Answer, Code, Handle, Out, Room, fixed};
use crate::call::{call, of_device};
use crate::layout::PciV3;
use crate::session::{Gpu, Session};
use fastgpu_softgpu::models::Architecture;

/// Through a common processor.
const LEVEL_NODE: u32 = 40;
/// Through several processors.
const LEVEL_SYSTEM: u32 = 50;
/// Devices under one processor: half a server's board.
const PER_PROCESSOR: usize = 4;
/// From this many links on, models are linked through switches.
const LINKS_WITH_SWITCHES: u32 = 12;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkState(device: Handle, link: u32, active: Out<u32>) -> u32 {
    linked(device, link, active, |gpu, peers| Ok(u32::from(gpu.links_are_up(peers))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkVersion(device: Handle, link: u32, version: Out<u32>) -> u32 {
    linked(device, link, version, |gpu, _| Ok(gpu.link_version()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkCapability(
    device: Handle,
    link: u32,
    capability: u32,
    has: Out<u32>,
) -> u32 {
    linked(device, link, has, |gpu, peers| match capability {
        0 | 2 => Ok(u32::from(gpu.links_are_up(peers))),
        5 => Ok(1),
        1 | 3 | 4 => Ok(0),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkRemoteDeviceType(device: Handle, link: u32, kind: Out<u32>) -> u32 {
    linked(device, link, kind, |gpu, peers| match (gpu.links_are_up(peers), gpu.model.nvlinks) {
        (false, _) => Err(Code::NotSupported),
        (true, LINKS_WITH_SWITCHES..) => Ok(2),
        (true, _) => Ok(0),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkErrorCounter(
    device: Handle,
    link: u32,
    counter: u32,
    errors: Out<u64>,
) -> u32 {
    call(|session| {
        errors.check()?;
        let peers = peers_of(session, device)?;
        session.with_gpu(device, |gpu| gpu.check_link(link, &peers))?;
        if counter < 5 { errors.put(0) } else { Err(Code::InvalidArgument) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkRemotePciInfo(device: Handle, link: u32, info: Out<PciV3>) -> u32 {
    remote_pci(device, link, info)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkRemotePciInfo_v2(device: Handle, link: u32, info: Out<PciV3>) -> u32 {
    remote_pci(device, link, info)
}

/// The switch that a link leads to, or the other device where there are two.
fn remote_pci(device: Handle, link: u32, info: Out<PciV3>) -> u32 {
    call(|session| {
        info.check()?;
        let peers = peers_of(session, device)?;
        let (own, switched) = session.with_gpu(device, |gpu| {
            gpu.check_link(link, &peers)?;
            if !gpu.links_are_up(&peers) {
                return Err(Code::NotSupported);
            }
            Ok((gpu.pci_v3(), gpu.model.nvlinks >= LINKS_WITH_SWITCHES))
        })?;
        if !switched {
            let peer = *peers.first().ok_or(Code::NotSupported)?;
            return info.put(session.at(peer, |gpu| Ok(gpu.pci_v3()))?);
        }
        let (domain, bus) = (own.domain, 0xc0 + link % 4);
        info.put(PciV3 {
            bus_id_legacy: fixed(&format!("{domain:04X}:{bus:02X}:00.0")),
            bus_id: fixed(&format!("{domain:08X}:{bus:02X}:00.0")),
            bus,
            device: 0,
            device_id: 0x22a3_10de,
            subsystem_id: 0,
            ..own
        })
    })
}

/// A call that tells something of one link, knowing the device's peers.
fn linked(
    device: Handle,
    link: u32,
    out: Out<u32>,
    value: impl FnOnce(&mut Gpu<'_>, &[usize]) -> Answer<u32>,
) -> u32 {
    call(|session| {
        out.check()?;
        let peers = peers_of(session, device)?;
        out.put(session.with_gpu(device, |gpu| {
            gpu.check_link(link, &peers)?;
            value(gpu, &peers)
        })?)
    })
}

/// The other devices of its group whose model has links too.
pub(crate) fn peers_of(session: &Session, device: Handle) -> Answer<Vec<usize>> {
    let place = session.place(device)?;
    let group = session.ledger.facts(place).link_group;
    let others = (0..session.ledger.device_count()).filter(|other| *other != place);
    let same_group = |other: &usize| session.ledger.facts(*other).link_group == group;
    let has_links = |other: &usize| session.at(*other, |gpu| Ok(gpu.model.nvlinks > 0)).unwrap_or(false);
    Ok(others.filter(same_group).filter(has_links).collect())
}

/// Whether two devices are linked directly or through switches.
fn are_linked(session: &Session, first: Handle, second: Handle) -> Answer<bool> {
    let own = session.with_gpu(first, |gpu| Ok(gpu.model.nvlinks > 0))?;
    Ok(own && peers_of(session, first)?.contains(&session.place(second)?))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetP2PStatus(first: Handle, second: Handle, index: u32, status: Out<u32>) -> u32 {
    const OK: u32 = 0;
    const NOT_SUPPORTED: u32 = 5;
    call(|session| {
        status.check()?;
        let linked = are_linked(session, first, second)?;
        let same = session.place(first)? == session.place(second)?;
        let games =
            session.with_gpu(second, |gpu| Ok(gpu.model.brand == fastgpu_softgpu::models::Brand::GeForce))?;
        let yes = match index {
            // Reading and writing work over the bus too, but not between boards for games.
            0 | 1 | 4 => linked || (!same && !games),
            2 | 3 => linked,
            _ => return Err(Code::InvalidArgument),
        };
        status.put(if yes { OK } else { NOT_SUPPORTED })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTopologyCommonAncestor(first: Handle, second: Handle, level: Out<u32>) -> u32 {
    call(|session| {
        level.check()?;
        let (first, second) = (session.place(first)?, session.place(second)?);
        if first == second {
            return Err(Code::NotSupported);
        }
        level.put(common_level(first, second))
    })
}

fn common_level(first: usize, second: usize) -> u32 {
    if first / PER_PROCESSOR == second / PER_PROCESSOR { LEVEL_NODE } else { LEVEL_SYSTEM }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTopologyNearestGpus(
    device: Handle,
    level: u32,
    count: Out<u32>,
    room: Room<Handle>,
) -> u32 {
    call(|session| {
        let place = session.place(device)?;
        let others = (0..session.ledger.device_count()).filter(|other| *other != place);
        let near: Vec<Handle> =
            others.filter(|other| common_level(place, *other) == level).map(Handle::of).collect();
        room.fill(count, &near)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetTopologyGpuSet(_processor: u32, count: Out<u32>, room: Room<Handle>) -> u32 {
    call(|session| {
        let all: Vec<Handle> = (0..session.ledger.device_count()).map(Handle::of).collect();
        room.fill(count, &all)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCpuAffinity(device: Handle, words: u32, set: Room<u64>) -> u32 {
    processors(device, words, set)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCpuAffinityWithinScope(
    device: Handle,
    words: u32,
    set: Room<u64>,
    _scope: u32,
) -> u32 {
    processors(device, words, set)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryAffinity(device: Handle, words: u32, set: Room<u64>, _scope: u32) -> u32 {
    of_device(device, |_| {
        if words == 0 {
            return Err(Code::InvalidArgument);
        }
        (0..words as usize).try_for_each(|at| set.put(at, u64::from(at == 0)))
    })
}

/// Every processor of this machine is near every device: none of them is real.
fn processors(device: Handle, words: u32, set: Room<u64>) -> u32 {
    of_device(device, |_| {
        if words == 0 {
            return Err(Code::InvalidArgument);
        }
        let count = available_parallelism().map_or(1, usize::from);
        (0..words as usize).try_for_each(|at| {
            let here = count.saturating_sub(at * 64).min(64);
            set.put(at, if here == 64 { u64::MAX } else { (1 << here) - 1 })
        })
    })
}

impl Gpu<'_> {
    /// A device that nothing is linked to has no links, whatever its model.
    pub(crate) fn check_link(&self, link: u32, peers: &[usize]) -> Answer<()> {
        match self.model.nvlinks {
            _ if !self.links_are_up(peers) => Err(Code::NotSupported),
            count if link < count => Ok(()),
            _ => Err(Code::InvalidArgument),
        }
    }

    fn links_are_up(&self, peers: &[usize]) -> bool {
        self.model.nvlinks > 0 && !peers.is_empty()
    }

    pub(crate) fn link_version(&self) -> u32 {
        // NVML numbers 1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0 from 1 on.
        match self.model.architecture {
            Architecture::Pascal => 1,
            Architecture::Volta | Architecture::Turing => 2,
            Architecture::Ampere => 5,
            Architecture::Ada | Architecture::Hopper => 6,
            Architecture::Blackwell => 7,
        }
    }

    /// Speed of one link in MB/s.
    pub(crate) fn link_megabytes(&self) -> u32 {
        match self.model.architecture {
            Architecture::Pascal => 20_000,
            Architecture::Volta | Architecture::Turing => 25_781,
            Architecture::Ampere => 25_000,
            Architecture::Ada | Architecture::Hopper => 26_562,
            Architecture::Blackwell => 53_125,
        }
    }
}
