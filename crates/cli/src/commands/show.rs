//! How tasks, shares and times look in a terminal. Shared by the listings.

use fastgpu_api::time::Time;
use fastgpu_api::view::{GpuAsk, TaskView};
use fastgpu_core::units::{GpuMilli, MemoryMib};

/// GPUs as they were asked for: `0.25`, `2`, `2×0.5`, `12 GiB`, `-`.
pub(super) fn gpu_ask(ask: &GpuAsk) -> String {
    if ask.count_max == 0 {
        return "-".to_owned();
    }
    let each = match (ask.share_milli.and_then(GpuMilli::new), ask.memory_mib.map(MemoryMib)) {
        (Some(share), None) if share.is_full() => None,
        (Some(share), Some(_)) if share.is_full() => None,
        (Some(share), _) => Some(share.to_string()),
        (None, Some(memory)) => Some(memory.to_string()),
        (None, None) => None,
    };
    let count = if ask.count_min == ask.count_max {
        ask.count_max.to_string()
    } else {
        format!("{}-{}", ask.count_min, ask.count_max)
    };
    match each {
        None => count,
        Some(each) if count == "1" => each,
        Some(each) => format!("{count}×{each}"),
    }
}

/// Where it runs: `gpu-0`, `gpu-0..3`, `node-1:gpu-0,2`.
pub(super) fn place(task: &TaskView) -> String {
    let Some(grant) = &task.grant else { return String::new() };
    let several = grant.len() > 1;
    let parts = grant.iter().map(|part| {
        let gpus = ranges(&part.gpus.iter().map(|gpu| gpu.index).collect::<Vec<_>>());
        match (several || part.node != "node-0", gpus.is_empty()) {
            (_, true) => part.node.clone(),
            (true, false) => format!("{}:gpu-{gpus}", part.node),
            (false, false) => format!("gpu-{gpus}"),
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// `0..3,6`
fn ranges(indices: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some((_, last)) if index == *last + 1 => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let text = |&(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}..{last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A span in at most five characters: `850ms`, `12s`, `3m20s`, `2h05m`, `4d01h`.
pub(super) fn span(ms: i64) -> String {
    let secs = ms.max(0) / 1_000;
    match secs {
        _ if ms < 1_000 => format!("{}ms", ms.max(0)),
        0..60 => format!("{secs}s"),
        60..3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3_600..86_400 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// How long a task has been waiting, or running, or ran.
pub(super) fn age(task: &TaskView, now_ms: i64) -> String {
    let ms = |time: &Time| time.0.0;
    let (from, to) = match (&task.started_at, &task.ended_at) {
        (Some(started), Some(ended)) => (ms(started), ms(ended)),
        (Some(started), None) if task.state != "queued" => (ms(started), now_ms),
        (None, Some(ended)) => (ms(&task.submitted_at), ms(ended)),
        _ => (ms(&task.submitted_at), now_ms),
    };
    span(to - from)
}

/// When it will probably start: `~12 min`, `~3 h`, nothing if nobody knows. A forecast to the second would
/// promise more than it knows.
pub(super) fn starts(at: Option<&Time>, now_ms: i64) -> String {
    const UNITS: [(i64, i64, &str); 4] = [
        (90_000, 1_000, "s"),
        (5_400_000, 60_000, "min"),
        (172_800_000, 3_600_000, "h"),
        (i64::MAX, 86_400_000, "d"),
    ];
    let Some(at) = at else { return String::new() };
    let ms = at.0.0.saturating_sub(now_ms).max(0);
    let (_, unit_ms, unit) = UNITS.into_iter().find(|&(below, ..)| ms < below).unwrap_or(UNITS[3]);
    format!("~{} {unit}", (ms / unit_ms + i64::from(ms % unit_ms * 2 >= unit_ms)).max(1))
}

/// GPUs in thousandths, as people count them: `3`, `0.25`.
pub(super) fn gpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How it ended, in a word: a code, a signal, nothing.
pub(super) fn exit(task: &TaskView) -> String {
    match (task.exit_code, task.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("sig {signal}"),
        (None, None) => String::new(),
    }
}

/// The wall clock; ages are for people, so a clock that is a little off does no harm.
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// A moment on the clock on the wall here.
pub(super) fn clock(time: &Time) -> String {
    let at = jiff::Timestamp::from_millisecond(time.0.0).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_read_as_they_were_asked_for() {
        let ask = |min, max, share, memory| {
            gpu_ask(&GpuAsk {
                count_min: min,
                count_max: max,
                share_milli: share,
                memory_mib: memory,
                models: Vec::new(),
            })
        };
        assert_eq!(ask(0, 0, None, None), "-");
        assert_eq!(ask(1, 1, Some(250), None), "0.25");
        assert_eq!(ask(8, 8, Some(1_000), None), "8");
        assert_eq!(ask(2, 4, Some(500), None), "2-4×0.5");
        assert_eq!(ask(1, 1, None, Some(12_288)), "12 GiB");
    }

    #[test]
    fn a_forecast_is_told_in_round_numbers() {
        let starts = |ms: i64| starts(Some(&Time(fastgpu_core::units::Timestamp(5_000 + ms))), 5_000);
        let told = [-7, 400, 29_600, 700_000, 7_000_000, 200_000_000].map(starts);
        assert_eq!(told, ["~1 s", "~1 s", "~30 s", "~12 min", "~2 h", "~2 d"]);
        assert_eq!(["250", "3000", "12500"].map(|milli| gpus(milli.parse().unwrap())), ["0.25", "3", "12.5"]);
    }

    #[test]
    fn spans_are_short_and_indices_are_grouped() {
        let spans = [850, 12_000, 200_000, 7_500_000, 349_200_000].map(span);
        assert_eq!(spans, ["850ms", "12s", "3m20s", "2h05m", "4d01h"]);
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0..2,5,7..8");
    }
}
