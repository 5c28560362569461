//! Policies by name: a preset, or settings as `order=shortest,preempt=any,wait_max=2d`, or both.

use std::collections::BTreeMap;

use fastgpu_core::config::Config;
use fastgpu_core::ids::Name;
use fastgpu_core::policy::{Order, Placement, Preempt, QueuePolicy};
use fastgpu_core::units::Millis;

use crate::input::shown;

/// What a simulated server is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// As it was written, for the report.
    pub name: String,
    /// The rules of every queue.
    pub queue: QueuePolicy,
    /// How long the first task that does not fit may be overtaken.
    pub overtake_max: Millis,
}

/// Why a policy cannot be understood, and what can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PolicyError {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

/// A hundred years: longer than any trace, so that nobody is ever waited for.
const FOREVER: Millis = Millis::from_secs(100 * 365 * 86_400);

/// The presets and what they stand for.
pub const PRESETS: &[(&str, &str)] = &[
    ("default", "what a server does that nobody configured"),
    ("fragmentation", "the default order; places where the mix of tasks loses the least room"),
    ("best_fit", "the default order; the fullest device and node that have room"),
    ("packing", "the default order; devices in use before idle ones"),
    ("spreading", "the default order; the emptiest node and device"),
    ("random", "the default order; any place that has room"),
    ("fifo", "first come, first served: devices are kept for whoever is first"),
    ("fifo-bf", "first come, first served; who fits skips ahead for ever"),
    ("sjf", "the shortest first, devices are kept for it; needs durations"),
    ("sjf-bf", "the shortest first; who fits skips ahead for ever"),
    ("las", "the least attained service first, with preemption; needs no durations"),
    ("predicted", "who is expected to end soonest by what others like it did first, with preemption"),
    ("srtf", "the shortest remaining first, with preemption; needs durations"),
];

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Names the word that makes no sense and lists those that do.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self {
            name: text.to_owned(),
            queue: QueuePolicy::default(),
            overtake_max: Config::default().overtake_max,
        };
        for (at, word) in text.split(',').map(str::trim).enumerate() {
            match word.split_once('=') {
                Some((key, value)) => policy.set(key.trim(), value.trim())?,
                None if at == 0 => policy.preset(word)?,
                None => {
                    return Err(PolicyError {
                        what: format!("`{}` in a policy has no value", shown(word)),
                        help: SETTINGS_HELP.to_owned(),
                    });
                }
            }
        }
        Ok(policy)
    }

    fn preset(&mut self, word: &str) -> Result<(), PolicyError> {
        let plain = word.replace('_', "-");
        let ordered = |order, preempt, overtake_max| {
            let queue = QueuePolicy { order, preempt, ..QueuePolicy::default() };
            (queue, overtake_max)
        };
        let placed =
            |placement| (QueuePolicy { placement, ..QueuePolicy::default() }, Config::default().overtake_max);
        let usual = Config::default().overtake_max;
        (self.queue, self.overtake_max) = match plain.as_str() {
            "default" => (QueuePolicy::default(), usual),
            "fifo" => ordered(Order::Fifo, Preempt::Never, Millis(0)),
            "fifo-bf" => ordered(Order::Fifo, Preempt::Never, FOREVER),
            "sjf" => ordered(Order::Shortest, Preempt::Never, Millis(0)),
            "sjf-bf" => ordered(Order::Shortest, Preempt::Never, FOREVER),
            "predicted" => ordered(Order::Predicted, Preempt::Any, usual),
            "las" => ordered(Order::LeastAttained, Preempt::Any, usual),
            "srtf" => ordered(Order::Shortest, Preempt::Any, usual),
            other => match Placement::from_code(&other.replace('-', "_")) {
                Some(placement) => placed(placement),
                None => {
                    let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                    return Err(PolicyError {
                        what: format!("there is no policy `{}`", shown(word)),
                        help: format!("known are {}; {SETTINGS_HELP}", known.join(", ")),
                    });
                }
            },
        };
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), PolicyError> {
        let code = value.replace('-', "_");
        let wrong = |known: String| PolicyError {
            what: format!("`{}` is no value of `{key}`", shown(value)),
            help: format!("write one of {known}"),
        };
        match key {
            "order" => {
                self.queue.order =
                    Order::from_code(&code).ok_or_else(|| wrong(words(Order::ALL, |o| o.code())))?;
            }
            "placement" => {
                self.queue.placement =
                    Placement::from_code(&code).ok_or_else(|| wrong(words(Placement::ALL, |p| p.code())))?;
            }
            "preempt" => {
                self.queue.preempt =
                    Preempt::from_code(&code).ok_or_else(|| wrong(words(Preempt::ALL, |p| p.code())))?;
            }
            "wait_max" => {
                self.queue.wait_max =
                    span(value).filter(|span| span.0 > 0).ok_or_else(|| wrong_span(key, value))?
            }
            "overtake_max" => self.overtake_max = span(value).ok_or_else(|| wrong_span(key, value))?,
            _ => {
                return Err(PolicyError {
                    what: format!("`{}` is no setting of a policy", shown(key)),
                    help: SETTINGS_HELP.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The configuration of a server with this policy for each of these queues.
    #[must_use]
    pub fn config<'a>(&self, queues: impl IntoIterator<Item = &'a Name>) -> Config {
        let usual = Config::default();
        let queues: BTreeMap<Name, QueuePolicy> = queues
            .into_iter()
            .cloned()
            .chain([Name::from(fastgpu_core::policy::DEFAULT_QUEUE)])
            .map(|name| (name, self.queue))
            .collect();
        Config { overtake_max: self.overtake_max, queues, ..usual }
    }
}

const SETTINGS_HELP: &str = "settings are order=, placement=, preempt=, wait_max= and overtake_max=, as in `sjf-bf,placement=packing`";

fn words<T: Copy>(all: &[T], code: impl Fn(T) -> &'static str) -> String {
    all.iter().map(|&choice| code(choice)).collect::<Vec<_>>().join(", ")
}

fn wrong_span(key: &str, value: &str) -> PolicyError {
    PolicyError {
        what: format!("`{key}={}` is no span of time", shown(value)),
        help: "write for example 90s, 10m, 48h, 2d or `never`".to_owned(),
    }
}

/// `90s`, `10m`, `4h`, `2d`, `500ms`, `never`; a fraction is fine.
#[must_use]
pub fn span(text: &str) -> Option<Millis> {
    if text == "never" {
        return Some(FOREVER);
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3_600e3,
        "d" => 86_400e3,
        "w" => 7.0 * 86_400e3,
        "y" => 365.0 * 86_400e3,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a limit, not an amount")]
    let most = FOREVER.0 as f64;
    let ms = number * unit_ms;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (0.0..=most).contains(&ms).then_some(Millis(ms as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_can_be_varied_by_settings() {
        let policy = Policy::parse("sjf-bf,placement=best-fit,wait_max=1.5h").unwrap();
        assert_eq!(policy.queue.order, Order::Shortest);
        assert_eq!(policy.queue.placement, Placement::BestFit);
        assert_eq!(policy.queue.wait_max, Millis::from_secs(5_400));
        assert_eq!(policy.overtake_max, FOREVER);
        policy.config([&Name::from("batch")]).check().unwrap();
    }

    #[test]
    fn every_preset_is_known() {
        for (name, _) in PRESETS {
            assert!(Policy::parse(name).is_ok(), "{name}");
        }
        for placement in Placement::ALL {
            assert_eq!(Policy::parse(placement.code()).unwrap().queue.placement, *placement);
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let refused = |text: &str| Policy::parse(text).unwrap_err().what;
        assert_eq!(refused("fgd"), "there is no policy `fgd`");
        assert_eq!(refused("fifo,order"), "`order` in a policy has no value");
        assert_eq!(refused("order=up"), "`up` is no value of `order`");
        assert_eq!(refused("speed=9"), "`speed` is no setting of a policy");
        assert_eq!(refused("wait_max=-3h"), "`wait_max=-3h` is no span of time");
        assert_eq!(refused("wait_max=0s"), "`wait_max=0s` is no span of time");
    }
}
