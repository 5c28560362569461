//! What people type for `fastgpu model`, and the CSV files they name, as values; each refusal says what to write instead.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use fastgpu_core::units::Millis;
use fastgpu_sim::model::schedule::{JOBS_MAX, Job};
use fastgpu_sim::model::service::Service;

use crate::failure::Failure;
use crate::quantity::span_ms;

/// A larger file is not a list of durations.
const FILE_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// Beyond this the few longest tasks decide everything, and no formula helps.
const VARIATION_MAX: f64 = 10.0;

/// `12/h` as tasks per second.
pub(super) fn rate_per_s(text: &str) -> Result<f64, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("`--arrivals`: `{text}` {why}"))
            .help("write for example `12/h`, `0.5/min` or `200/d`")
    };
    let (count, unit) = text.split_once('/').ok_or_else(|| wrong("is not a number per time"))?;
    let unit_s = match unit.trim() {
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" | "hour" => 3_600.0,
        "d" | "day" => 86_400.0,
        _ => return Err(wrong("has an unknown unit of time")),
    };
    let count: f64 = count.trim().parse().map_err(|_| wrong("does not begin with a number"))?;
    if !(count.is_finite() && count > 0.0) {
        return Err(wrong("is no rate: it must be more than 0"));
    }
    Ok(count / unit_s)
}

/// `p95` as 0.95, `mean` as nothing.
pub(super) fn quantile(text: &str) -> Result<Option<f64>, Failure> {
    if text == "mean" {
        return Ok(None);
    }
    let percent = text.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
    match percent.filter(|percent| *percent > 0.0 && *percent < 100.0) {
        Some(percent) => Ok(Some(percent / 100.0)),
        None => Err(Failure::usage(format!("`--quantile`: `{text}` is neither `mean` nor a percentile"))
            .help("write `mean`, or a percentile between 0 and 100 such as `p95` or `p99.9`")),
    }
}

/// `exp:2h`, `lognormal:2h,1.5`, `csv:times.csv`, …
pub(super) fn service(text: &str) -> Result<Service, Failure> {
    const HELP: &str = "write `exp:2h`, `fixed:2h`, `lognormal:2h,1.5` (mean and deviation over mean), `gamma:2h,0.5`, \
                        `hyperexp:2h,2` or `csv:FILE`";
    let wrong = |why: &str| Failure::usage(format!("`--service`: `{text}` {why}")).help(HELP);
    let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("has no kind before a `:`"))?;
    if kind == "csv" {
        let rows = rows(Path::new(rest))?;
        let durations_s = rows.iter().map(|row| row.duration.0 as f64 / 1_000.0).collect();
        return Ok(Service::Empirical { durations_s });
    }
    let (mean, cv) = rest.split_once(',').map_or((rest, None), |(mean, cv)| (mean, Some(cv)));
    let mean_s = span_ms("--service", mean)? as f64 / 1_000.0;
    let cv = match cv.map(|cv| cv.trim().parse::<f64>()) {
        None => None,
        Some(Ok(cv)) if (0.0..=VARIATION_MAX).contains(&cv) => Some(cv),
        Some(_) => return Err(wrong("needs a deviation over mean from 0 to 10")),
    };
    match (kind, cv) {
        ("exp", None) => Ok(Service::Exponential { mean_s }),
        ("fixed", None) => Ok(Service::Fixed { mean_s }),
        ("lognormal" | "gamma" | "hyperexp", None) => {
            Err(wrong("needs a deviation over mean behind the mean and a comma"))
        }
        ("lognormal" | "gamma", Some(0.0)) => Ok(Service::Fixed { mean_s }),
        ("lognormal", Some(cv)) => Ok(Service::Lognormal { mean_s, cv }),
        ("gamma", Some(cv)) => Ok(Service::Gamma { mean_s, cv }),
        ("hyperexp", Some(cv)) if cv >= 1.0 => Ok(Service::Hyperexponential { mean_s, cv }),
        ("hyperexp", Some(_)) => Err(wrong("is impossible: hyperexponential times vary by 1 or more")),
        ("exp" | "fixed", Some(_)) => Err(wrong("takes a mean only; its deviation is known")),
        _ => Err(wrong("is of no known kind")),
    }
}

