//! What a simulated cluster gave and drew: GPU time, energy, money, waste, how crowded it was. Amounts are whole
//! numbers, so that sums agree to the last unit.

use fastgpu_core::ask::GrantPart;
use fastgpu_core::state::State;
use fastgpu_core::units::{Millis, Timestamp};
use fastgpu_report::SPANS_MAX;

use crate::cluster::Machines;
use crate::fragmentation::{Kinds, Mix};
use crate::series::Series;

/// The numbers that are kept over time.
pub const SIGNALS: usize = 6;
/// Steps of a picture over time.
const STEPS_MAX: u64 = 512;
/// Thousandths of a device times milliseconds in one device-hour.
pub const DEVICE_HOUR: i128 = 1_000 * 3_600_000;

/// Counts while the time goes on.
#[derive(Debug)]
pub struct Meter {
    /// The GPUs of the cluster.
    pub kinds: Kinds,
    /// What each kind gave, in the order of [`Kinds::all`].
    pub totals: Vec<Total>,
    /// Charged by the core, in thousandths of a device times milliseconds.
    pub charged_milli_ms: i128,
    /// Allocated GPUs, GPUs that are there, tasks that wait, GPUs they wait for, free GPUs that the mix cannot use,
    /// watts.
    pub series: Series<SIGNALS>,
    /// How busy each GPU was over time, or each group of neighbours where there are many.
    pub rows: Rows,
    now: Timestamp,
    mix: Option<Mix>,
    /// Waste of each machine in millionths of a device.
    waste: Vec<i64>,
    waste_total: i64,
    waiting_tasks: i64,
    waiting_milli: i64,
    live_milli: i64,
    crowding: f64,
}

/// What the GPUs of one kind gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// There right now, in thousandths of a device.
    pub up_milli: i64,
    /// Held right now.
    pub used_milli: i64,
    /// There over time.
    pub up_milli_ms: i128,
    /// Held over time.
    pub used_milli_ms: i128,
}

/// How busy GPUs were over time: a picture with a row per GPU, or per group of neighbours.
#[derive(Debug)]
pub struct Rows {
    /// The place of each machine's first GPU among all.
    first: Vec<usize>,
    gpus: usize,
    rows: Vec<Row>,
    /// What tasks held, as long as that is little.
    held: Option<Vec<Held>>,
}

/// A slice that a task held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The number of the task.
    pub task: usize,
    /// The place of the GPU among all.
    pub gpu: usize,
    /// How much of it, in thousandths.
    pub milli: u32,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

#[derive(Debug)]
struct Row {
    used_milli: i64,
    gpus: u32,
    busy: Series<1>,
}

impl Rows {
    /// More rows than this nobody can tell apart in a picture.
    const ROWS_MAX: usize = 64;
    /// Steps of such a picture.
    const STEPS_MAX: u64 = 128;
    /// More slices than this nobody can tell apart either.
    const HELD_MAX: usize = SPANS_MAX;

    fn new(machines: &Machines, start: Timestamp) -> Self {
        let gpus = machines.gpus();
        let first = machines.0.iter().scan(0, |next, machine| {
            let first = *next;
            *next += machine.gpus.len();
            Some(first)
        });
        let first = first.collect();
        let count = gpus.min(Self::ROWS_MAX);
        let row = || Row { used_milli: 0, gpus: 0, busy: Series::from(start, Self::STEPS_MAX) };
        let mut rows: Vec<Row> = std::iter::repeat_with(row).take(count).collect();
        for gpu in 0..gpus {
            rows[gpu * count / gpus].gpus += 1;
        }
        let held = (count == gpus).then(Vec::new);
        Self { first, gpus, rows, held }
    }

    fn change(&mut self, machine: usize, gpu: usize, milli: i64, now: Timestamp) {
        let place = (self.first[machine] + gpu) * self.rows.len() / self.gpus;
        let row = &mut self.rows[place];
        row.busy.push(&[row.share()], now);
        row.used_milli += milli;
    }

