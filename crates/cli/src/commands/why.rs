//! `fastgpu why`: what a task waits for, or how it ended.

use fastgpu_api::view::ExplainView;

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
        answer.suggestions.iter().map(|line| format!("  {} {}", out.paint(Tone::Note, "→"), visible(line))),
    );
    lines
}
