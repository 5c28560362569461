//! How attempts end, and attempts themselves, as JSON.

use fastgpu_core::ask::GrantPart;
use fastgpu_core::change::{Attempt, AttemptEnd};
use fastgpu_core::node::{Exit, ExitKind};
use fastgpu_core::retry::FailureClass;
use fastgpu_core::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::ask::PartRow;
use super::{Wrong, from_json, is_default, to_json};

#[derive(PartialEq, Serialize, Deserialize)]
pub(crate) struct ExitRow {
    at: i64,
    how: HowRow,
    #[serde(default, skip_serializing_if = "is_default")]
    cpu_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    rss_max_kib: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    sick: Option<String>,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HowRow {
    Code(u8),
    Signal(u8),
    OutOfMemory,
    TimeLimit,
    BadSpec(String),
    Infrastructure(String),
}

impl ExitRow {
    pub(crate) fn of(exit: &Exit) -> Self {
        Self {
            at: exit.at.0,
            how: match &exit.how {
                ExitKind::Code(code) => HowRow::Code(*code),
                ExitKind::Signal(signal) => HowRow::Signal(*signal),
                ExitKind::OutOfMemory => HowRow::OutOfMemory,
                ExitKind::TimeLimit => HowRow::TimeLimit,
                ExitKind::BadSpec(why) => HowRow::BadSpec(why.clone()),
                ExitKind::Infrastructure(why) => HowRow::Infrastructure(why.clone()),
            },
            cpu_ms: exit.cpu_ms,
            rss_max_kib: exit.rss_max_kib,
            sick: exit.sick.clone(),
        }
    }

    pub(crate) fn into_core(self) -> Exit {
        Exit {
            at: Timestamp(self.at),
            how: match self.how {
                HowRow::Code(code) => ExitKind::Code(code),
                HowRow::Signal(signal) => ExitKind::Signal(signal),
                HowRow::OutOfMemory => ExitKind::OutOfMemory,
                HowRow::TimeLimit => ExitKind::TimeLimit,
                HowRow::BadSpec(why) => ExitKind::BadSpec(why),
                HowRow::Infrastructure(why) => ExitKind::Infrastructure(why),
            },
            cpu_ms: self.cpu_ms,
            rss_max_kib: self.rss_max_kib,
            sick: self.sick,
        }
    }
}

pub(crate) fn class_from_word(word: &str) -> Result<FailureClass, Wrong> {
    FailureClass::ALL
        .into_iter()
        .find(|class| class.code() == word)
        .ok_or_else(|| format!("`{word}` is no class of failure"))
}

/// What of an attempt is not in a column.
#[derive(Serialize, Deserialize)]
struct AttemptBody {
    parts: Vec<PartRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    exit: Option<ExitRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    class: Option<String>,
}

pub(crate) fn attempt_to_json(attempt: &Attempt) -> String {
    let ended = attempt.ended.as_ref();
    to_json(&AttemptBody {
        parts: PartRow::all_of(&attempt.parts),
        exit: ended.and_then(|end| end.exit.as_ref()).map(ExitRow::of),
        class: ended.and_then(|end| end.class).map(|class| class.code().to_owned()),
    })
}

/// The parts of an attempt, and its end if it ended at `ended_at`.
pub(crate) fn attempt_from_json(
    text: &str,
    ended_at: Option<Timestamp>,
) -> Result<(Vec<GrantPart>, Option<AttemptEnd>), Wrong> {
    let body: AttemptBody = from_json(text)?;
    let parts = PartRow::all_into_core(body.parts)?;
    let class = body.class.as_deref().map(class_from_word).transpose()?;
    let exit = body.exit.map(ExitRow::into_core);
    Ok((parts, ended_at.map(|at| AttemptEnd { at, exit, class })))
}
