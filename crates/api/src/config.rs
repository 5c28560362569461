//! The live configuration on the wire, with the rules of its queues.

use std::collections::BTreeMap;

use fastgpu_core::config::Config;
use fastgpu_core::policy::{Order, Placement, Preempt, QueuePolicy};
use fastgpu_core::units::{Millis, PriceMicros};
use serde::{Deserialize, Serialize};

use crate::hint::nearest;
use crate::parse::{Field, Inside, Request, objects_once};
use crate::problem::{FieldError, pointer_segment};
use crate::units::shown;

/// What an operator can set while the server runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigView {
    /// Most tasks that may be live at once.
    pub queue_max: usize,
    /// Most tasks in one submit.
    pub batch_max: usize,
    /// How long the first task that does not fit may be overtaken.
    pub overtake_max_ms: u64,
    /// Price of one whole device for one hour, in millionths.
    pub price_micros: i64,
    /// Time limit of a task that names none.
    pub time_limit_default_ms: Option<u64>,
    /// The rules of each queue by its name; left out in a request, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "objects_once")]
    pub queues: Option<BTreeMap<String, PolicyView>>,
    /// Names this configuration; sent back with a new one, it is refused if another came in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The rules of one queue; what is left out is as in the default queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyView {
    /// Added to the priority of each of its tasks.
    pub priority: i32,
    /// Who goes first among tasks of equal priority and class: `fifo`, `least_attained`, `predicted`, `shortest`.
    pub order: String,
    /// Which of the places that fit is taken: `fragmentation`, `best_fit`, `packing`, `spreading`, `random`.
    pub placement: String,
    /// Who may be stopped to make room: `never`, `spot`, `any`.
    pub preempt: String,
    /// After this long a task goes before all others of its priority and class.
    pub wait_max_ms: u64,
}

impl Default for PolicyView {
    fn default() -> Self {
        policy_view(QueuePolicy::default())
    }
}

const POLICY_FIELDS: &[Field] = &[
    Field::plain::<i32>("priority", "a whole number"),
    Field::plain::<String>("order", "the word for an order like \"fifo\""),
    Field::plain::<String>("placement", "the word for a placement like \"fragmentation\""),
    Field::plain::<String>("preempt", "the word for whom to stop like \"spot\""),
    Field::plain::<u64>("wait_max_ms", "a number of milliseconds"),
];

impl Request for ConfigView {
    const FIELDS: &'static [Field] = &[
        Field::plain::<usize>("queue_max", "a whole number"),
        Field::plain::<usize>("batch_max", "a whole number"),
        Field::plain::<u64>("overtake_max_ms", "a number of milliseconds"),
        Field::plain::<i64>("price_micros", "a whole number of millionths"),
        Field::plain::<Option<u64>>("time_limit_default_ms", "a number of milliseconds or null"),
        Field::with::<Queues>(
            "queues",
            "an object of queues by their names",
            Inside::ObjectsByName(POLICY_FIELDS),
        ),
        Field::plain::<Option<String>>("revision", "the `revision` of the configuration before"),
    ];
}

/// [`ConfigView::queues`] on its own.
#[derive(Deserialize)]
struct Queues(
    #[serde(deserialize_with = "objects_once")]
    #[expect(dead_code, reason = "only read")]
    Option<BTreeMap<String, PolicyView>>,
);

/// The configuration as callers see it.
#[must_use]
pub fn config_view(config: &Config) -> ConfigView {
    let queue = |name: &str| (name.to_owned(), policy_view(config.queue(name).unwrap_or_default()));
    let mut view = ConfigView {
        queue_max: config.queue_max,
        batch_max: config.batch_max,
        overtake_max_ms: config.overtake_max.0,
        price_micros: config.price.0,
        time_limit_default_ms: config.time_limit_default.map(|span| span.0),
        queues: Some(config.queue_names().map(queue).collect()),
        revision: None,
    };
    view.revision = Some(revision_of(&view));
    view
}

/// The same configuration has the same revision, whoever set it and when.
fn revision_of(view: &ConfigView) -> String {
    let text = serde_json::to_vec(view).expect("numbers and maps of texts always serialize");
    blake3::hash(&text).to_hex().chars().take(16).collect()
}

/// The rules of a queue as callers see them.
#[must_use]
pub fn policy_view(policy: QueuePolicy) -> PolicyView {
    let QueuePolicy { priority, order, placement, preempt, wait_max } = policy;
    PolicyView {
        priority,
        order: order.code().to_owned(),
        placement: placement.code().to_owned(),
        preempt: preempt.code().to_owned(),
        wait_max_ms: wait_max.0,
    }
}

