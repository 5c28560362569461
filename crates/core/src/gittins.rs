//! How urgent it is to go on with a task of some age, learned from how long others like it ran.
//!
//! The index of an age is the least expected service per expected end over all horizons: `min over d of
//! E[min(X, d)] / P(X <= d)` given that the task has come this far (Gittins, "Bandit processes and dynamic
//! allocation indices", 1979; for jobs of unknown duration Aalto, Ayesta, Righter, "On the Gittins index in the
//! M/G/1 queue", 2009). A task that will likely end soon has a small one, and goes first. Ages stand on a grid of
//! quarter octaves, all in integers.

/// Units of [`log2`] per doubling.
pub const OCTAVE: u32 = 64;
/// Attained service is told apart in steps of 4 doublings; within one the older task goes first. Finer steps make
/// tasks take turns, which helps nobody.
pub const LEVEL: u64 = 4 * OCTAVE as u64;
/// Cells of the grid per doubling of the age.
const GRID: u32 = 4;
/// Cells in all: ages up to 2^24 seconds, half a year.
const CELLS: usize = 24 * GRID as usize;
/// Weight of one end.
const ONE: i64 = 1 << 16;
/// Ends that the recent memory holds.
const RECENT_ENDS: i64 = 128;
/// Ends that the long memory holds.
const LONG_ENDS: i64 = 4_096;
/// The long memory counts as at most this many ends.
const LONG_WEIGHT: i64 = 16;
/// So many ends are assumed before any is seen, spread evenly over the grid from [`FLAT_FROM`] to
/// [`FLAT_TO`]: who has run long is then expected to run as long again.
const FLAT_WEIGHT: i64 = 8;
const FLAT_FROM: u64 = 16;
const FLAT_TO: u64 = 1 << 20;
/// At most so many ends share one look at the index.
const TOGETHER_MAX: u32 = 16;

/// The binary logarithm in 64ths, piecewise linear; 0 for 0 and 1.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the fraction is less than an octave")]
pub const fn log2(x: u64) -> u32 {
    if x <= 1 {
        return 0;
    }
    let power = 63 - x.leading_zeros();
    let fraction = if power <= 6 { (x << (6 - power)) - 64 } else { (x >> (power - 6)) - 64 };
    power * OCTAVE + fraction as u32
}

/// The least `x` whose [`log2`] is at least `log`.
#[must_use]
pub const fn exp2(log: u32) -> u64 {
    let (power, fraction) = (log / OCTAVE, (log % OCTAVE) as u64);
    let mantissa = 64 + fraction;
    if power >= 6 { mantissa << (power - 6) } else { mantissa.div_ceil(1 << (6 - power)) }
}

/// What ended tasks of one kind tell about the age of a live one.
#[derive(Debug, Clone)]
pub struct History {
    recent: Box<[i64; CELLS]>,
    long: Box<[i64; CELLS]>,
    index: Box<[u32; CELLS]>,
    /// Ends seen, and how many of them the index does not know of yet.
    seen: u32,
    unknown: u32,
}

impl Default for History {
    fn default() -> Self {
        let mut new = Self {
            recent: Box::new([0; CELLS]),
            long: Box::new([0; CELLS]),
            index: Box::new([0; CELLS]),
            seen: 0,
            unknown: 0,
        };
        new.refresh();
        new
    }
}

fn cell(age_s: u64) -> usize {
    ((log2(age_s) * GRID / OCTAVE) as usize).min(CELLS - 1)
}

/// The age at which a cell begins, in seconds.
fn begin_of(cell: usize) -> u64 {
    exp2(u32::try_from(cell).unwrap_or(u32::MAX / OCTAVE) * OCTAVE / GRID)
}

impl History {
    /// Learns that a task ran for `ran_s` seconds in all. Returns whether indices may be others now: the first
    /// ends change them at once, later ones a few at a time.
    pub fn add(&mut self, ran_s: u64) -> bool {
        let at = cell(ran_s);
        self.recent.iter_mut().for_each(|weight| *weight -= *weight / RECENT_ENDS);
        self.recent[at] += ONE;
        self.long.iter_mut().for_each(|weight| *weight -= *weight / LONG_ENDS);
        self.long[at] += ONE;
        self.seen = self.seen.saturating_add(1);
        self.unknown += 1;
        let is_due = self.unknown >= (self.seen / 8).clamp(1, TOGETHER_MAX);
        if is_due {
            self.unknown = 0;
            self.refresh();
        }
        is_due
    }

