//! How often each value was met: what percentiles are read from. Exact while there are few different values, as
//! bedside measurements have them (whole beats, tenths of a degree); beyond that values are rounded to a grid whose
//! step is a power of two, the smallest that keeps it small. Sketches are merged, and on one grid the merge of two is
//! the sketch of both.

/// Different values that are kept; a grid begins with about half of it.
const MOST: usize = 2048;
const BEGIN: f64 = 1024.0;
/// So many are put in one by one; more are sorted in.
const FEW: usize = 8;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// Values in their order, each with how often it was met.
    points: Vec<(f64, u32)>,
    /// The grid; zero means that every value stands as it was.
    step: f64,
}

impl Sketch {
    pub fn push(&mut self, value: f64) {
        self.add(value, 1);
        self.keep_small();
    }

    pub fn merge(&mut self, other: &Self) {
        if other.step > self.step {
            self.regrid(other.step);
        }
        if self.points.is_empty() {
            self.points.clone_from(&other.points);
            return;
        }
        if other.points.len() <= FEW {
            for (value, times) in &other.points {
                self.add(*value, *times);
            }
        } else {
            self.points.extend_from_slice(&other.points);
            self.regrid(self.step);
        }
        self.keep_small();
    }

    pub fn count(&self) -> usize {
        self.points.iter().map(|(_, times)| usize::try_from(*times).unwrap_or(usize::MAX)).sum()
    }

    /// Values are at most so far from what was measured; zero is exact.
    pub fn error(&self) -> f64 {
        self.step
    }

    /// Different values that are held: what it costs.
    pub fn size(&self) -> usize {
        self.points.len()
    }

    pub fn sum(&self) -> f64 {
        self.points.iter().map(|(value, times)| value * f64::from(*times)).sum()
    }

    pub fn lowest(&self) -> Option<f64> {
        self.points.first().map(|(value, _)| *value)
    }

    pub fn highest(&self) -> Option<f64> {
        self.points.last().map(|(value, _)| *value)
    }

    /// The p-th quantile (p from 0 to 1), interpolated linearly between the nearest ranks: position `p·(n-1)`.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let rank = p * super::float(self.count().checked_sub(1)?);
        // Ranks up to this one, counted from one, have been passed.
        let (mut passed, mut before): (f64, Option<f64>) = (0.0, None);
        for (value, times) in &self.points {
            let through = passed + f64::from(*times);
            if rank <= through - 1.0 {
                // Between the last of the values before and the first of these.
                let share = (rank - (passed - 1.0)).min(1.0);
                return Some(before.map_or(*value, |before| before + (value - before) * share));
            }
            (passed, before) = (through, Some(*value));
        }
        before
    }

    fn add(&mut self, value: f64, times: u32) {
        // Zero has one sign here.
        let value = on_grid(value, self.step) + 0.0;
        match self.points.binary_search_by(|(own, _)| own.total_cmp(&value)) {
            Ok(at) => {
                if let Some((_, own)) = self.points.get_mut(at) {
                    *own = own.saturating_add(times);
                }
            }
            Err(at) => self.points.insert(at, (value, times)),
        }
    }

    fn keep_small(&mut self) {
        while self.points.len() > MOST {
            let range = self.highest().unwrap_or(0.0) - self.lowest().unwrap_or(0.0);
            let fitting = (range / BEGIN).log2().ceil().exp2();
            // What cannot be divided further falls into one.
            let step = if fitting.is_finite() { fitting.max(self.step * 2.0) } else { f64::MAX };
            self.regrid(step);
        }
    }

    fn regrid(&mut self, step: f64) {
        self.step = step;
        for (value, _) in &mut self.points {
            *value = on_grid(*value, step) + 0.0;
        }
        self.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.points.dedup_by(|next, kept| {
            let same = next.0.total_cmp(&kept.0).is_eq();
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
    }
}

fn on_grid(value: f64, step: f64) -> f64 {
    if step > 0.0 { (value / step).round() * step } else { value }
}