/// `4x30m`: GPUs and time.
pub(super) fn job(text: &str) -> Result<Job, Failure> {
    let wrong = || {
        Failure::usage(format!("`--task`: `{text}` is not GPUs and a time")).help("write for example `4x30m`")
    };
    let (gpus, duration) = text.split_once('x').ok_or_else(wrong)?;
    let gpus = gpus.trim().parse().map_err(|_| wrong())?;
    Ok(Job { gpus, duration: Millis(span_ms("--task", duration)?), arrival: Millis(0) })
}

/// The tasks of a CSV file; what has no column of its own is one GPU, submitted at 0.
pub(super) fn jobs(path: &Path) -> Result<Vec<Job>, Failure> {
    let jobs = rows(path)?;
    if jobs.len() > JOBS_MAX {
        return Err(Failure::usage(format!("`{}` has more than {JOBS_MAX} tasks", path.display()))
            .help("for so many, describe them by `--arrivals` and `--service csv:FILE`"));
    }
    Ok(jobs)
}

fn rows(path: &Path) -> Result<Vec<Job>, Failure> {
    const HELP: &str = "the first line names the columns: `duration`, and if wanted `gpus` and `arrival`";
    let shown = path.display();
    let text = contents(path)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header =
        reader.headers().map_err(|error| Failure::usage(format!("`{shown}`: {error}")).help(HELP))?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let Some(duration) = place("duration") else {
        return Err(Failure::usage(format!("`{shown}` has no column `duration`")).help(HELP));
    };
    let (gpus, arrival) = (place("gpus"), place("arrival"));
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let at = |what: String| Failure::usage(format!("`{shown}`, task {}: {what}", index + 1)).help(HELP);
        let record = record.map_err(|error| at(error.to_string()))?;
        let cell = |place: usize| record.get(place).unwrap_or_default();
        let gpus = match gpus.map(cell) {
            None => 1,
            Some(text) => text.parse().map_err(|_| at(format!("`{text}` is not a number of GPUs")))?,
        };
        let arrival = match arrival.map(cell) {
            None => 0,
            Some(text) => ms(text).ok_or_else(|| at(format!("`{text}` is not a time to arrive at")))?,
        };
        let text = cell(duration);
        let duration = ms(text)
            .filter(|ms| *ms > 0)
            .ok_or_else(|| at(format!("`{text}` is not a duration of more than 0")))?;
        rows.push(Job { gpus, duration: Millis(duration), arrival: Millis(arrival) });
    }
    if rows.is_empty() {
        return Err(Failure::usage(format!("`{shown}` has no tasks")).help(HELP));
    }
    Ok(rows)
}

fn contents(path: &Path) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::usage(format!("could not read `{}`: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("`{}` is larger than 256 MiB", path.display())));
    }
    Ok(text)
}

/// `2h`, or a number of seconds.
fn ms(text: &str) -> Option<u64> {
    match text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to ten years, checked"
        )]
        Ok(seconds) if (0.0..=fastgpu_api::units::SPAN_MS_MAX as f64 / 1_000.0).contains(&seconds) => {
            Some((seconds * 1_000.0).round() as u64)
        }
        Ok(_) => None,
        Err(_) => fastgpu_api::units::span_text(text).ok().map(|span| span.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert!((rate_per_s("12/h").unwrap() - 12.0 / 3_600.0).abs() < 1e-15);
        assert!((rate_per_s("0.5 / min").unwrap() - 0.5 / 60.0).abs() < 1e-15);
        for text in ["12", "12/year", "x/h", "0/h", "-1/h", "inf/h", "NaN/h"] {
            assert!(rate_per_s(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distributions_are_named_with_their_mean() {
        assert_eq!(service("exp:2h").unwrap(), Service::Exponential { mean_s: 7_200.0 });
        assert_eq!(service("lognormal:90s,1.5").unwrap(), Service::Lognormal { mean_s: 90.0, cv: 1.5 });
        for text in [
            "2h",
            "exp:2h,1",
            "gamma:2h",
            "hyperexp:2h,0.5",
            "lognormal:2h,99",
            "exp:2",
            "pareto:2h",
            "csv:/none",
        ] {
            assert!(service(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantiles_are_percentiles_or_the_mean() {
        assert_eq!((quantile("mean").unwrap(), quantile("p95").unwrap()), (None, Some(0.95)));
        for text in ["95", "p0", "p100", "px"] {
            assert!(quantile(text).is_err(), "{text}");
        }
    }
}