    /// The logarithm of the expected service per end for a task that has run for `age_s` seconds.
    #[must_use]
    pub fn index(&self, age_s: u64) -> u32 {
        self.index[cell(age_s)]
    }

    /// Seconds from `age_s` until the index may be another.
    #[must_use]
    pub fn steady_for(age_s: u64) -> u64 {
        begin_of(cell(age_s) + 1).saturating_sub(age_s).max(1)
    }

    /// Ends expected in each cell, of all that are seen or assumed.
    fn ends(&self) -> [i64; CELLS] {
        let long: i64 = self.long.iter().sum::<i64>().max(1);
        let long_weight = (LONG_WEIGHT * ONE).min(long);
        let (from, to) = (cell(FLAT_FROM), cell(FLAT_TO));
        let cells = i64::try_from(to - from).expect("fewer than a hundred cells");
        std::array::from_fn(|at| {
            let remembered = i128::from(self.long[at]) * i128::from(long_weight) / i128::from(long);
            let remembered = i64::try_from(remembered).expect("at most the weight itself");
            let assumed = if (from..to).contains(&at) { FLAT_WEIGHT * ONE / cells } else { 0 };
            self.recent[at] + remembered + assumed
        })
    }

    /// Works the index out anew: the steepest slope of ends over service from each cell to any later one, which
    /// is the upper hull seen from the right.
    fn refresh(&mut self) {
        let ends = self.ends();
        let mut alive: i128 = ends.iter().map(|&weight| i128::from(weight)).sum();
        let mut points = Vec::with_capacity(CELLS + 1);
        let (mut service, mut ended) = (0_i128, 0_i128);
        points.push((service, ended));
        for (at, &weight) in ends.iter().enumerate() {
            let width = i128::from((begin_of(at + 1) - begin_of(at)).max(1));
            alive -= i128::from(weight);
            // Who ends in a cell does so half way through it.
            service += width * (alive + i128::from(weight) / 2);
            ended += i128::from(weight);
            points.push((service, ended));
        }
        let mut hull = vec![points[CELLS]];
        for at in (0..CELLS).rev() {
            let point = points[at];
            while let [.., far, near] = hull[..]
                && (near.1 - point.1) * (far.0 - point.0) <= (far.1 - point.1) * (near.0 - point.0)
            {
                hull.pop();
            }
            let near = hull[hull.len() - 1];
            let (service, ended) = (near.0 - point.0, near.1 - point.1);
            let slope = u64::try_from(service.checked_div(ended).unwrap_or(0)).unwrap_or(u64::MAX);
            self.index[at] = if ended > 0 { log2(slope) } else { log2(begin_of(at)) };
            hull.push(point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_each_other_s_inverse_on_the_grid() {
        for log in (6 * OCTAVE)..(40 * OCTAVE) {
            assert_eq!(log2(exp2(log)), log);
        }
        assert_eq!([0, 1, 2, 3, 4, 64, 96].map(log2), [0, 0, 64, 96, 128, 384, 416]);
    }

    #[test]
    fn who_will_likely_end_soon_goes_first() {
        let mut history = History::default();
        // Half of them end after a minute, the others after a day.
        for _ in 0..100 {
            history.add(60);
            history.add(86_400);
        }
        let [young, survivor, nearly_done] = [0, 600, 80_000].map(|age| history.index(age));
        assert!(young < survivor, "{young} {survivor}: the young may be one of the short ones");
        assert!(nearly_done < survivor, "{nearly_done} {survivor}: the end is near");
    }

    #[test]
    fn without_any_end_seen_who_ran_long_is_expected_to_run_long() {
        let history = History::default();
        let indices: Vec<u32> = [60, 600, 6_000, 60_000].map(|age| history.index(age)).into();
        assert!(indices.is_sorted(), "{indices:?}");
    }
}
