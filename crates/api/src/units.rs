//! How people write quantities: `12GiB`, `1h30m`, `0.5`. Read here once, for the API and the command line.
//!
//! Every refusal says what was given, what is wrong with it, and what to write instead.

use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};

/// No quantity needs more characters; a longer one is not shown back in full.
const TEXT_BYTES_MAX: usize = 64;
/// One PiB: beyond it a number of MiB is a slip, and sums could overflow.
pub const MEMORY_MIB_MAX: u64 = 1 << 30;
/// Ten years: beyond it a time is a slip.
pub const SPAN_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
/// More cores than any machine has.
pub const CPU_CORES_MAX: f64 = 100_000.0;
/// More devices than any cluster has; a count of devices is stored in 16 bits.
pub const DEVICES_MAX: u16 = 10_000;

/// Why a text is not a quantity: what is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {instead}")]
pub struct UnitError {
    /// What was given, and why it cannot be taken.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl UnitError {
    fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }
}

/// What a number of GPUs means: a part of one device, or whole devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuNumber {
    /// Less than one device.
    Share(GpuMilli),
    /// This many whole devices.
    Whole(u16),
}

const GPU_INSTEAD: &str = "write a share of one GPU from 0.001 to 1, or a whole number of GPUs";

/// Reads a number of GPUs: `0.5` is half a device, `2` is two whole ones.
///
/// # Errors
/// For zero, negative numbers, fractions above 1, and what is no number at all.
pub fn gpu_number(value: f64) -> Result<GpuNumber, UnitError> {
    if value.is_nan() || value.is_infinite() {
        return Err(UnitError::new(format!("{value} is not a number of GPUs"), GPU_INSTEAD));
    }
    if value == 0.0 {
        return Err(UnitError::new(
            "0 GPUs is not a share",
            "for a task without a GPU write `\"none\"` (on the command line `--gpu none`)",
        ));
    }
    if value < 0.0 {
        return Err(UnitError::new(format!("{value} GPUs is less than nothing"), GPU_INSTEAD));
    }
    if value > f64::from(DEVICES_MAX) {
        return Err(UnitError::new(
            format!("{value} GPUs is more than the {DEVICES_MAX} that one task may ask for"),
            GPU_INSTEAD,
        ));
    }
    if value < 1.0 {
        return share(value).map(
            |milli| {
                if milli.is_full() { GpuNumber::Whole(1) } else { GpuNumber::Share(milli) }
            },
        );
    }
    if value.fract() != 0.0 {
        return Err(UnitError::new(
            format!("{value} GPUs is neither a share of one GPU nor a whole number"),
            format!(
                "write {} or {}, or the same share of several GPUs: {{\"count\": 2, \"share\": {}}}",
                value.floor(),
                value.ceil(),
                (value / 2.0).clamp(0.001, 1.0)
            ),
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 10 000, checked above"
    )]
    let whole = value as u16;
    Ok(GpuNumber::Whole(whole))
}

/// Reads a share of one device: more than 0, at most 1, to the nearest thousandth.
///
/// # Errors
/// When it is outside that range.
pub fn share(value: f64) -> Result<GpuMilli, UnitError> {
    let instead = "write a share from 0.001 to 1";
    if value.is_nan() || value <= 0.0 || value > 1.0 {
        return Err(UnitError::new(format!("{value} is not a share of one GPU"), instead));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1 000, checked above"
    )]
    let milli = (value * 1_000.0).round() as u32;
    match GpuMilli::new(milli) {
        Some(milli) if milli > GpuMilli::ZERO => Ok(milli),
        _ => Err(UnitError::new(format!("{value} of a GPU is too little"), "the smallest share is 0.001")),
    }
}

/// Reads a number of GPUs from text; `None` means `none`.
///
/// # Errors
/// As [`gpu_number`].
pub fn gpu_text(text: &str) -> Result<Option<GpuNumber>, UnitError> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let value: f64 = text
        .trim()
        .parse()
        .map_err(|_| UnitError::new(format!("`{}` is not a number of GPUs", shown(text)), GPU_INSTEAD))?;
    gpu_number(value).map(Some)
}

const MEMORY_INSTEAD: &str = "write for example `12GiB`, `12GB`, `500M` or a whole number of MiB";

