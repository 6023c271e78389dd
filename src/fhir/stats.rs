//! The statistics of `Observation/$stats` (R4, code system observation-statistics), worked out from numbers.
//! Pure arithmetic: what the numbers are of is for others to know.
//!
//! Choices that the definition leaves open: percentiles, quartiles and quintiles interpolate linearly between
//! the two nearest of n sorted values (position `p·(n-1)`); variance and standard deviation are those of a
//! sample (divided by n-1); skew is the adjusted Fisher-Pearson coefficient and kurtosis the excess of a sample;
//! regression is least squares over hours. What too few values do not have is absent, not zero.

pub const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/observation-statistics";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    Average,
    Maximum,
    Minimum,
    Count,
    TotalCount,
    StdDev,
    Sum,
    Variance,
    /// The median, a quartile, a quintile: so many hundredths.
    Percentile(u8),
    QuartileDeviation,
    Skew,
    Kurtosis,
    Regression,
}

/// Codes with their displays.
const CODES: [(&str, &str, Statistic); 21] = [
    ("average", "Average", Statistic::Average),
    ("maximum", "Maximum", Statistic::Maximum),
    ("minimum", "Minimum", Statistic::Minimum),
    ("count", "Count", Statistic::Count),
    ("total-count", "Total Count", Statistic::TotalCount),
    ("median", "Median", Statistic::Percentile(50)),
    ("std-dev", "Standard Deviation", Statistic::StdDev),
    ("sum", "Sum", Statistic::Sum),
    ("variance", "Variance", Statistic::Variance),
    ("20-percent", "20th Percentile", Statistic::Percentile(20)),
    ("80-percent", "80th Percentile", Statistic::Percentile(80)),
    ("4-lower", "Lower Quartile", Statistic::Percentile(25)),
    ("4-upper", "Upper Quartile", Statistic::Percentile(75)),
    ("4-dev", "Quartile Deviation", Statistic::QuartileDeviation),
    ("5-1", "1st Quintile", Statistic::Percentile(20)),
    ("5-2", "2nd Quintile", Statistic::Percentile(40)),
    ("5-3", "3rd Quintile", Statistic::Percentile(60)),
    ("5-4", "4th Quintile", Statistic::Percentile(80)),
    ("skew", "Skew", Statistic::Skew),
    ("kurtosis", "Kurtosis", Statistic::Kurtosis),
    ("regression", "Regression", Statistic::Regression),
];

/// The code, its display and what it stands for.
pub fn by_code(code: &str) -> Option<(&'static str, &'static str, Statistic)> {
    // The definition's own text calls two of them shorter.
    let code = match code {
        "max" => "maximum",
        "min" => "minimum",
        code => code,
    };
    CODES.into_iter().find(|(own, ..)| *own == code)
}

/// How a result is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// As the values are.
    Own,
    Squared,
    /// A number without a unit.
    Bare,
    PerHour,
}

/// One result: its name where the statistic has several, its value, how it is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub name: Option<&'static str>,
    pub value: Option<f64>,
    pub measure: Measure,
}

/// Numbers of one kind and one unit.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Hours since a common beginning, and the value; in the order of values once `new` has made it.
    points: Vec<(Option<f64>, f64)>,
    /// Digits after the point that the values have.
    decimals: usize,
    /// Readings that were looked at, with or without a value.
    total: usize,
}

impl Sample {
    pub fn new(mut points: Vec<(Option<f64>, f64)>, total: usize) -> Self {
        points.sort_by(|a, b| a.1.total_cmp(&b.1));
        let decimals = points.iter().map(|(_, value)| decimals(*value)).max().unwrap_or(0);
        Self { points, decimals, total }
    }

    pub fn count(&self) -> usize {
        self.points.len()
    }

