//! Values asked for by number: many small questions in one call.

use crate::abi::{Answer, Code, Handle, Room};
use crate::call::call;
use crate::gauge;
use crate::layout::FieldValue;
use crate::links::peers_of;
use crate::power::{OPERATING_MAX_C, SHUTDOWN_C, SLOWDOWN_C};
use crate::session::{Gpu, Session};

/// A value with NVML's number of its type.
#[derive(Debug, Clone, Copy)]
enum Typed {
    /// Type 1.
    Word(u32),
    /// Type 3.
    Long(u64),
    /// Type 5.
    Signed(i32),
}

/// Links to switches: a driver takes the question and leaves the answer as it was.
const SWITCH_LINKS: u32 = 147;
/// Highest number of values in one call; more than there are fields.
const VALUES_MAX: i32 = 4_096;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFieldValues(device: Handle, count: i32, values: Room<FieldValue>) -> u32 {
    call(|session| {
        if count <= 0 || count > VALUES_MAX {
            return Err(Code::InvalidArgument);
        }
        let peers = peers_of(session, device)?;
        let count = usize::try_from(count).map_err(|_| Code::InvalidArgument)?;
        (0..count).try_for_each(|at| {
            let asked = values.get(at)?;
            values.put(at, answered(session, device, &peers, asked)?)
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceClearFieldValues(device: Handle, count: i32, values: Room<FieldValue>) -> u32 {
    call(|session| {
        if count <= 0 || count > VALUES_MAX || values.is_null() {
            return Err(Code::InvalidArgument);
        }
        // There is nothing that could be cleared: counters of links stay at zero.
        session.with_gpu(device, |_| Ok(()))
    })
}

fn answered(session: &Session, device: Handle, peers: &[usize], asked: FieldValue) -> Answer<FieldValue> {
    if asked.field == SWITCH_LINKS {
        return session.with_gpu(device, |_| Ok(asked));
    }
    session.with_gpu(device, |gpu| {
        let at_us = i64::try_from(session.ledger.wall_us(gpu.now_ns())).unwrap_or(i64::MAX);
        let mut answer = FieldValue { at_us, latency_us: 0, value_type: 0, code: 0, value: 0, ..asked };
        match gpu.field(asked.field, asked.scope, peers) {
            Ok(Typed::Word(value)) => (answer.value_type, answer.value) = (1, value.into()),
            Ok(Typed::Long(value)) => (answer.value_type, answer.value) = (3, value),
            Ok(Typed::Signed(value)) => {
                (answer.value_type, answer.value) = (5, u64::from(value.cast_unsigned()));
            }
            Err(code) => answer.code = code as u32,
        }
        Ok(answer)
    })
}

impl Gpu<'_> {
    fn field(&mut self, field: u32, scope: u32, peers: &[usize]) -> Answer<Typed> {
        match field {
            1..=31 | 92 | 93 | 142..=145 => self.ecc_field(field),
            32..=73 | 84..=91 | 96..=141 | 146..=168 | 200..=225 => self.link_field(field, scope, peers),
            74..=83 | 185..=196 | 269..=271 => self.power_field(field, scope),
            94 | 95 | 169 | 173..=183 => Ok(Typed::Word(0)),
            184 | 199 => Ok(Typed::Word(u32::from(self.model.mig))),
            // Whether a reset, or draining first, is wanted.
            226 | 227 => Ok(Typed::Word(0)),
            230 => Ok(Typed::Word(self.state.faults.recovery_action)),
            228 | 229 => Ok(Typed::Word(0)),
            301 | 302 => Ok(Typed::Long(0)),
            // Numbers that the driver has never given.
            274 | 289..=293 | 296..=300 | 303.. => Err(Code::InvalidArgument),
            _ => Err(Code::NotSupported),
        }
    }

    fn ecc_field(&self, field: u32) -> Answer<Typed> {
        let errors = |kind, counter| self.ecc_errors(kind, counter).map(Typed::Long);
        match field {
            1 | 2 => self.with_ecc().map(|()| Typed::Long(1)),
            3 => errors(0, 0),
            4 => errors(1, 0),
            5 => errors(0, 1),
            6 => errors(1, 1),
            142..=145 => {
                let rows = self.remapped_rows()?;
                Ok(Typed::Long(rows[field as usize - 142].into()))
            }
            _ => Err(Code::NotSupported),
        }
    }

    fn link_field(&self, field: u32, scope: u32, peers: &[usize]) -> Answer<Typed> {
        let up = !peers.is_empty();
        match field {
            _ if self.model.nvlinks == 0 || !up => Err(Code::NotSupported),
            91 => Ok(Typed::Word(self.model.nvlinks)),
            90 => Ok(Typed::Word(self.link_megabytes())),
            84..=89 => self.link_speed(field - 84, peers),
            132..=137 => self.link_speed(field - 132 + 6, peers),
            164 => self.link_speed(scope, peers),
            165 => self.check_link(scope, peers).map(|()| Typed::Word(1)),
            166 => self.check_link(scope, peers).map(|()| Typed::Word(self.link_version())),
            38 | 45 | 52 | 59 | 160 => Ok(Typed::Long(0)),
            161..=163 => self.check_link(scope, peers).map(|()| Typed::Long(0)),
            138..=141 => Ok(Typed::Long(0)),
            _ => Err(Code::NotSupported),
        }
    }

    fn link_speed(&self, link: u32, peers: &[usize]) -> Answer<Typed> {
        self.check_link(link, peers)?;
        Ok(Typed::Word(self.link_megabytes()))
    }

    fn power_field(&mut self, field: u32, scope: u32) -> Answer<Typed> {
        let below = |threshold: u32| {
            let margin = i64::from(OPERATING_MAX_C) - i64::from(threshold);
            i32::try_from(margin).map(Typed::Signed).map_err(|_| Code::Unknown)
        };
        match field {
            74..=81 | 269..=271 => Ok(Typed::Long(0)),
            82 if self.has_wide_memory() => Ok(Typed::Word(self.temperature_c().saturating_sub(1))),
            83 | 191 => Ok(Typed::Long(gauge::energy_mj(&self.state, self.model))),
            // Scope 0 is the device, 1 the module, 2 the memory.
            185..=192 if scope != 0 => Err(Code::NotSupported),
            185 => Ok(Typed::Word(gauge::power_average_mw(&self.state, self.model))),
            186 => Ok(Typed::Word(gauge::power_instant_mw(&self.state, self.model))),
            187 => Ok(Typed::Word(self.model.power.min)),
            188 => Ok(Typed::Word(self.model.power.max)),
            189 => Ok(Typed::Word(self.model.power.limit)),
            190 | 192 => Ok(Typed::Word(gauge::power_limit_mw(&self.state, self.model))),
            193 => below(SHUTDOWN_C),
            194 => below(SLOWDOWN_C),
            195 => Ok(Typed::Signed(0)),
            196 => below(OPERATING_MAX_C),
            _ => Err(Code::NotSupported),
        }
    }
}
