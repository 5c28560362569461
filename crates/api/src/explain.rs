//! What would help a task, as callers see it: by stable words and numbers, beside the sentences.

use fastgpu_core::explain::{Advice, Less, Taken};
use fastgpu_core::ids::TaskId;
use serde::{Deserialize, Serialize};

use crate::words::{english, rest};

/// One thing that would help a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdviceView {
    /// A stable word.
    pub code: String,
    /// Another task that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// So many GPUs would start now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<u16>,
    /// This much of one GPU would start now, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_milli: Option<u32>,
    /// This much memory of each GPU would start now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// It would start if it took GPUs of several nodes.
    #[serde(skip_serializing_if = "is_false")]
    pub spread: bool,
    /// It would start if any model of GPU would do.
    #[serde(skip_serializing_if = "is_false")]
    pub any_model: bool,
    /// It would start if it asked for no processor and host memory.
    #[serde(skip_serializing_if = "is_false")]
    pub no_host: bool,
    /// Why nothing would start: `in_use`, `kept`, `unusable`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// An advice as callers see it.
#[must_use]
pub fn advice_view(advice: &Advice) -> AdviceView {
    let view = AdviceView { code: advice.code().to_owned(), ..AdviceView::default() };
    match advice {
        Advice::AskLess(Less { devices, share, memory, spread, any_model, no_host }) => AdviceView {
            devices: *devices,
            share_milli: share.map(|share| share.get()),
            memory_mib: memory.map(|memory| memory.0),
            spread: *spread,
            any_model: *any_model,
            no_host: *no_host,
            ..view
        },
        Advice::NothingSmaller(Taken { in_use, kept, unusable }) => {
            let words = [(*in_use, "in_use"), (*kept, "kept"), (*unusable, "unusable")];
            let taken = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()).collect();
            AdviceView { taken, ..view }
        }
        Advice::LookAtTask(other) => AdviceView { task: Some(other.to_string()), ..view },
        _ => view,
    }
}

/// The sentence for an advice, for whoever asks by HTTP.
#[must_use]
pub fn advice_words(task: TaskId, advice: &Advice) -> String {
    if let Advice::AskForWhatIsHere(too_big) = advice {
        return too_big.advice();
    }
    let words = english::advice(&task.to_string(), &advice_view(advice), rest);
    words.unwrap_or_else(|| advice.code().to_owned())
}