/// Reads memory: `12GiB`, `12Gi`, `12G` (2^30 bytes), `12GB` (10^9 bytes), and so on from K to T; a plain
/// number means MiB. Rounded up to whole MiB: an ask never shrinks.
///
/// # Errors
/// When it is no such text, zero, negative, or more than a PiB.
pub fn memory_text(text: &str) -> Result<MemoryMib, UnitError> {
    let (value, unit) = number_and_unit(text).ok_or_else(|| {
        UnitError::new(format!("`{}` is not an amount of memory", shown(text)), MEMORY_INSTEAD)
    })?;
    let bytes = match unit.to_ascii_lowercase().as_str() {
        "" | "m" | "mi" | "mib" => 1_048_576.0,
        "k" | "ki" | "kib" => 1_024.0,
        "g" | "gi" | "gib" => 1_073_741_824.0,
        "t" | "ti" | "tib" => 1_099_511_627_776.0,
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => {
            return Err(UnitError::new(
                format!("`{}` is not a unit of memory in `{}`", shown(unit), shown(text)),
                MEMORY_INSTEAD,
            ));
        }
    };
    memory_number((value * bytes / 1_048_576.0).ceil())
}

/// Reads memory given as a number of MiB.
///
/// # Errors
/// When it is zero, negative, no whole number, or more than a PiB.
pub fn memory_number(mib: f64) -> Result<MemoryMib, UnitError> {
    if mib.is_nan() || mib <= 0.0 {
        return Err(UnitError::new(format!("{mib} MiB is not an amount of memory"), MEMORY_INSTEAD));
    }
    #[expect(clippy::cast_precision_loss, reason = "2^30 is exact")]
    if mib > MEMORY_MIB_MAX as f64 {
        return Err(UnitError::new(format!("{mib} MiB is more than a PiB"), MEMORY_INSTEAD));
    }
    if mib.fract() != 0.0 {
        return Err(UnitError::new(format!("{mib} is not a whole number of MiB"), MEMORY_INSTEAD));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 1 to 2^30, checked above"
    )]
    Ok(MemoryMib(mib as u64))
}

const SPAN_INSTEAD: &str = "write for example `90s`, `1h30m`, `2h` or `1d`";

/// Reads a span of time: `500ms`, `90s`, `1h30m`, `2h`, `1d`, also with a fraction (`1.5h`).
///
/// # Errors
/// When a unit is missing or unknown, and for zero, negative spans and more than ten years.
pub fn span_text(text: &str) -> Result<Millis, UnitError> {
    checked_span(text, milliseconds_of(text)?)
}

/// Reads a time from SIGTERM to SIGKILL: a span of time, or `0s` for SIGKILL at once.
///
/// # Errors
/// As [`span_text`], but for zero.
pub fn grace_text(text: &str) -> Result<Millis, UnitError> {
    if text.trim() == "0" {
        return Ok(Millis(0));
    }
    match milliseconds_of(text)? {
        0.0 => Ok(Millis(0)),
        ms => checked_span(text, ms),
    }
}

fn checked_span(text: &str, ms: f64) -> Result<Millis, UnitError> {
    span_number(ms.round())
        .map_err(|error| UnitError::new(format!("`{}`: {}", shown(text), error.what), SPAN_INSTEAD))
}

fn milliseconds_of(text: &str) -> Result<f64, UnitError> {
    let refuse = |why: &str| UnitError::new(format!("`{}` {why}", shown(text)), SPAN_INSTEAD);
    let mut rest = text.trim();
    let mut total_ms = 0.0;
    if rest.is_empty() {
        return Err(refuse("is not a time"));
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let value: f64 = rest[..digits].parse().map_err(|_| refuse("is not a time"))?;
        rest = rest[digits..].trim_start();
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit_ms = match &rest[..letters] {
            "ms" => 1.0,
            "s" | "sec" | "secs" => 1e3,
            "m" | "min" | "mins" => 60e3,
            "h" | "hour" | "hours" => 3_600e3,
            "d" | "day" | "days" => 86_400e3,
            "" => return Err(refuse("has no unit of time")),
            _ => return Err(refuse("has an unknown unit of time")),
        };
        rest = rest[letters..].trim_start();
        total_ms += value * unit_ms;
    }
    Ok(total_ms)
}

