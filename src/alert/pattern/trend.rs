//! Slow change over days, from one value a day (its median). The trend is Theil and Sen's slope, which a third of wild
//! days cannot move, with the Mann-Kendall test for whether there is one. Change points part the days into stretches
//! of one level each: the division with the least squared distances, where every further part costs a penalty.

/// Below this a test says nothing.
const FEW: usize = 4;
/// Days that a level must last.
const SHORTEST: usize = 3;
/// Two-sided 95 %.
const Z95: f64 = 1.959_963_984_540_054;

/// One day and its value.
type Point = (i64, f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub days: usize,
    pub slope_per_day: f64,
    /// The slope's confidence interval of 95 % (Sen).
    pub low: f64,
    pub high: f64,
    /// Of the two-sided Mann-Kendall test.
    pub p: f64,
}

/// The slope over days in their order, of at most the last `MOST_DAYS`; none of fewer than four.
pub fn trend(points: &[Point]) -> Option<Trend> {
    let points = newest(points);
    if points.len() < FEW {
        return None;
    }
    let (mut slopes, mut score) = (Vec::with_capacity(points.len() * points.len() / 2), 0_i32);
    for (at, (day, value)) in points.iter().enumerate() {
        for (later, other) in points.iter().skip(at + 1) {
            let apart = i32::try_from(later - day).ok().filter(|days| *days > 0)?;
            slopes.push((other - value) / f64::from(apart));
            score += i32::from(other > value) - i32::from(other < value);
        }
    }
    slopes.sort_by(f64::total_cmp);
    let (pairs, spread) = (super::float(slopes.len()), variance(points).sqrt());
    let width = Z95 * spread;
    let corrected = f64::from(score.abs() - 1).max(0.0);
    Some(Trend {
        days: points.len(),
        slope_per_day: super::at_rank(&slopes, (pairs - 1.0) / 2.0)?,
        low: super::at_rank(&slopes, (pairs - width) / 2.0 - 1.0)?,
        high: super::at_rank(&slopes, f64::midpoint(pairs, width))?,
        p: if spread > 0.0 { two_sided(corrected / spread) } else { 1.0 },
    })
}

/// The variance of Mann and Kendall's score, with its correction for equal values.
fn variance(points: &[Point]) -> f64 {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let term = |n: usize| {
        let n = super::float(n);
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let ties: f64 = values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|same| term(same.len())).sum();
    ((term(points.len()) - ties) / 18.0).max(0.0)
}

/// The chance of a normal value at least so far from zero, to either side (Abramowitz and Stegun 26.2.17, to 1e-7).
fn two_sided(z: f64) -> f64 {
    let z = z.abs();
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (2.0 * tail * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()).clamp(0.0, 1.0)
}

/// A level that began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first day of it.
    pub day: i64,
    /// The means of the stretch before and of this one.
    pub before: f64,
    pub after: f64,
}

/// Where the level changed. The exact least cost over all divisions into stretches of three days and more, in steps
/// of the square of the days: 366 of them are 67,000. The penalty of a part is `3 s² ln n`, with s the spread from day
/// to day.
pub fn changes(points: &[Point]) -> Vec<Change> {
    let points = newest(points);
    let values: Vec<f64> = points.iter().map(|point| point.1).collect();
    if values.len() < 2 * SHORTEST {
        return vec![];
    }
    let penalty = 3.0 * noise(&values).powi(2) * super::float(values.len()).ln();
    let sums = Sums::of(&values);
    // For each length of the beginning: its least cost, and where the last of its stretches begins.
    let mut best: Vec<(f64, usize)> = vec![(-penalty, 0)];
    for end in 1..=values.len() {
        let last = (0..=end.saturating_sub(SHORTEST)).filter(|start| end - start >= SHORTEST);
        let costs = last.filter_map(|start| Some((best.get(start)?.0 + sums.cost(start, end) + penalty, start)));
        best.push(costs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, 0)));
    }
    let mut starts = Vec::new();
    let mut end = values.len();
    while let Some((_, start)) = best.get(end).filter(|(_, start)| *start > 0 && *start < end) {
        starts.push(*start);
        end = *start;
    }
    starts.reverse();
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let befores = [0].into_iter().chain(starts.iter().copied());
    let change = |((before, start), end): ((usize, &usize), usize)| {
        let (day, _) = points.get(*start)?;
        Some(Change { day: *day, before: sums.mean(before, *start), after: sums.mean(*start, end) })
    };
    befores.zip(&starts).zip(ends).filter_map(change).collect()
}

/// The spread of single days, from the differences of neighbours, so that a change of level hardly counts: by their
/// median where that says something, else by their mean.
fn noise(values: &[f64]) -> f64 {
    let mut apart: Vec<f64> = values.windows(2).map(|two| two.iter().fold(0.0, |d, v| v - d).abs()).collect();
    let mean = apart.iter().sum::<f64>() / super::float(apart.len()).max(1.0);
    let middle = super::median(&mut apart).unwrap_or(0.0);
    let root = std::f64::consts::SQRT_2;
    if middle > 0.0 { 1.482_602 * middle / root } else { 1.253_314 * mean / root }
}

/// Sums up to each value, of values about their mean.
struct Sums {
    middle: f64,
    sums: Vec<(f64, f64)>,
}

impl Sums {
    fn of(values: &[f64]) -> Self {
        let middle = values.iter().sum::<f64>() / super::float(values.len()).max(1.0);
        let mut sums = vec![(0.0, 0.0)];
        let mut sum = (0.0, 0.0);
        for value in values {
            let apart = value - middle;
            sum = (sum.0 + apart, sum.1 + apart * apart);
            sums.push(sum);
        }
        Self { middle, sums }
    }

    fn between(&self, start: usize, end: usize) -> (f64, f64, f64) {
        let at = |place: usize| self.sums.get(place).copied().unwrap_or_default();
        let ((a, aa), (b, bb)) = (at(start), at(end));
        (super::float(end.saturating_sub(start)).max(1.0), b - a, bb - aa)
    }

    /// The squared distances from the mean of a stretch.
    fn cost(&self, start: usize, end: usize) -> f64 {
        let (count, sum, squares) = self.between(start, end);
        (squares - sum * sum / count).max(0.0)
    }

    fn mean(&self, start: usize, end: usize) -> f64 {
        let (count, sum, _) = self.between(start, end);
        self.middle + sum / count
    }
}

fn newest(points: &[Point]) -> &[Point] {
    points.get(points.len().saturating_sub(super::MOST_DAYS)..).unwrap_or_default()
}
