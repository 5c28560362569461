//! `fastgpu gpus`: what there is, what is free, who holds the rest.

use fastgpu_api::view::GpuView;
use fastgpu_core::ids::DeviceIndex;
use fastgpu_core::units::{GpuMilli, MemoryMib};

use super::watched;
use crate::args::WatchArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::settings::Settings;
use crate::table::{Cell, Table};

/// Cells of a bar that shows how much of a GPU is held.
const BAR_CELLS: u32 = 8;

pub(super) async fn run(flags: &WatchArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    watched(flags.watch, out, || async {
        let found = client.gpus().await?;
        out.list(&found, &found.items, |gpu| gpu.uuid.clone(), |out| table(&found.items, out))
    })
    .await
}

fn table(gpus: &[GpuView], out: &Output) -> Table {
    let mut table = Table::new(&["GPU", "MODEL", "MEMORY", "USED", "FREE", "FREE MEM", "NOW", "TASKS"])
        .or_say("no GPU was found; `fastgpu doctor` says why, `fastgpu up --simulate 8xA100-80GB` has software ones");
    let several = gpus.iter().any(|gpu| gpu.node != gpus[0].node);
    for gpu in gpus {
        let name = DeviceIndex(gpu.index).to_string();
        let place = if several { format!("{}:{name}", gpu.node) } else { name };
        let free = GpuMilli::new(gpu.free_share_milli).unwrap_or(GpuMilli::ZERO);
        table.row(vec![
            place.into(),
            if gpu.simulated {
                format!("{} (software GPU)", gpu.model).into()
            } else {
                Cell::from(&gpu.model)
            },
            MemoryMib(gpu.memory_mib).to_string().into(),
            match gpu.unusable {
                None => Cell::painted(&bar(gpu.free_share_milli), |text| out.paint(Tone::Busy, text)),
                Some(_) => Cell::painted("unusable", |text| out.paint(Tone::Bad, text)),
            },
            free.to_string().into(),
            MemoryMib(gpu.free_memory_mib).to_string().into(),
            now(gpu).into(),
            holders(gpu).into(),
        ]);
    }
    table
}

/// How much is held, as a bar.
pub(super) fn bar(free_milli: u32) -> String {
    let held = 1_000_u32.saturating_sub(free_milli);
    let full = if held == 0 { 0 } else { (held * BAR_CELLS).div_ceil(1_000) };
    (0..BAR_CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

/// Readings, where there are any: memory in use, share of time busy, power, temperature, errors of its memory.
fn now(gpu: &GpuView) -> String {
    let readings = [
        gpu.memory_used_mib.map(|used| MemoryMib(used).to_string().replace(' ', "")),
        gpu.utilization_percent.map(|percent| format!("{percent}%")),
        gpu.power_mw.map(|milliwatts| format!("{}W", milliwatts / 1_000)),
        gpu.temperature_c.map(|degrees| format!("{degrees}°C")),
        gpu.memory_errors.filter(|&errors| errors > 0).map(|errors| match errors {
            1 => "1 ECC error".to_owned(),
            _ => format!("{errors} ECC errors"),
        }),
    ];
    readings.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn holders(gpu: &GpuView) -> String {
    let mut holders: Vec<String> = gpu.tasks.iter().map(|task| task.id.clone()).collect();
    if gpu.others > 0 {
        holders.push(format!("+{} of other projects", gpu.others));
    }
    if let Some(why) = &gpu.unusable {
        holders.push(if holders.is_empty() { why.clone() } else { format!("({why})") });
    }
    holders.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_every_held_part_and_nothing_where_all_is_free() {
        assert_eq!([1_000, 999, 500, 0].map(bar), ["░░░░░░░░", "█░░░░░░░", "████░░░░", "████████"]);
    }
}