/// Reads a span given as a number of milliseconds.
///
/// # Errors
/// When it is zero, negative, no whole number, or more than ten years.
pub fn span_number(ms: f64) -> Result<Millis, UnitError> {
    if ms.is_nan() || ms <= 0.0 {
        return Err(UnitError::new(format!("{ms} ms is not a span of time"), SPAN_INSTEAD));
    }
    #[expect(clippy::cast_precision_loss, reason = "ten years of milliseconds are exact")]
    if ms > SPAN_MS_MAX as f64 {
        return Err(UnitError::new("more than ten years is no limit", "leave it out for no limit"));
    }
    if ms.fract() != 0.0 {
        return Err(UnitError::new(format!("{ms} is not a whole number of milliseconds"), SPAN_INSTEAD));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within ten years, checked above"
    )]
    Ok(Millis(ms as u64))
}

/// Reads a time from SIGTERM to SIGKILL given as a number of milliseconds; 0 means SIGKILL at once.
///
/// # Errors
/// As [`span_number`], but for zero.
pub fn grace_number(ms: f64) -> Result<Millis, UnitError> {
    if ms == 0.0 { Ok(Millis(0)) } else { span_number(ms) }
}

/// Reads a number of cores; 0 means "not counted".
///
/// # Errors
/// When it is negative, no number, or more than any machine has.
pub fn cpu_number(cores: f64) -> Result<CpuMilli, UnitError> {
    if !(0.0..=CPU_CORES_MAX).contains(&cores) {
        return Err(UnitError::new(
            format!("{cores} is not a number of cores"),
            "write for example `4` or `0.5`",
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 10^8, checked above"
    )]
    Ok(CpuMilli((cores * 1_000.0).round() as u32))
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

/// As much of a caller's text as an answer repeats, without anything a terminal would act on.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_BYTES_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(TEXT_BYTES_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_people_write_it_and_never_rounded_down() {
        let read = ["12GiB", "12Gi", "12G", "12GB", "500M", "4096", "1.5 GiB", "1b", "2tb"]
            .map(|text| memory_text(text).unwrap().0);
        assert_eq!(read, [12_288, 12_288, 12_288, 11_445, 500, 4_096, 1_536, 1, 1_907_349]);
        for bad in ["", "GiB", "-1", "0", "12 apples", "NaN", "1e400", "9999999999999999999999T", "1.2.3G"] {
            assert!(memory_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        let read =
            ["500ms", "90s", "1h30m", "2h", "1d", "1.5h", "1 h 5 min"].map(|text| span_text(text).unwrap().0);
        assert_eq!(read, [500, 90_000, 5_400_000, 7_200_000, 86_400_000, 5_400_000, 3_900_000]);
        let refused =
            ["90", "", "0s", "-5s", "5 parsecs", "11000d"].map(|text| span_text(text).unwrap_err().what);
        assert_eq!(
            refused,
            [
                "`90` has no unit of time",
                "`` is not a time",
                "`0s`: 0 ms is not a span of time",
                "`-5s` is not a time",
                "`5 parsecs` has an unknown unit of time",
                "`11000d`: more than ten years is no limit",
            ]
        );
    }

    #[test]
    fn a_grace_may_be_nothing_and_is_a_time_like_others_otherwise() {
        let read = ["0", "0s", " 0ms", "0h0m", "30s"].map(|text| grace_text(text).unwrap().0);
        assert_eq!(read, [0, 0, 0, 0, 30_000]);
        assert_eq!((grace_number(0.0), grace_number(5.0)), (Ok(Millis(0)), Ok(Millis(5))));
        assert!(grace_number(-1.0).is_err());
        for bad in ["", "00", "5", "-0s", "0 parsecs", "0.0001ms"] {
            assert!(grace_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_of_gpus_is_a_share_or_whole() {
        assert_eq!(gpu_number(0.5), Ok(GpuNumber::Share(GpuMilli::new(500).unwrap())));
        assert_eq!(gpu_number(0.3333), Ok(GpuNumber::Share(GpuMilli::new(333).unwrap())));
        assert_eq!(gpu_number(1.0), Ok(GpuNumber::Whole(1)));
        assert_eq!(gpu_number(8.0), Ok(GpuNumber::Whole(8)));
        assert_eq!(gpu_text("none"), Ok(None));
        for bad in [0.0, -0.0, -1.0, 1.5, 0.0001, f64::NAN, f64::INFINITY, 1e9] {
            assert!(gpu_number(bad).is_err(), "{bad}");
        }
        assert!(gpu_number(0.0).unwrap_err().instead.contains("none"));
        assert!(gpu_number(1.5).unwrap_err().instead.contains("\"share\": 0.75"));
    }

    #[test]
    fn what_is_shown_back_is_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert!(shown(&"x".repeat(10_000)).chars().count() <= TEXT_BYTES_MAX + 1);
    }
}
