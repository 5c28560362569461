//! Compares what was acknowledged with what is: the tasks, what they wrote, the devices, the processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::http::Door;
use crate::ledger::{Cancel, Deed, Ledger, Plan, effects_of, heard};
use crate::program::Effects;
use crate::world::{World, comes_true};

/// How long the last tasks may take to end, when hundreds of them wait.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// How long what is over may take to be tidied up.
const TIDY_MAX: Duration = Duration::from_secs(10);
/// A list of thousands of equal complaints helps nobody.
const COMPLAINTS_MAX: usize = 12;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: usize,
    /// Acknowledged, and not there.
    pub(crate) lost: usize,
    /// There more often than acknowledged, or under a key that gives different answers.
    pub(crate) duplicates: usize,
    /// Two attempts alive at once.
    pub(crate) overlaps: usize,
    /// Run again although the attempt before was not lost by the infrastructure.
    pub(crate) double_runs: usize,
    /// Not over, or over in a way that is not right.
    pub(crate) wrong: usize,
    /// Slots held or processes left.
    pub(crate) left: usize,
    /// Attempts that the infrastructure lost, and that were tried again: allowed.
    pub(crate) retried: usize,
    complaints: Vec<String>,
}

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    Kept,
    /// Ended tasks may be forgotten already.
    CutShort,
}

impl Verdict {
    /// Finishes what was begun, waits for the end of every task, and looks at everything.
    pub(crate) fn of(world: &mut World, ledgers: &mut [Ledger], history: History) -> Self {
        let mut verdict = Self::default();
        let door = world.door();
        verdict.look_for_lost(&door, ledgers, history);
        for ledger in ledgers.iter_mut() {
            verdict.finish(&door, ledger, history);
        }
        verdict.wait_for_the_end(&door, ledgers);
        let tasks = by_name(&door);
        for ledger in ledgers.iter() {
            verdict.acknowledged += ledger.acknowledged();
            verdict.count(world, ledger, &tasks, history);
        }
        verdict.look_at_each(&door, world, ledgers, &tasks);
        verdict.look_at_the_node(&door, world);
        verdict
    }

    /// Only looks for what was acknowledged and is not there.
    pub(crate) fn of_losses(world: &World, ledgers: &[Ledger]) -> Self {
        let acknowledged = ledgers.iter().map(Ledger::acknowledged).sum();
        let mut verdict = Self { acknowledged, ..Self::default() };
        verdict.look_for_lost(&world.door(), ledgers, History::Kept);
        verdict
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.complaints.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.overlaps += other.overlaps;
        self.double_runs += other.double_runs;
        self.wrong += other.wrong;
        self.left += other.left;
        self.retried += other.retried;
        self.complaints.extend(other.complaints.iter().cloned());
    }

    pub(crate) fn complaints(&self) -> String {
        let shown = self.complaints.iter().take(COMPLAINTS_MAX).cloned().collect::<Vec<_>>().join("\n");
        let rest = self.complaints.len().saturating_sub(COMPLAINTS_MAX);
        if rest == 0 { shown } else { format!("{shown}\nand {rest} more") }
    }

    /// Something is there that should be gone.
    pub(crate) fn left(&mut self, what: String) {
        self.left += 1;
        self.complain(what);
    }

    fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }

    /// Before anything is repeated: what was acknowledged must be there.
    fn look_for_lost(&mut self, door: &Door, ledgers: &[Ledger], history: History) {
        let there: BTreeMap<String, Value> =
            by_name(door).into_values().flatten().map(|task| (text(&task["id"]), task)).collect();
        for (id, plan) in ledgers.iter().flat_map(acknowledged) {
            if !there.contains_key(id) && history == History::Kept {
                self.lost += 1;
                self.complain(format!("lost: {id} ({})", plan.name));
            }
        }
    }

    /// Repeats every request under its key, and ends what would never end.
    fn finish(&mut self, door: &Door, ledger: &mut Ledger, history: History) {
        for request in 0..ledger.requests.len() {
            let settled = history == History::CutShort && ledger.requests[request].ids.is_some();
            if !settled && !ledger.send(door, request) {
                self.wrong += 1;
                self.complain(format!("not acknowledged: {:?}", ledger.requests[request].plans[0].name));
            }
            ledger.cancel_endless(door, request);
        }
        if ledger.unequal > 0 {
            self.duplicates += ledger.unequal;
            self.complain(format!("{} keys gave different answers", ledger.unequal));
        }
    }

    fn wait_for_the_end(&mut self, door: &Door, ledgers: &[Ledger]) {
        let mut live = Value::Null;
        let all_ended = comes_true(DRAIN_MAX, || {
            if let Some(answer) = heard(door.get("/v1/tasks?live=true&limit=5")) {
                live = answer.body["items"].clone();
            }
            live.as_array().is_some_and(Vec::is_empty)
        });
        if !all_ended {
            self.wrong += 1;
            self.complain(format!("of {} clients' tasks, these never end: {live}", ledgers.len()));
        }
    }

    /// Each name is there exactly as often as it was acknowledged.
    fn count(
        &mut self,
        world: &World,
        ledger: &Ledger,
        tasks: &BTreeMap<String, Vec<Value>>,
        history: History,
    ) {
        let mut expected: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for (id, plan) in acknowledged(ledger) {
            let ids = expected.entry(&plan.name).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        for (name, ids) in expected {
            let found = tasks.get(name).map_or(0, Vec::len);
            if found > ids.len() {
                self.duplicates += found - ids.len();
                self.complain(format!("{name} is there {found} times, acknowledged {} times", ids.len()));
            }
        }
        if history == History::CutShort {
            // What is forgotten must at least have happened.
            for (_, plan) in acknowledged(ledger) {
                let ran = Effects::read(&effects_of(world.root(), plan));
                let forgotten = !tasks.contains_key(&plan.name);
                if forgotten
                    && matches!(plan.deed, Deed::Run { .. })
                    && plan.cancel == Cancel::No
                    && ran.ended.is_empty()
                {
                    self.wrong += 1;
                    self.complain(format!("{} was forgotten before it ran", plan.name));
                }
            }
        }
    }

    /// How each task ended, and what its attempts wrote.
    fn look_at_each(
        &mut self,
        door: &Door,
        world: &World,
        ledgers: &[Ledger],
        tasks: &BTreeMap<String, Vec<Value>>,
    ) {
        let by_id: BTreeMap<String, &Value> =
            tasks.values().flatten().map(|task| (text(&task["id"]), task)).collect();
        for (id, plan) in ledgers.iter().flat_map(acknowledged) {
            let Some(task) = by_id.get(id) else { continue };
            if !ended_right(plan, task) {
                self.wrong += 1;
                let (state, code, why) = (&task["state"], &task["exit_code"], &task["failure"]);
                self.complain(format!("{id} {plan:?} ended as {state} with {code}: {why}"));
            }
            let attempt = u32::try_from(task["attempt"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
            self.look_at_attempts(door, id, attempt);
            if matches!(plan.deed, Deed::Run { .. }) {
                self.look_at_effects(world, plan, task, attempt);
            }
        }
    }

    fn look_at_effects(&mut self, world: &World, plan: &Plan, task: &Value, attempt: u32) {
        let effects = Effects::read(&effects_of(world.root(), plan));
        if effects.overlap {
            self.overlaps += 1;
            self.complain(format!("{} had two live attempts: {effects:?}", plan.name));
        }
        let by_itself = !task["exit_code"].is_null();
        let ran = effects.started.last() == Some(&attempt) && effects.ended.contains(&attempt);
        if by_itself && !ran {
            self.wrong += 1;
            self.complain(format!("{} has an exit code and did not run to its end: {effects:?}", plan.name));
        }
        if effects.started.iter().any(|&started| started > attempt) {
            self.double_runs += 1;
            self.complain(format!("{} ran more often than the server knows: {effects:?}", plan.name));
        }
    }

    /// Every attempt but the last was lost by the infrastructure.
    fn look_at_attempts(&mut self, door: &Door, id: &str, attempt: u32) {
        if attempt <= 1 {
            return;
        }
        let answer = heard(door.get(&format!("/v1/tasks/{id}/attempts")));
        let attempts = answer.and_then(|answer| answer.body["items"].as_array().cloned()).unwrap_or_default();
        for number in 1..attempt {
            let found = attempts.iter().find(|each| each["attempt"] == number);
            let class = found.map(|found| text(&found["failure"]["class"])).unwrap_or_default();
            if matches!(class.as_str(), "launch_infrastructure" | "node_lost") {
                self.retried += 1;
            } else {
                self.double_runs += 1;
                self.complain(format!("{id} ran again after attempt {number} ended as {found:?}"));
            }
        }
    }

    /// No slot is held, no end waits to be acknowledged, no process is left.
    fn look_at_the_node(&mut self, door: &Door, world: &World) {
        let mut gpus = Value::Null;
        let all_free = comes_true(TIDY_MAX, || {
            gpus = heard(door.get("/v1/gpus")).map(|answer| answer.body["items"].clone()).unwrap_or_default();
            let is_free =
                |gpu: &Value| gpu["free_share_milli"] == 1_000 && gpu["free_memory_mib"] == gpu["memory_mib"];
            gpus.as_array().is_some_and(|gpus| gpus.len() == 4 && gpus.iter().all(is_free))
        });
        if !all_free {
            self.left += 1;
            self.complain(format!("a slot stays held: {gpus}"));
        }
        let held = || std::fs::read_dir(world.attempts()).map_or(0, Iterator::count);
        if !comes_true(TIDY_MAX, || held() == 0) {
            self.left += held();
            self.complain(format!("{} ends are never acknowledged to the node", held()));
        }
        if !comes_true(TIDY_MAX, || world.strangers().is_empty()) {
            self.left += world.strangers().len();
            self.complain(format!("processes are left: {:?}", world.strangers()));
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { acknowledged, lost, duplicates, overlaps, double_runs, wrong, left, retried, .. } = self;
        write!(
            f,
            "{acknowledged} tasks acknowledged: {lost} lost, {duplicates} twice, {double_runs} run twice, \
             {overlaps} with two live attempts, {wrong} ended wrong, {left} things left; \
             {retried} attempts lost by the infrastructure and tried again"
        )
    }
}

fn acknowledged(ledger: &Ledger) -> impl Iterator<Item = (&String, &Plan)> {
    let requests = ledger.requests.iter();
    requests.flat_map(|request| request.ids.iter().flatten().zip(&request.plans))
}

fn ended_right(plan: &Plan, task: &Value) -> bool {
    let state = text(&task["state"]);
    if plan.cancel != Cancel::No && state == "cancelled" {
        return true;
    }
    match plan.deed {
        Deed::Run { exit_code: 0, .. } | Deed::Nothing => state == "succeeded" && task["exit_code"] == 0,
        Deed::Run { exit_code, .. } => state == "failed" && task["exit_code"] == exit_code,
        Deed::Held | Deed::HeldLarge(_) => false,
        Deed::Reservation => state == "succeeded",
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Every task that the server lists, by name.
pub(crate) fn by_name(door: &Door) -> BTreeMap<String, Vec<Value>> {
    let mut tasks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut path = "/v1/tasks?limit=1000".to_owned();
    loop {
        let page = door.get(&path).unwrap();
        assert!(page.is_success(), "the tasks cannot be listed: {page:?}");
        for task in page.body["items"].as_array().into_iter().flatten() {
            tasks.entry(text(&task["name"])).or_default().push(task.clone());
        }
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/tasks?limit=1000&cursor={cursor}"),
            None => return tasks,
        }
    }
}