    /// The results of one statistic; regression has two.
    pub fn figures(&self, statistic: Statistic) -> Vec<Figure> {
        let one = |value: Option<f64>, measure| {
            let value = value.filter(|v| v.is_finite()).map(|value| self.tidy(value));
            vec![Figure { name: None, value, measure }]
        };
        match statistic {
            Statistic::Average => one(self.mean(), Measure::Own),
            Statistic::Maximum => one(self.points.last().map(|p| p.1), Measure::Own),
            Statistic::Minimum => one(self.points.first().map(|p| p.1), Measure::Own),
            Statistic::Count => one(Some(float(self.count())), Measure::Bare),
            Statistic::TotalCount => one(Some(float(self.total)), Measure::Bare),
            Statistic::StdDev => one(self.variance().map(f64::sqrt), Measure::Own),
            Statistic::Variance => one(self.variance(), Measure::Squared),
            Statistic::Sum => one(Some(sum(self.values())), Measure::Own),
            Statistic::Percentile(hundredths) => one(self.percentile(hundredths), Measure::Own),
            Statistic::QuartileDeviation => {
                let (lower, upper) = (self.percentile(25), self.percentile(75));
                one(lower.zip(upper).map(|(lower, upper)| (upper - lower) / 2.0), Measure::Own)
            }
            Statistic::Skew => one(self.skew(), Measure::Bare),
            Statistic::Kurtosis => one(self.kurtosis(), Measure::Bare),
            Statistic::Regression => {
                let line = self.line();
                let figure = |name, value: Option<f64>, measure| Figure {
                    name: Some(name),
                    value: value.filter(|v| v.is_finite()).map(|value| self.tidy(value)),
                    measure,
                };
                vec![
                    figure("gradient", line.map(|l| l.0), Measure::PerHour),
                    figure("intercept", line.map(|l| l.1), Measure::Own),
                ]
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.points.iter().map(|(_, value)| *value)
    }

    fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| sum(self.values()) / float(self.count()))
    }

    /// The sum of the distances from the mean, to this power.
    fn moment(&self, power: i32) -> Option<f64> {
        let mean = self.mean()?;
        Some(sum(self.values().map(|value| (value - mean).powi(power))))
    }

    fn variance(&self) -> Option<f64> {
        (self.count() >= 2).then(|| self.moment(2).map(|squares| squares / float(self.count() - 1))).flatten()
    }

    fn percentile(&self, hundredths: u8) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let place = last * usize::from(hundredths);
        let (below, part) = (place / 100, float(place % 100) / 100.0);
        let lower = self.points.get(below)?.1;
        let upper = self.points.get(below + 1).map_or(lower, |p| p.1);
        Some(lower + (upper - lower) * part)
    }

    fn skew(&self) -> Option<f64> {
        let deviation = self.variance().filter(|v| *v > 0.0)?.sqrt();
        let n = float(self.count());
        (n > 2.0).then(|| self.moment(3).map(|m| n / ((n - 1.0) * (n - 2.0)) * m / deviation.powi(3))).flatten()
    }

    fn kurtosis(&self) -> Option<f64> {
        let variance = self.variance().filter(|v| *v > 0.0)?;
        let n = float(self.count());
        if n <= 3.0 {
            return None;
        }
        let fourth = self.moment(4)? / variance.powi(2);
        let weight = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0));
        Some(weight * fourth - 3.0 * (n - 1.0).powi(2) / ((n - 2.0) * (n - 3.0)))
    }

    /// Gradient and intercept over those values whose time is known.
    fn line(&self) -> Option<(f64, f64)> {
        let timed: Vec<(f64, f64)> =
            self.points.iter().filter_map(|(hours, value)| Some(((*hours)?, *value))).collect();
        let n = float(timed.len());
        let (x, y) = (sum(timed.iter().map(|p| p.0)) / n, sum(timed.iter().map(|p| p.1)) / n);
        let across = sum(timed.iter().map(|p| (p.0 - x) * (p.0 - x)));
        if timed.len() < 2 || across <= 0.0 {
            return None;
        }
        let gradient = sum(timed.iter().map(|p| (p.0 - x) * (p.1 - y))) / across;
        Some((gradient, y - gradient * x))
    }

    /// Four digits more than the values have are enough, and at least four that count; the noise of binary
    /// arithmetic goes.
    fn tidy(&self, value: f64) -> f64 {
        if value == 0.0 || !value.is_finite() {
            return value;
        }
        let places = self.decimals + 4;
        let rounded: f64 = format!("{value:.places$}").parse().unwrap_or(value);
        if rounded.abs() >= 10_f64.powi(3 - i32::try_from(places).unwrap_or(0)) {
            return rounded;
        }
        format!("{value:.3e}").parse().unwrap_or(value)
    }
}

/// Compensated (Neumaier): the order of many values does not matter to the last digit that is shown.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = total + value;
        lost += if total.abs() >= value.abs() { (total - next) + value } else { (value - next) + total };
        total = next;
    }
    total + lost
}

fn decimals(value: f64) -> usize {
    value.to_string().split_once('.').map_or(0, |(_, fraction)| fraction.len()).min(9)
}

