//! Descriptions of machines: lines as `4x 8xH100-80GB cpu=128 memory=2048 price=2.5`, TOML, or CSV.

use fastgpu_core::ids::Name;
use fastgpu_core::units::{CpuMilli, MemoryMib, PriceMicros};
use serde::Deserialize;

use super::{
    CPU_UNCOUNTED, GPUS_PER_MACHINE_MAX, Gpu, HOST_MEMORY_UNCOUNTED, MACHINES_MAX, Machine, Machines, models,
};
use crate::input::{Input, InputError, shown};

/// Machines that are alike, as all three forms say them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// How many machines.
    #[serde(default = "one")]
    count: usize,
    /// `8xH100-80GB`, or several with `+`; empty for a machine without.
    #[serde(default)]
    gpus: String,
    /// Cores; `None` is not counted.
    cpu: Option<f64>,
    /// Host memory in GiB; `None` is not counted.
    memory: Option<f64>,
    /// Price of a GPU for an hour.
    price: Option<f64>,
    /// Watts of an idle GPU.
    idle: Option<f64>,
    /// Watts of a busy GPU.
    busy: Option<f64>,
    /// Names are this and a number.
    name: Option<String>,
    /// As `key=value`.
    #[serde(default)]
    labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    nodes: Vec<Group>,
}

const fn one() -> usize {
    1
}

const HELP: &str = "write for example `4x 8xH100-80GB cpu=128 memory=2048 price=2.5 idle=70 busy=700`";
const COLUMNS: [&str; 8] = ["count", "gpus", "cpu", "memory", "price", "idle", "busy", "name"];

impl Machines {
    /// Reads a description, whichever of the three forms it has.
    ///
    /// # Errors
    /// The first thing that makes no sense, with its line.
    pub fn read(input: &Input) -> Result<Self, InputError> {
        let text = input.text()?;
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let machines = match first {
            None => return Err(InputError::of_file(&input.name, "it describes no machine").help(HELP)),
            Some(line) if line.starts_with('[') => of_toml(input, text)?,
            Some(line) if line.split(',').any(|word| word.trim() == "gpus") => of_table(input)?,
            Some(_) => of_lines(input, text)?,
        };
        if machines.0.is_empty() {
            return Err(InputError::of_file(&input.name, "it describes no machine").help(HELP));
        }
        Ok(machines)
    }
}

fn of_lines(input: &Input, text: &str) -> Result<Machines, InputError> {
    let mut machines = Machines::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let failed = |what: String| InputError::of_line(&input.name, number, what).help(HELP);
        let group = of_line(line).map_err(failed)?;
        group.build(&mut machines).map_err(failed)?;
    }
    Ok(machines)
}

fn of_line(line: &str) -> Result<Group, String> {
    let mut group = Group { count: 1, ..Group::default() };
    for (at, word) in line.split_whitespace().enumerate() {
        if let Some((key, value)) = word.split_once('=') {
            let number =
                || value.parse::<f64>().map_err(|_| format!("`{}` of `{key}` is not a number", shown(value)));
            match key {
                "cpu" => group.cpu = Some(number()?),
                "memory" => group.memory = Some(number()?),
                "price" => group.price = Some(number()?),
                "idle" => group.idle = Some(number()?),
                "busy" => group.busy = Some(number()?),
                "name" => group.name = Some(value.to_owned()),
                "label" => group.labels.push(value.to_owned()),
                _ => return Err(format!("`{}` is nothing a machine has", shown(key))),
            }
        } else if let Some(count) = word.strip_suffix('x').filter(|_| at == 0) {
            group.count = count.parse().map_err(|_| format!("`{}` is no number of machines", shown(word)))?;
        } else if group.gpus.is_empty() {
            word.clone_into(&mut group.gpus);
        } else {
            return Err(format!("`{}` makes no sense here", shown(word)));
        }
    }
    Ok(group)
}

fn of_toml(input: &Input, text: &str) -> Result<Machines, InputError> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        let line = 1 + before.matches('\n').count() as u64;
        InputError::of_line(&input.name, line, error.message()).help(HELP)
    })?;
    let mut machines = Machines::default();
    for (number, group) in (1..).zip(&document.nodes) {
        let failed =
            |what: String| InputError::of_file(&input.name, format!("`nodes` entry {number}: {what}"));
        group.build(&mut machines).map_err(failed)?;
    }
    Ok(machines)
}

fn of_table(input: &Input) -> Result<Machines, InputError> {
    let mut table = input.table()?;
    table.only(&COLUMNS)?;
    let gpus = table.column("gpus")?;
    let [count, cpu, memory, price, idle, busy, name] =
        ["count", "cpu", "memory", "price", "idle", "busy", "name"].map(|name| table.find(name));
    let mut machines = Machines::default();
    table.each(|row| {
        let amount = |column| row.optional(Option::as_ref(column), 0.0, 1e9);
        let group = Group {
            count: row.optional(count.as_ref(), 1, MACHINES_MAX)?.unwrap_or(1),
            gpus: row.text(&gpus).to_owned(),
            cpu: amount(&cpu)?,
            memory: amount(&memory)?,
            price: amount(&price)?,
            idle: amount(&idle)?,
            busy: amount(&busy)?,
            name: name.as_ref().map(|name| row.text(name).to_owned()).filter(|name| !name.is_empty()),
            labels: Vec::new(),
        };
        group.build(&mut machines).map_err(|what| row.wrong(&gpus, what).help(HELP))
    })?;
    Ok(machines)
}

