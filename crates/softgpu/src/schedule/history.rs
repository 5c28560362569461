//! When something ran, lately: to the nanosecond for events, in buckets for utilization.

use super::{ContextRun, Position};

/// Segments kept per context. With two contexts in turn that is more than a quarter of a second.
pub const SEGMENTS: usize = 64;
/// Length of a bucket: a sixteenth of 1/6 s, the shortest window a driver reports.
pub const BUCKET_NS: u64 = 10_416_667;
/// Buckets kept: more than one second, the longest window a driver reports.
pub const BUCKETS: usize = 128;

/// A time in which a context ran without interruption.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment {
    /// When it began, in device time.
    pub at_ns: u64,
    /// Where the context's queue stood then.
    pub from: Position,
    /// How long it was.
    pub length_ns: u64,
}

/// How much of one short stretch of time something ran.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Which stretch: device time divided by [`BUCKET_NS`].
    pub number: u64,
    /// How much of it.
    pub busy_ns: u64,
}

/// The last second and a bit, in buckets.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BusyHistory {
    /// All time that was ever added.
    pub total_ns: u64,
    /// Bucket `number` lies at `number % BUCKETS`.
    pub buckets: [Bucket; BUCKETS],
}

impl BusyHistory {
    pub(super) fn clear(&mut self) {
        self.total_ns = 0;
        self.buckets = [Bucket::default(); BUCKETS];
    }

    /// Notes that something ran from `at_ns` for `length_ns`.
    pub(super) fn add(&mut self, at_ns: u64, length_ns: u64) {
        self.total_ns = self.total_ns.saturating_add(length_ns);
        let end = at_ns.saturating_add(length_ns);
        // What lies more buckets back than are kept would only be overwritten.
        let kept = BUCKET_NS * (BUCKETS as u64 - 1);
        let mut from = at_ns.max(end.saturating_sub(kept));
        while from < end {
            let number = from / BUCKET_NS;
            let until = end.min((number + 1).saturating_mul(BUCKET_NS));
            let bucket = &mut self.buckets[usize::try_from(number % BUCKETS as u64).unwrap_or(0)];
            if bucket.number != number {
                *bucket = Bucket { number, busy_ns: 0 };
            }
            bucket.busy_ns += until - from;
            from = until;
        }
    }

    /// How much of the `window_ns` that end with the last whole bucket before `now_ns` something ran, in
    /// nanoseconds. The current bucket is not counted: that is the lag of a real counter.
    #[must_use]
    pub fn within(&self, now_ns: u64, window_ns: u64) -> u64 {
        let last = now_ns / BUCKET_NS;
        let first = last.saturating_sub((window_ns / BUCKET_NS).max(1));
        let recent = self.buckets.iter().filter(|bucket| (first..last).contains(&bucket.number));
        recent.map(|bucket| bucket.busy_ns).sum()
    }
}

impl ContextRun {
    /// Notes that the context ran from `at_ns` for `length_ns`.
    pub(super) fn ran(&mut self, at_ns: u64, length_ns: u64) {
        self.busy.add(at_ns, length_ns);
        let from = self.served;
        self.served += length_ns;
        let follows =
            |last: &&mut Segment| last.at_ns + last.length_ns == at_ns && last.from + last.length_ns == from;
        if let Some(last) = self.last_segment_mut().filter(follows) {
            last.length_ns += length_ns;
            return;
        }
        let at = usize::try_from(self.segments_count % SEGMENTS as u64).unwrap_or(0);
        self.segments[at] = Segment { at_ns, from, length_ns };
        self.segments_count += 1;
    }

    fn last_segment_mut(&mut self) -> Option<&mut Segment> {
        let newest = self.segments_count.checked_sub(1)?;
        self.segments.get_mut(usize::try_from(newest % SEGMENTS as u64).ok()?)
    }

    /// When `position` was reached; the beginning of what is remembered if that is later.
    pub(super) fn time_of(&self, position: Position) -> u64 {
        let kept = self.segments_count.min(SEGMENTS as u64);
        let newest_first = (1..=kept).filter_map(|back| {
            let at = usize::try_from((self.segments_count - back) % SEGMENTS as u64).ok()?;
            self.segments.get(at)
        });
        let mut oldest = 0;
        for segment in newest_first {
            // A position between two segments was reached when the earlier one ended.
            if position > segment.from {
                return segment.at_ns + (position - segment.from).min(segment.length_ns);
            }
            oldest = segment.at_ns;
        }
        if position == 0 { 0 } else { oldest }
    }
}