/// Exact up to four thousand million, which no sample has.
fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Sample {
        Sample::new(values.iter().map(|v| (None, *v)).collect(), values.len())
    }

    fn figure(sample: &Sample, code: &str) -> Option<f64> {
        sample.figures(by_code(code).unwrap().2)[0].value
    }

    /// Worked out by hand from the formulas in the head of this file.
    #[test]
    fn figures_are_those_worked_out_by_hand() {
        // 2 4 4 4 5 5 7 9: mean 5; squares 32, cubes 42, fourths 356
        let eight = of(&[9.0, 2.0, 4.0, 5.0, 4.0, 7.0, 4.0, 5.0]);
        for (code, expected) in [
            ("average", 5.0),
            ("max", 9.0),
            ("maximum", 9.0),
            ("minimum", 2.0),
            ("count", 8.0),
            ("total-count", 8.0),
            ("sum", 40.0),
            ("median", 4.5),
            // 32 / 7
            ("variance", 4.5714),
            ("std-dev", 2.1381),
            // place 0.2 · 7 = 1.4, between 4 and 4
            ("20-percent", 4.0),
            // 0.8 · 7 = 5.6: 5 + 0.6 · (7 - 5)
            ("80-percent", 6.2),
            ("5-1", 4.0),
            // 0.4 · 7 = 2.8
            ("5-2", 4.0),
            // 0.6 · 7 = 4.2
            ("5-3", 5.0),
            ("5-4", 6.2),
            // 1.75 and 5.25: 5 + 0.25 · 2
            ("4-lower", 4.0),
            ("4-upper", 5.5),
            ("4-dev", 0.75),
            // 8 / (7 · 6) · 42 / 9.7744
            ("skew", 0.8185),
            // 8 · 9 / (7 · 6 · 5) · 356 / 20.898 - 3 · 49 / 30
            ("kurtosis", 0.9406),
        ] {
            assert_eq!(figure(&eight, code), Some(expected), "{code}");
        }
        assert_eq!(figure(&of(&[36.6, 36.7, 37.2]), "average"), Some(36.83333));
        assert_eq!(figure(&of(&[36.6, 36.7]), "sum"), Some(73.3));
        assert_eq!(figure(&of(&[0.1, 0.2]), "average"), Some(0.15));
        assert_eq!(figure(&of(&[1e-7, 3e-7]), "average"), Some(2e-7));
    }

    #[test]
    fn too_few_values_have_no_figure() {
        for (values, codes) in [
            (&[][..], "average maximum minimum median std-dev variance 4-lower 4-dev skew kurtosis regression"),
            (&[5.0], "std-dev variance skew kurtosis regression"),
            (&[5.0, 6.0], "skew kurtosis"),
            (&[5.0, 6.0, 8.0], "kurtosis"),
            (&[5.0, 5.0, 5.0, 5.0], "skew kurtosis"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(figure(&of(values), code), None, "{code} of {values:?}");
            }
        }
        assert_eq!(figure(&of(&[]), "count"), Some(0.0));
    }

    #[test]
    fn regression_is_a_line_over_hours() {
        // 1, 3, 2, 5 at 0, 1, 2, 3 h: mean 1.5 and 2.75; 5.5 / 5 = 1.1; 2.75 - 1.65
        let points = [1.0, 3.0, 2.0, 5.0].into_iter().zip(0..).map(|(y, x)| (Some(f64::from(x)), y)).collect();
        let figures = Sample::new(points, 4).figures(Statistic::Regression);
        assert_eq!(
            figures.iter().map(|f| (f.name, f.value)).collect::<Vec<_>>(),
            [(Some("gradient"), Some(1.1)), (Some("intercept"), Some(1.1))]
        );
        let same_time = Sample::new(vec![(Some(1.0), 1.0), (Some(1.0), 2.0)], 2);
        assert_eq!(same_time.figures(Statistic::Regression)[0].value, None);
    }

    #[test]
    fn every_code_of_r4_is_there() {
        assert!(by_code("banana").is_none() && by_code("5-percent").is_none());
        assert_eq!(CODES.len(), 21);
    }

    proptest! {
        #[test]
        fn figures_lie_where_they_must(values in proptest::collection::vec(-1e6..1e6f64, 1..60)) {
            let sample = of(&values);
            let get = |code| figure(&sample, code).unwrap();
            let near = 1e-3 + 1e-9 * get("maximum").abs().max(get("minimum").abs());
            for pair in ["minimum", "20-percent", "4-lower", "5-2", "median", "5-3", "4-upper", "80-percent", "maximum"].windows(2) {
                prop_assert!(get(pair[0]) <= get(pair[1]) + near, "{pair:?}");
            }
            prop_assert!(get("minimum") <= get("average") + near && get("average") <= get("maximum") + near);
        }
    }
}