    /// Notes what a task held until now.
    pub fn note(&mut self, task: usize, parts: &[GrantPart], from: Timestamp, to: Timestamp) {
        let Some(held) = self.held.as_mut().filter(|_| to > from) else { return };
        for part in parts {
            let first = self.first[part.node.0 as usize];
            held.extend(part.slices.iter().map(|slice| Held {
                task,
                gpu: first + usize::from(slice.device.0),
                milli: slice.milli.get(),
                from,
                to,
            }));
        }
        if held.len() > Self::HELD_MAX {
            self.held = None;
        }
    }

    /// Everything that tasks held, if it is little enough to be told one by one.
    #[must_use]
    pub fn held(&self) -> Option<&[Held]> {
        self.held.as_deref()
    }

    /// For each row its label and how much of it was held, from 0 to 1, in equal steps until `end`.
    #[must_use]
    pub fn finish(&mut self, end: Timestamp) -> Vec<(String, Vec<f64>)> {
        let mut from = 0;
        let mut finished = Vec::with_capacity(self.rows.len());
        for row in &mut self.rows {
            row.busy.push(&[row.share()], end);
            let to = from + row.gpus - 1;
            let label = if row.gpus == 1 { format!("GPU {from}") } else { format!("GPUs {from}-{to}") };
            from = to + 1;
            finished.push((label, row.busy.averages().into_iter().map(|(_, [share])| share).collect()));
        }
        finished
    }
}

impl Row {
    fn share(&self) -> f64 {
        devices(self.used_milli) / f64::from(self.gpus)
    }
}

impl Meter {
    /// A cluster where nothing runs yet.
    #[must_use]
    pub fn new(machines: &Machines, mix: Option<Mix>, start: Timestamp) -> Self {
        let kinds = Kinds::of(machines);
        let mut totals = vec![Total::default(); kinds.all.len()];
        for &kind in kinds.of_machine.iter().flatten() {
            totals[kind].up_milli += 1_000;
        }
        let waste = vec![0; machines.0.len()];
        Self {
            kinds,
            totals,
            charged_milli_ms: 0,
            series: Series::from(start, STEPS_MAX),
            rows: Rows::new(machines, start),
            now: start,
            mix,
            waste,
            waste_total: 0,
            waiting_tasks: 0,
            waiting_milli: 0,
            live_milli: 0,
            crowding: 0.0,
        }
    }

    /// Time goes on to `now`.
    pub fn advance(&mut self, now: Timestamp) {
        let span = now.since(self.now);
        if span.0 == 0 {
            return;
        }
        for total in &mut self.totals {
            total.up_milli_ms += i128::from(total.up_milli) * i128::from(span.0);
            total.used_milli_ms += i128::from(total.used_milli) * i128::from(span.0);
        }
        let [used, up] = [self.used_milli(), self.up_milli()].map(devices);
        let crowd = if up > 0.0 { devices(self.live_milli) / up } else { 1.0 };
        self.crowding += crowd.max(1.0) * crate::job::seconds(span);
        let (waiting, waiting_gpus) = (count(self.waiting_tasks), devices(self.waiting_milli));
        let wasted = devices(self.waste_total) / 1e3;
        self.series.push(&[used, up, waiting, waiting_gpus, wasted, count(self.power_mw()) / 1e3], now);
        self.now = now;
    }

    fn used_milli(&self) -> i64 {
        self.totals.iter().map(|total| total.used_milli).sum()
    }

    fn up_milli(&self) -> i64 {
        self.totals.iter().map(|total| total.up_milli).sum()
    }

    fn power_mw(&self) -> i64 {
        let each = self.totals.iter().zip(&self.kinds.all).map(|(total, kind)| {
            let (idle, busy) = (i64::from(kind.power.idle_mw), i64::from(kind.power.busy_mw));
            (total.up_milli * idle + total.used_milli * (busy - idle)) / 1_000
        });
        each.sum()
    }

    /// Energy in microjoules that all GPUs drew: idle ones what they draw idle, held ones in proportion.
    #[must_use]
    pub fn energy_uj(&self) -> i128 {
        let each = self.totals.iter().zip(&self.kinds.all).map(|(total, kind)| {
            let (idle, busy) = (i128::from(kind.power.idle_mw), i128::from(kind.power.busy_mw));
            // Thousandths of a device × ms × mW are billionths of a joule.
            (total.up_milli_ms * idle + total.used_milli_ms * (busy - idle)) / 1_000
        });
        each.sum()
    }

