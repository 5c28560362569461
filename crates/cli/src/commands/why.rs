//! `fastgpu why`: what a task waits for, or how it ended.

use fastgpu_api::view::ExplainView;
use fastgpu_api::words::{Mention, english};

use super::show;
use crate::args::WhyArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::find;
use crate::output::{Output, Tone};
use crate::settings::Settings;
use crate::visible::visible;

pub(super) async fn run(flags: &WhyArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let task = find::task(&client, &flags.task).await?;
    let answer = client.explain(&task.id).await?;
    out.one(&answer, &task.id, |out| lines(&answer, out).iter().try_for_each(|line| out.data(line)))?;
    Ok(0)
}

/// The answer as a person reads it: the headline, the facts, what would help.
pub(super) fn lines(answer: &ExplainView, out: &Output) -> Vec<String> {
    let mut head = answer.headline.clone();
    if !head.starts_with(&answer.id) {
        head = format!("{} {head}", answer.id);
    }
    if let Some(position) = &answer.position
        && !head.contains("position")
    {
        head = format!("{head} · position {} of {}", position.place, position.of);
    }
    if let Some(at) = &answer.earliest_at
        && !head.contains("at the latest")
    {
        head = format!("{head} · starts by {}", show::clock(at));
    }
    let mut lines = vec![out.paint(Tone::Bold, &visible(&head))];
    lines.extend(answer.lines.iter().map(|line| format!("  {}", visible(line))));
    if let Some(at) = &answer.expected_at {
        let basis = match answer.expected_basis.as_deref() {
            Some("limits") => "by the time limits of what runs",
            _ => "by stated and learned run times",
        };
        let starts = show::starts(Some(at), show::now_ms());
        lines.push(format!("  expected to start in {starts}, {basis}"));
    }
    lines.extend(
        suggestions(answer).iter().map(|line| format!("  {} {}", out.paint(Tone::Note, "→"), visible(line))),
    );
    lines
}

/// What would help, as it is typed. Of what this version does not know, the server's own sentence stays.
fn suggestions(answer: &ExplainView) -> Vec<String> {
    let words = |(place, sentence): (usize, &String)| {
        let advice = answer.advice.get(place);
        let words = advice.and_then(|advice| english::advice(&answer.id, advice, typed));
        words.unwrap_or_else(|| sentence.clone())
    };
    answer.suggestions.iter().enumerate().map(words).collect()
}

/// Flags and commands.
fn typed(mention: Mention<'_>) -> String {
    match mention {
        Mention::Gpu(amount) => format!("`--gpu {amount}`"),
        Mention::GpuMemory(mib) => format!("`--gpu-memory {mib}MiB`"),
        Mention::GpuModel => "`--gpu-model`".to_owned(),
        Mention::Spread => "`--spread`".to_owned(),
        Mention::Host => "`--cpu` and `--mem`".to_owned(),
        Mention::HostMemory => "`--mem`".to_owned(),
        Mention::TimeLimit => "`--time`".to_owned(),
        Mention::Retries => "`--retry 3`".to_owned(),
        Mention::Log(id) => format!("`fastgpu logs {id}`"),
        Mention::Why(id) => format!("`fastgpu why {id}`"),
        Mention::LetGo(id) => format!("`fastgpu set {id} --unhold`"),
        Mention::Cancel(id) => format!("`fastgpu cancel {id}`"),
        Mention::Retry(id) => format!("`fastgpu retry {id}`"),
        Mention::Gpus => "`fastgpu gpus`".to_owned(),
        Mention::Nodes => "`fastgpu nodes`".to_owned(),
        Mention::ResumeNode => "`fastgpu nodes resume <node>`".to_owned(),
    }
}
