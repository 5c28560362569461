//! Sentences in English.

use fastgpu_core::units::GpuMilli;

use super::{Mention, Spell};
use crate::explain::AdviceView;

/// The sentence for an advice on `task`; `None` for a word that this version does not know.
#[must_use]
pub fn advice(task: &str, advice: &AdviceView, spell: Spell) -> Option<String> {
    let words = match advice.code.as_str() {
        "ask_less" => less(advice, spell),
        "fits_now" => "nothing: it fits now and starts with the next round".to_owned(),
        "nothing_smaller" => {
            format!("nothing smaller would start now: everything that would do is {}", taken(advice))
        }
        "look_at_devices" => {
            format!("{} says what is the matter with those that are unusable", spell(Mention::Gpus))
        }
        "resume_nodes" => format!(
            "{} lists them; {} lets tasks start there again",
            spell(Mention::Nodes),
            spell(Mention::ResumeNode)
        ),
        "wait_or_cancel" => format!(
            "it starts by itself once a node has it; {} takes it out of the queue",
            spell(Mention::Cancel(task))
        ),
        "read_log" => format!("{} shows what it wrote", spell(Mention::Log(task))),
        "look_at_task" => spell(Mention::Why(advice.task.as_deref()?)),
        "let_go" => format!("{} lets it go", spell(Mention::LetGo(task))),
        "read_log_and_decide" => format!(
            "look at {}, then {} or {}",
            spell(Mention::Log(task)),
            spell(Mention::LetGo(task)),
            spell(Mention::Cancel(task))
        ),
        "queue_again" => format!("{} puts it into the queue again", spell(Mention::Retry(task))),
        "run_again" => format!(
            "{} runs it again; {} lets a task be tried again by itself",
            spell(Mention::Retry(task)),
            spell(Mention::Retries)
        ),
        "run_longer" => format!("give it longer with {}", spell(Mention::TimeLimit)),
        "more_host_memory" => format!("give it more with {}", spell(Mention::HostMemory)),
        "mend_program" => "mend the command or the folder and run it again".to_owned(),
        _ => return None,
    };
    Some(words)
}

fn less(advice: &AdviceView, spell: Spell) -> String {
    let share = advice.share_milli.and_then(GpuMilli::new).map(|share| share.to_string());
    let amount = share.or_else(|| advice.devices.map(|count| count.to_string()));
    let amount = amount.map(|amount| spell(Mention::Gpu(&amount)));
    let memory = advice.memory_mib.map(|mib| spell(Mention::GpuMemory(mib)));
    let spread = advice.spread.then(|| spell(Mention::Spread));
    let asked: Vec<String> = [amount, memory, spread].into_iter().flatten().collect();
    let model = match asked.is_empty() {
        true => format!("any model of GPU: leave out {}", spell(Mention::GpuModel)),
        false => "any model of GPU".to_owned(),
    };
    let host = format!("less {}", spell(Mention::Host));
    let asked = (!asked.is_empty()).then(|| asked.join(" and "));
    let parts = [asked, advice.any_model.then_some(model), advice.no_host.then_some(host)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn taken(advice: &AdviceView) -> String {
    let word = |code: &String| match code.as_str() {
        "kept" => "kept for others",
        "unusable" => "unusable",
        _ => "in use",
    };
    let words: Vec<&str> = advice.taken.iter().map(word).collect();
    if words.is_empty() { "in use".to_owned() } else { words.join(" or ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rest;

    fn ask_less() -> AdviceView {
        AdviceView { code: "ask_less".to_owned(), ..AdviceView::default() }
    }

    #[test]
    fn who_asks_by_http_is_told_keys_of_the_api_and_never_flags() {
        let half = AdviceView {
            share_milli: Some(500),
            memory_mib: Some(20_480),
            any_model: true,
            no_host: true,
            ..ask_less()
        };
        assert_eq!(
            advice("t-1", &half, rest).unwrap(),
            "`\"gpu\": 0.5` and `\"gpu_memory\": \"20480MiB\"`, any model of GPU, less `cpu` and `memory`"
        );
        for code in ["look_at_devices", "resume_nodes", "wait_or_cancel", "run_again", "let_go", "run_longer"]
        {
            let words = advice("t-1", &AdviceView { code: code.to_owned(), ..AdviceView::default() }, rest);
            let words = words.unwrap_or_else(|| panic!("{code} has no words"));
            assert!(!words.contains("--") && !words.contains("`fastgpu"), "{words}");
        }
    }

    #[test]
    fn a_word_of_a_later_version_has_no_sentence() {
        let later = AdviceView { code: "pray".to_owned(), ..AdviceView::default() };
        assert_eq!(advice("t-1", &later, rest), None);
    }
}