impl Group {
    fn build(&self, machines: &mut Machines) -> Result<(), String> {
        let room = MACHINES_MAX - machines.0.len();
        if self.count == 0 || self.count > room {
            return Err(format!(
                "{} machines are too few or too many; at most {MACHINES_MAX} are simulated",
                self.count
            ));
        }
        let gpus = self.parse_gpus()?;
        let cpu = match amount("cpu", self.cpu, 1e6)? {
            Some(cores) => CpuMilli(whole(cores * 1_000.0)),
            None => CPU_UNCOUNTED,
        };
        let host_memory = match amount("memory", self.memory, 1e6)? {
            Some(gib) => MemoryMib(u64::from(whole(gib * 1_024.0))),
            None => HOST_MEMORY_UNCOUNTED,
        };
        let mut labels: Vec<Name> = self.labels.iter().map(|label| Name::from(label.as_str())).collect();
        labels.sort();
        for _ in 0..self.count {
            let name = self.name.as_deref().unwrap_or("node");
            machines.0.push(Machine {
                hostname: format!("{name}-{}", machines.0.len()).into(),
                cpu,
                host_memory,
                labels: labels.clone(),
                gpus: gpus.clone(),
            });
        }
        Ok(())
    }

    fn parse_gpus(&self) -> Result<Vec<Gpu>, String> {
        let mut gpus = Vec::new();
        for part in self.gpus.split('+').map(str::trim).filter(|part| !part.is_empty()) {
            let (count, model) = match part.split_once('x') {
                Some((count, model)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (count.parse::<usize>().map_err(|_| format!("`{}` has no count", shown(part)))?, model)
                }
                _ => (1, part),
            };
            if count == 0 || gpus.len() + count > GPUS_PER_MACHINE_MAX {
                return Err(format!("a machine has from 1 to {GPUS_PER_MACHINE_MAX} GPUs, not {count}"));
            }
            let mut gpu = models::parse(model)?;
            if let Some(price) = amount("price", self.price, 1e6)? {
                gpu.price = PriceMicros(i64::from(whole(price * 1_000.0)) * 1_000);
            }
            if let Some(watts) = amount("idle", self.idle, 1e5)? {
                gpu.power.idle_mw = whole(watts * 1_000.0);
            }
            if let Some(watts) = amount("busy", self.busy, 1e5)? {
                gpu.power.busy_mw = whole(watts * 1_000.0);
            }
            if gpu.power.busy_mw < gpu.power.idle_mw {
                return Err("an idle GPU draws more than a busy one".to_owned());
            }
            gpus.extend(vec![gpu; count]);
        }
        Ok(gpus)
    }
}

fn amount(key: &str, given: Option<f64>, most: f64) -> Result<Option<f64>, String> {
    match given {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(format!("`{key}` is {value}; it must be from 0 to {most}"))
        }
        other => Ok(other),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 1e9")]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Machines, String> {
        Machines::read(&Input::of_text("cluster", text)).map_err(|error| error.to_string())
    }

    #[test]
    fn three_forms_say_the_same() {
        let lines =
            read("# ours\n2x 8xH100-80GB cpu=128 memory=2048 price=2.5\n1x 4xA100-40GB # old\n").unwrap();
        let toml = "[[nodes]]\ncount = 2\ngpus = \"8xH100-80GB\"\ncpu = 128\nmemory = 2048\nprice = 2.5\n\
                    [[nodes]]\ngpus = \"4xA100-40GB\"\n";
        let table = "count,gpus,cpu,memory,price\n2,8xH100-80GB,128,2048,2.5\n,4xA100-40GB,,,\n";
        assert_eq!(read(toml).unwrap(), lines);
        assert_eq!(read(table).unwrap(), lines);
        assert_eq!((lines.0.len(), lines.gpus(), lines.largest()), (3, 20, 8));
        assert_eq!(lines.0[0].cpu, CpuMilli(128_000));
        assert_eq!(lines.0[0].gpus[0].price, PriceMicros(2_500_000));
        assert_eq!(lines.0[2].cpu, CPU_UNCOUNTED);
    }

    #[test]
    fn a_wrong_description_says_where_and_what() {
        let error = |text: &str| read(text).unwrap_err();
        assert_eq!(
            error("8xH100\n2x 8xQ9\n").split(" (").next(),
            Some("cluster, line 2: `Q9` does not say how much memory it has")
        );
        assert_eq!(error("2x 8xH100 colour=red"), "cluster, line 1: `colour` is nothing a machine has");
        assert_eq!(
            error("8xH100 idle=800 busy=700"),
            "cluster, line 1: an idle GPU draws more than a busy one"
        );
        assert_eq!(
            error("9999999x 8xH100"),
            "cluster, line 1: 9999999 machines are too few or too many; at most 200000 are simulated"
        );
        assert_eq!(error("# nothing\n"), "cluster: it describes no machine");
        assert!(
            error("[[nodes]]\ncount = 1\nsize = 3\n").contains("line 3: unknown field `size`"),
            "{}",
            error("[[nodes]]\ncount = 1\nsize = 3\n")
        );
    }
}
