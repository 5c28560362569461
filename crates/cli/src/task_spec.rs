//! From the flags of `fastgpu run` to the task that is sent. Quantities are read here, by the API's own
//! rules, so that a slip is answered in the words of the command line and nothing is sent.

use std::collections::BTreeMap;

use fastgpu_api::spec::{Gpu, GpuParts, Retry, RetryParts, TaskSpec};
use fastgpu_api::units::{self, GpuNumber};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::quantity::{cores, grace, labels, memory, span, wrong};
use crate::settings::Environment;

/// The task that `flags` ask for. `here` is the current folder.
pub(crate) fn task_spec(
    flags: &RunArgs,
    environment: &Environment,
    here: impl FnOnce() -> Result<String, Failure>,
) -> Result<TaskSpec, Failure> {
    let working_dir = match (&flags.cwd, flags.scratch || flags.reserve.is_some()) {
        (Some(folder), _) => Some(absolute(folder)?),
        (None, true) => None,
        (None, false) => Some(here()?),
    };
    let time_limit = flags.time.as_ref().or(flags.reserve.as_ref());
    let time_flag = if flags.reserve.is_some() { "--reserve" } else { "--time" };
    Ok(TaskSpec {
        name: flags.name.clone(),
        command: flags.reserve.is_none().then(|| flags.command.clone()),
        gpu: gpu(flags)?,
        gpu_memory: memory("--gpu-memory", flags.gpu_memory.as_ref())?,
        cpu: flags.cpu.map(cores).transpose()?,
        memory: memory("--mem", flags.mem.as_ref())?,
        env: variables(&flags.env, environment)?,
        working_dir,
        priority: flags.priority.map(i64::from),
        time_limit: span(time_flag, time_limit)?,
        queue: flags.queue.clone(),
        expected_duration: span("--expect", flags.expect.as_ref())?,
        queue_timeout: span("--queue-timeout", flags.queue_timeout.as_ref())?,
        stop_grace: grace(flags.grace.as_ref())?,
        retry: retry(flags)?,
        nodes: flags.node.clone(),
        labels: labels(&flags.label)?,
        held: flags.held,
        wait_for_capacity: flags.wait_for_capacity,
        project: flags.project.clone(),
        ..TaskSpec::default()
    })
}

/// The GPUs: a plain number where that says it all, else in parts.
fn gpu(flags: &RunArgs) -> Result<Option<Gpu>, Failure> {
    let number = match &flags.gpu {
        None => None,
        Some(text) => match units::gpu_text(text).map_err(|error| wrong("--gpu", &error))? {
            None => return Ok(Some(Gpu::Text("none".to_owned()))),
            Some(number) => Some(number),
        },
    };
    if flags.gpu_model.is_empty() && !flags.spread {
        return Ok(number.map(|number| match number {
            GpuNumber::Share(milli) => Gpu::Number(f64::from(milli.get()) / 1_000.0),
            GpuNumber::Whole(count) => Gpu::Number(f64::from(count)),
        }));
    }
    let mut parts = GpuParts { models: flags.gpu_model.clone(), spread: flags.spread, ..GpuParts::default() };
    match number {
        Some(GpuNumber::Share(milli)) => parts.share = Some(f64::from(milli.get()) / 1_000.0),
        Some(GpuNumber::Whole(count)) => parts.count = Some(u64::from(count)),
        None => {}
    }
    Ok(Some(Gpu::Parts(Box::new(parts))))
}

fn retry(flags: &RunArgs) -> Result<Option<Retry>, Failure> {
    let backoff = span("--retry-backoff", flags.retry_backoff.as_ref())?;
    Ok(match (flags.retry, backoff) {
        (None, _) => None,
        (Some(max), None) => Some(Retry::Max(f64::from(max))),
        (Some(max), backoff) => Some(Retry::Parts(RetryParts { max: Some(u64::from(max)), backoff })),
    })
}

/// `NAME=VALUE` sets, `NAME` alone takes over from our own environment.
fn variables(given: &[String], environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    for text in given {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = environment.set(text).ok_or_else(|| {
                    Failure::usage(format!("the variable `{text}` is not set here"))
                        .help(format!("give it a value with `--env {text}=…`"))
                })?;
                (text.as_str(), value.to_owned())
            }
        };
        if name.is_empty() {
            return Err(Failure::usage(format!("`--env {text}` has no name before the `=`")));
        }
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// Folders are named from where the caller stands; the task may start much later.
fn absolute(folder: &str) -> Result<String, Failure> {
    let path = std::path::absolute(folder)
        .map_err(|error| Failure::usage(format!("`{folder}` is no folder name: {error}")))?;
    path.into_os_string().into_string().map_err(|path| {
        Failure::usage(format!("the folder `{}` has a name that is not UTF-8", path.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut RunArgs)) -> Result<serde_json::Value, Failure> {
        let mut flags = RunArgs { command: vec!["true".to_owned()], ..RunArgs::default() };
        change(&mut flags);
        let spec = task_spec(&flags, &Environment::default(), || Ok("/here".to_owned()))?;
        Ok(serde_json::to_value(spec).unwrap())
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let sent = spec(|_| {}).unwrap();
        assert_eq!(sent, serde_json::json!({"command": ["true"], "working_dir": "/here"}));
    }

    #[test]
    fn gpus_are_numbers_unless_there_is_more_to_say() {
        let gpu =
            |text: &str| spec(|flags| flags.gpu = Some(text.to_owned())).map(|sent| sent["gpu"].clone());
        assert_eq!(gpu("0.25").unwrap(), 0.25);
        assert_eq!(gpu("8").unwrap(), 8);
        assert_eq!(gpu("none").unwrap(), "none");
        for bad in ["0", "-1", "1.5", "NaN", "inf", "a100", ""] {
            let failure = gpu(bad).unwrap_err();
            assert!(failure.message.starts_with("`--gpu`: ") && failure.help.is_some(), "{failure:?}");
            assert_eq!(failure.exit, 2);
        }
        let sent = spec(|flags| {
            flags.gpu = Some("2".to_owned());
            flags.gpu_model = vec!["a100".to_owned()];
        });
        assert_eq!(sent.unwrap()["gpu"], serde_json::json!({"count": 2, "models": ["a100"]}));
    }

    #[test]
    fn a_reservation_has_a_time_and_no_command() {
        let sent = spec(|flags| {
            flags.command.clear();
            flags.reserve = Some("2h".to_owned());
        });
        assert_eq!(sent.unwrap(), serde_json::json!({"time_limit": "2h"}));
    }

    #[test]
    fn a_variable_that_is_not_set_here_is_refused() {
        let failure = spec(|flags| flags.env = vec!["NOT_SET".to_owned()]).unwrap_err();
        assert_eq!(failure.message, "the variable `NOT_SET` is not set here");
        let sent = spec(|flags| flags.env = vec!["A=b=c".to_owned(), "EMPTY=".to_owned()]).unwrap();
        assert_eq!(sent["env"], serde_json::json!({"A": "b=c", "EMPTY": ""}));
    }
}
