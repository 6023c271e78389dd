//! Places on the globe and how far apart they are: great circles on a sphere of the earth's mean radius, which is
//! within half a percent of the ellipsoid. Only arithmetic; what asks for distances is `query::near`.

use std::f64::consts::PI;

/// Metres.
const EARTH: f64 = 6_371_008.8;
/// Degrees (a tenth of a metre) that a box is wider than it need be, so that no rounding leaves a place out.
const MARGIN: f64 = 1e-6;

/// Metres: places that are closer are one. At the poles and at the 180th meridian one place can be written in several
/// ways, which rounding keeps apart.
const SAME: f64 = 1e-6;

/// What lies within a distance lies in here: between two parallels, and in any of the spans of meridians.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    pub latitudes: (f64, f64),
    /// Empty: all the way round, as it is at a pole.
    pub longitudes: Vec<(f64, f64)>,
}

/// Whether these degrees are a place.
pub fn is_place(latitude: f64, longitude: f64) -> bool {
    (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)
}

/// The haversine of the angle between two places: grows with their distance, exact also for small ones.
pub fn haversine(latitude: f64, longitude: f64, other_latitude: f64, other_longitude: f64) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    half(latitude - other_latitude)
        + latitude.to_radians().cos() * other_latitude.to_radians().cos() * half(longitude - other_longitude)
}

/// The haversine of places that are so far apart; none when nothing can be farther.
pub fn haversine_of(metres: f64) -> Option<f64> {
    let angle = metres.max(SAME) / EARTH;
    (angle < PI).then(|| (angle / 2.0).sin().powi(2))
}

/// Where to look for what is at most so far from a place.
pub fn around(latitude: f64, longitude: f64, metres: f64) -> Area {
    let angle = metres / EARTH;
    let reach = angle.to_degrees() + MARGIN;
    let latitudes = (latitude - reach, latitude + reach);
    if latitudes.0 <= -90.0 || latitudes.1 >= 90.0 {
        return Area { latitudes, longitudes: vec![] };
    }
    // Where a meridian touches the circle; a little below the pole the quotient may round to more than one.
    let quotient = angle.sin() / latitude.to_radians().cos();
    let wide = quotient.min(1.0).asin().to_degrees() + MARGIN / latitude.to_radians().cos();
    let (west, east) = (longitude - wide, longitude + wide);
    let longitudes = if west < -180.0 {
        vec![(-180.0, east), (west + 360.0, 180.0)]
    } else if east > 180.0 {
        vec![(west, 180.0), (-180.0, east - 360.0)]
    } else {
        vec![(west, east)]
    };
    Area { latitudes, longitudes }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(area: &Area, latitude: f64, longitude: f64) -> bool {
        let within = |(from, to): &(f64, f64), degrees: f64| (*from..=*to).contains(&degrees);
        within(&area.latitudes, latitude)
            && (area.longitudes.is_empty() || area.longitudes.iter().any(|span| within(span, longitude)))
    }

    proptest! {
        /// Near and far alike, at the poles and at the 180th meridian.
        #[test]
        fn nothing_near_is_outside_of_the_box(
            latitude in prop_oneof![-90.0..=90.0_f64, 89.0..=90.0_f64, Just(90.0), Just(-90.0)],
            longitude in prop_oneof![-180.0..=180.0_f64, 179.0..=180.0_f64, Just(180.0), Just(-180.0)],
            north in prop_oneof![-180.0..180.0_f64, -0.5..0.5_f64], east in prop_oneof![-360.0..360.0_f64, -0.5..0.5_f64],
            metres in prop_oneof![0.0..2.1e7, 0.0..2e5, Just(0.0)],
        ) {
            let (other, meridian) = ((latitude + north).clamp(-90.0, 90.0), (longitude + east).clamp(-180.0, 180.0));
            let near = haversine_of(metres).is_none_or(|most| haversine(other, meridian, latitude, longitude) <= most);
            if near {
                prop_assert!(holds(&around(latitude, longitude, metres), other, meridian));
            }
        }
    }
}