/// The configuration a caller sent in place of `before`; the core checks its numbers.
///
/// # Errors
/// Every word that names nothing, with those that do.
pub fn config_of(view: &ConfigView, before: &Config) -> Result<Config, Vec<FieldError>> {
    let mut errors = Vec::new();
    let queues = match &view.queues {
        None => before.queues.clone(),
        Some(queues) => queues
            .iter()
            .map(|(name, policy)| {
                let at = format!("/queues/{}", pointer_segment(name));
                (name.as_str().into(), policy_of(policy, &at, &mut errors))
            })
            .collect(),
    };
    let config = Config {
        queue_max: view.queue_max,
        batch_max: view.batch_max,
        overtake_max: Millis(view.overtake_max_ms),
        price: PriceMicros(view.price_micros),
        time_limit_default: view.time_limit_default_ms.map(Millis),
        queues,
    };
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

fn policy_of(view: &PolicyView, at: &str, errors: &mut Vec<FieldError>) -> QueuePolicy {
    let mut wrong = |key: &str, result: Result<(), String>| {
        if let Err(why) = result {
            errors.push(FieldError::new(format!("{at}/{key}"), why));
        }
    };
    let order = word("order", &view.order, Order::ALL, Order::code);
    let placement = word("placement", &view.placement, Placement::ALL, Placement::code);
    let preempt = word("preemption", &view.preempt, Preempt::ALL, Preempt::code);
    wrong("order", order.as_ref().map(drop).map_err(Clone::clone));
    wrong("placement", placement.as_ref().map(drop).map_err(Clone::clone));
    wrong("preempt", preempt.as_ref().map(drop).map_err(Clone::clone));
    QueuePolicy {
        priority: view.priority,
        order: order.unwrap_or_default(),
        placement: placement.unwrap_or_default(),
        preempt: preempt.unwrap_or_default(),
        wait_max: Millis(view.wait_max_ms),
    }
}

/// The choice with this word.
///
/// # Errors
/// A sentence with the words there are.
pub fn word<T: Copy>(
    what: &str,
    given: &str,
    all: &[T],
    code: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    if let Some(&found) = all.iter().find(|&&choice| code(choice) == given) {
        return Ok(found);
    }
    let words: Vec<&str> = all.iter().map(|&choice| code(choice)).collect();
    let near = nearest(given, &words).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(format!("there is no {what} `{}`; write one of {}{near}", shown(given), words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use crate::problem::Problem;

    const REST: &str = r#""queue_max":5,"batch_max":6,"overtake_max_ms":7,"price_micros":8,
        "time_limit_default_ms":null"#;

    fn sent(queues: &str) -> Result<ConfigView, Box<Problem>> {
        parse(format!("{{{REST},\"queues\":{queues}}}").as_bytes())
    }

    #[test]
    fn a_configuration_that_is_sent_back_changes_nothing() {
        let policy = QueuePolicy {
            priority: -3,
            order: Order::Shortest,
            placement: Placement::Packing,
            preempt: Preempt::Any,
            wait_max: Millis(9),
        };
        let config = Config { queues: [("nightly".into(), policy)].into(), ..Config::default() };
        let view = config_view(&config);
        let read: ConfigView = parse(serde_json::to_string(&view).unwrap().as_bytes()).unwrap();
        let again = config_of(&read, &Config::default()).unwrap();
        assert_eq!(again.queue("nightly"), Some(policy));
        assert_eq!(config_view(&again), view);
        assert_ne!(view.revision, config_view(&Config::default()).revision);
    }

    #[test]
    fn queues_that_are_left_out_stay_and_rules_that_are_left_out_are_the_usual_ones() {
        let before = Config { queues: [("old".into(), QueuePolicy::default())].into(), ..Config::default() };
        let view: ConfigView = parse(format!("{{{REST}}}").as_bytes()).unwrap();
        assert_eq!(config_of(&view, &before).unwrap().queues, before.queues);
        let view = sent(r#"{"new":{"order":"shortest"}}"#).unwrap();
        let after = config_of(&view, &before).unwrap();
        assert_eq!(after.queue("old"), None);
        assert_eq!(
            after.queue("new"),
            Some(QueuePolicy { order: Order::Shortest, ..QueuePolicy::default() })
        );
    }

    #[test]
    fn every_wrong_word_is_named_with_those_there_are() {
        let view = sent(r#"{"a":{"order":"fifi","placement":"x"},"b/c":{"preempt":""}}"#).unwrap();
        let errors = config_of(&view, &Config::default()).unwrap_err();
        let lines: Vec<_> =
            errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
        assert_eq!(
            lines,
            [
                "/queues/a/order there is no order `fifi`; write one of fifo, least_attained, predicted, \
                 shortest; did you mean `fifo`?",
                "/queues/a/placement there is no placement `x`; write one of fragmentation, best_fit, packing, \
                 spreading, random",
                "/queues/b~1c/preempt there is no preemption ``; write one of never, spot, any",
            ]
        );
    }

    #[test]
    fn nothing_but_an_object_of_queues_will_do() {
        assert_eq!(sent("null").unwrap().queues, None);
        for wrong in ["7", "[]", r#"["a"]"#] {
            let problem = sent(wrong).unwrap_err();
            assert!(
                problem.detail.starts_with("`/queues`: must be an object of queues"),
                "{}",
                problem.detail
            );
        }
        assert!(sent(r#"{"a":{},"a":{}}"#).is_err());
    }

    #[test]
    fn keys_of_queues_are_checked_one_by_one() {
        let problem = sent(r#"{"a":{"ordr":"fifo"},"b":{"priority":"high"},"c":7,"a":{}}"#).unwrap_err();
        let lines: Vec<_> =
            problem.errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
        assert_eq!(
            lines,
            [
                "/queues/a/ordr there is no key `ordr`; did you mean `order`?",
                "/queues/b/priority must be a whole number, not a text",
                "/queues/c must be an object",
                "/queues/a the name `a` is given twice; give it once",
            ]
        );
    }
}