    /// What all GPUs cost for the time they were there, in millionths of the currency.
    #[must_use]
    pub fn cost_micros(&self) -> i128 {
        let each = self.totals.iter().zip(&self.kinds.all);
        each.map(|(total, kind)| total.up_milli_ms * i128::from(kind.price.0) / DEVICE_HOUR).sum()
    }

    /// What the GPU time that tasks held would cost by itself, in millionths of the currency.
    #[must_use]
    pub fn used_cost_micros(&self) -> i128 {
        let each = self.totals.iter().zip(&self.kinds.all);
        each.map(|(total, kind)| total.used_milli_ms * i128::from(kind.price.0) / DEVICE_HOUR).sum()
    }

    /// The integral over time of what live tasks ask for relative to what there is, at least 1, in seconds.
    #[must_use]
    pub const fn crowding(&self) -> f64 {
        self.crowding
    }

    /// A task of so much came.
    pub fn come(&mut self, milli: u64) {
        self.live_milli += signed(milli);
    }

    /// A task of so much is over.
    pub fn go(&mut self, milli: u64) {
        self.live_milli -= signed(milli);
    }

    /// A task of so much begins to wait.
    pub fn wait(&mut self, milli: u64) {
        self.waiting_tasks += 1;
        self.waiting_milli += signed(milli);
    }

    /// A task of so much waits no more.
    pub fn wait_over(&mut self, milli: u64) {
        self.waiting_tasks -= 1;
        self.waiting_milli -= signed(milli);
    }

    /// A task takes its parts, or gives them back.
    pub fn hold(&mut self, parts: &[GrantPart], takes: bool) {
        for part in parts {
            for slice in &part.slices {
                let kind = self.kinds.of_machine[part.node.0 as usize][usize::from(slice.device.0)];
                let milli = i64::from(slice.milli.get());
                let change = if takes { milli } else { -milli };
                self.totals[kind].used_milli += change;
                self.rows.change(part.node.0 as usize, usize::from(slice.device.0), change, self.now);
            }
        }
    }

    /// A machine or one of its GPUs goes away, or comes back.
    pub fn lose(&mut self, machine: usize, gpu: Option<usize>, is_lost: bool) {
        let kinds = &self.kinds.of_machine[machine];
        let gone = match gpu {
            Some(gpu) => &kinds[gpu..=gpu],
            None => &kinds[..],
        };
        for &kind in gone {
            self.totals[kind].up_milli += if is_lost { -1_000 } else { 1_000 };
        }
    }

    /// Looks again at what is wasted on a machine.
    pub fn look_at(&mut self, machine: u32, state: &State) {
        let (Some(mix), Some(node)) = (&self.mix, state.cluster().node(fastgpu_core::ids::NodeId(machine)))
        else {
            return;
        };
        let place = machine as usize;
        let waste = micro(mix.waste(node, &self.kinds.of_machine[place]));
        self.waste_total += waste - std::mem::replace(&mut self.waste[place], waste);
    }

    /// All GPU time that tasks held, in thousandths of a device times milliseconds.
    #[must_use]
    pub fn used_milli_ms(&self) -> i128 {
        self.totals.iter().map(|total| total.used_milli_ms).sum()
    }

    /// All GPU time that there was.
    #[must_use]
    pub fn up_milli_ms(&self) -> i128 {
        self.totals.iter().map(|total| total.up_milli_ms).sum()
    }

    /// How long the cluster was looked at.
    #[must_use]
    pub fn span(&self, start: Timestamp) -> Millis {
        self.now.since(start)
    }
}

fn signed(milli: u64) -> i64 {
    i64::try_from(milli).expect("a task holds far less than 2^63 thousandths")
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation are far below 2^52")]
fn count(number: i64) -> f64 {
    number as f64
}

fn devices(milli: i64) -> f64 {
    count(milli) / 1e3
}

#[expect(clippy::cast_possible_truncation, reason = "the waste of a machine is at most its devices")]
fn micro(milli: f64) -> i64 {
    (milli * 1e3).round() as i64
}
