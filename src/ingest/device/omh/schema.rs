//! The schemas of Open mHealth that are read, as tables: which member carries the value, in which units, from which
//! version on a time is demanded, and what else may be said of it. What a schema does not name is let pass, as the
//! schemas do.

use crate::ingest::device::part::coded;
use crate::normalize::codes::{DIASTOLIC, SYSTOLIC};
use crate::normalize::draft::Coding;

/// A unit as the schemas write it, and in UCUM.
pub(super) type Units = &'static [(&'static str, &'static str)];

/// One version after the other of a schema.
pub(super) struct Schema {
    pub(super) name: &'static str,
    /// The newest major version.
    pub(super) newest: u32,
    /// The member that tells a body of it from all others.
    pub(super) member: &'static str,
    /// From this major version on a time is demanded.
    pub(super) timed: u32,
    /// From this one on it is an interval.
    pub(super) interval: u32,
    /// From this one on a part of a day is not precise enough.
    pub(super) precise: u32,
    pub(super) measures: &'static [Measure],
    /// Members that are texts out of a list.
    pub(super) texts: &'static [(&'static str, &'static [&'static str])],
}

/// A member with a number and a unit.
pub(super) struct Measure {
    pub(super) member: &'static str,
    pub(super) loinc: &'static str,
    pub(super) mdc: (&'static str, &'static str),
    pub(super) units: Units,
    pub(super) required: bool,
}

impl Measure {
    pub(super) fn code(&self) -> Vec<Coding> {
        coded(self.loinc, self.mdc.0, self.mdc.1)
    }
}

const NEVER: u32 = u32::MAX;

const fn measure(member: &'static str, loinc: &'static str, units: Units) -> Measure {
    Measure { member, loinc, mdc: ("", ""), units, required: true }
}

const PERCENT: Units = &[("%", "%")];
const PRESSURE: Units = &[("mmHg", "mm[Hg]")];
const TEMPERATURE: Units = &[("C", "Cel"), ("F", "[degF]"), ("K", "K")];
const STEPS: Units = &[("steps", "{steps}")];
const DURATION: Units = &[
    ("ps", "ps"),
    ("ns", "ns"),
    ("us", "us"),
    ("ms", "ms"),
    ("sec", "s"),
    ("min", "min"),
    ("h", "h"),
    ("d", "d"),
    ("wk", "wk"),
    ("Mo", "mo"),
    ("yr", "a"),
];
const MASS: Units = &[
    ("fg", "fg"),
    ("pg", "pg"),
    ("ng", "ng"),
    ("ug", "ug"),
    ("mg", "mg"),
    ("g", "g"),
    ("kg", "kg"),
    ("Metric Ton", "t"),
    ("gr", "[gr]"),
    ("oz", "[oz_av]"),
    ("lb", "[lb_av]"),
    ("Ton", "[ston_av]"),
];
const LENGTH: Units = &[
    ("fm", "fm"),
    ("pm", "pm"),
    ("nm", "nm"),
    ("um", "um"),
    ("mm", "mm"),
    ("cm", "cm"),
    ("m", "m"),
    ("km", "km"),
    ("in", "[in_i]"),
    ("ft", "[ft_i]"),
    ("yd", "[yd_i]"),
    ("mi", "[mi_i]"),
];

type Texts = (&'static str, &'static [&'static str]);

const ACTIVITY: Texts = (
    "temporal_relationship_to_physical_activity",
    &["at rest", "active", "before exercise", "after exercise", "during exercise"],
);
const SLEEP: Texts = ("temporal_relationship_to_sleep", &["before sleeping", "during sleep", "on waking"]);
const MEAL: Texts = (
    "temporal_relationship_to_meal",
    &[
        "fasting",
        "not fasting",
        "before meal",
        "after meal",
        "before breakfast",
        "after breakfast",
        "before lunch",
        "after lunch",
        "before dinner",
        "after dinner",
        "2 hours postprandial",
        "with meal",
        "with food",
    ],
);
const POSTURES: &[&str] = &["sitting", "lying down", "standing", "semi-recumbent"];
const BODY: Texts = (
    "measurement_location",
    &[
        "left ankle",
        "right ankle",
        "left hip",
        "right hip",
        "left thigh",
        "right thigh",
        "left thorax",
        "middle left thorax",
        "left upper arm",
        "right upper arm",
        "left wrist",
        "right wrist",
    ],
);
const SITES: Texts = (
    "measurement_location",
    &["axillary", "finger", "forehead", "oral", "rectal", "temporal artery", "toe", "tympanic", "wrist", "vagina"],
);
const SOURCES: Texts = (
    "specimen_source",
    &[
        "breath",
        "capillary blood",
        "interstitial fluid",
        "plasma",
        "saliva",
        "serum",
        "sweat",
        "tears",
        "urine",
        "whole blood",
    ],
);

#[rustfmt::skip]
pub(super) const SCHEMAS: &[Schema] = &[
    Schema { name: "heart-rate", newest: 2, member: "heart_rate", timed: 2, interval: NEVER, precise: NEVER,
        measures: &[measure("heart_rate", "8867-4", &[("beats/min", "/min")])], texts: &[ACTIVITY, SLEEP] },
    Schema { name: "blood-pressure", newest: 4, member: "systolic_blood_pressure", timed: 3, interval: NEVER, precise: 4,
        measures: &[measure("systolic_blood_pressure", SYSTOLIC, PRESSURE), measure("diastolic_blood_pressure", DIASTOLIC, PRESSURE)],
        texts: &[ACTIVITY, BODY, ("body_posture", POSTURES), ("position_during_measurement", POSTURES)] },
    Schema { name: "body-temperature", newest: 4, member: "body_temperature", timed: 3, interval: NEVER, precise: 4,
        measures: &[measure("body_temperature", "8310-5", TEMPERATURE)], texts: &[SITES, SLEEP] },
    Schema { name: "oxygen-saturation", newest: 2, member: "oxygen_saturation", timed: 2, interval: NEVER, precise: NEVER,
        measures: &[
            measure("oxygen_saturation", "59408-5", PERCENT),
            Measure { required: false, ..measure("supplemental_oxygen_flow_rate", "3151-8", &[("L/min", "L/min")]) },
        ],
        texts: &[
            ("system", &["peripheral capillary"]),
            ("oxygen_therapy_mode_of_administration", &["nasal cannula"]),
            ("measurement_method", &["pulse oximetry"]),
        ] },
    Schema { name: "respiratory-rate", newest: 2, member: "respiratory_rate", timed: 2, interval: NEVER, precise: NEVER,
        measures: &[measure("respiratory_rate", "9279-1", &[("breaths/min", "/min")])], texts: &[ACTIVITY] },
    Schema { name: "blood-glucose", newest: 4, member: "blood_glucose", timed: 3, interval: NEVER, precise: 4,
        measures: &[measure("blood_glucose", "2339-0", &[("mg/dL", "mg/dL"), ("mmol/L", "mmol/L")])],
        texts: &[SOURCES, MEAL, SLEEP, ("blood_specimen_type", &["whole blood", "plasma", "serum"])] },
    Schema { name: "body-weight", newest: 3, member: "body_weight", timed: 2, interval: NEVER, precise: 3,
        measures: &[measure("body_weight", "29463-7", MASS)], texts: &[] },
    Schema { name: "body-height", newest: 2, member: "body_height", timed: 2, interval: NEVER, precise: 2,
        measures: &[measure("body_height", "8302-2", LENGTH)], texts: &[] },
    Schema { name: "body-mass-index", newest: 3, member: "body_mass_index", timed: 2, interval: NEVER, precise: 3,
        measures: &[measure("body_mass_index", "39156-5", &[("kg/m^2", "kg/m2"), ("kg/m2", "kg/m2")])], texts: &[] },
    Schema { name: "body-fat-percentage", newest: 2, member: "body_fat_percentage", timed: 2, interval: NEVER, precise: 2,
        measures: &[measure("body_fat_percentage", "41982-0", PERCENT)], texts: &[] },
    Schema { name: "step-count", newest: 3, member: "step_count", timed: 2, interval: 2, precise: NEVER,
        measures: &[measure("step_count", "55423-8", STEPS)], texts: &[] },
    Schema { name: "sleep-duration", newest: 2, member: "sleep_duration", timed: 2, interval: 2, precise: NEVER,
        measures: &[measure("sleep_duration", "93832-4", DURATION)], texts: &[] },
    // Before the total, which is a member of it.
    Schema { name: "sleep-episode", newest: 1, member: "is_main_sleep", timed: 1, interval: 1, precise: NEVER, measures: &[], texts: &[] },
    Schema { name: "total-sleep-time", newest: 1, member: "total_sleep_time", timed: 1, interval: 1, precise: NEVER,
        measures: &[measure("total_sleep_time", "93832-4", DURATION)], texts: &[] },
    Schema { name: "rr-interval", newest: 1, member: "rr_interval", timed: NEVER, interval: NEVER, precise: NEVER,
        measures: &[Measure { mdc: ("147240", "MDC_ECG_TIME_PD_RR_GL"), ..measure("rr_interval", "8637-1", &[("ms", "ms")]) }],
        texts: &[ACTIVITY] },
    Schema { name: "minute-volume", newest: 1, member: "minute_volume", timed: NEVER, interval: NEVER, precise: NEVER,
        measures: &[Measure { mdc: ("151880", "MDC_VOL_MINUTE_AWAY"), ..measure("minute_volume", "", &[("mL/min", "mL/min"), ("L/min", "L/min")]) }],
        texts: &[ACTIVITY, ("minute_volume_type", &["inspiratory", "expiratory", "total"])] },
    Schema { name: "calories-burned", newest: 2, member: "kcal_burned", timed: 2, interval: NEVER, precise: NEVER,
        measures: &[measure("kcal_burned", "41981-2", &[("kcal", "kcal")])], texts: &[] },
];

/// A night as a whole: what may be said of it, each a part of one reading.
pub(super) const EPISODE: &[(&str, &str, Units)] = &[
    ("total_sleep_time", "Total sleep time", DURATION),
    ("latency_to_sleep_onset", "Latency to sleep onset", DURATION),
    ("latency_to_arising", "Latency to arising", DURATION),
    ("wake_after_sleep_onset", "Wake after sleep onset", DURATION),
    ("sleep_maintenance_efficiency_percentage", "Sleep maintenance efficiency", PERCENT),
];

/// What a value may be of all that were measured in its time, and the code of the statistic in FHIR.
pub(super) const STATISTICS: &[(&str, &str)] = &[
    ("average", "average"),
    ("count", "count"),
    ("maximum", "maximum"),
    ("median", "median"),
    ("minimum", "minimum"),
    ("standard deviation", "std-dev"),
    ("sum", "sum"),
    ("variance", "variance"),
    ("20th percentile", "20-percent"),
    ("80th percentile", "80-percent"),
    ("lower quartile", "4-lower"),
    ("upper quartile", "4-upper"),
    ("quartile deviation", "4-dev"),
    ("1st quintile", "5-1"),
    ("2nd quintile", "5-2"),
    ("3rd quintile", "5-3"),
    ("4th quintile", "5-4"),
];

/// Glucose in each kind of sample, by mass and by amount; in what is not blood it has only a name.
pub(super) const GLUCOSE: &[(&str, &str, &str)] = &[
    ("whole blood", "2339-0", "15074-8"),
    ("capillary blood", "41653-7", "14743-9"),
    ("plasma", "2345-7", "14749-6"),
    ("serum", "2345-7", "14749-6"),
    ("interstitial fluid", "99504-3", "105272-9"),
];

/// Where a temperature was taken, as far as LOINC has a code for it.
pub(super) const TEMPERATURES: &[(&str, &str)] =
    &[("axillary", "8328-7"), ("oral", "8331-1"), ("rectal", "8332-9"), ("tympanic", "8333-7")];

/// The schema of this name.
pub(super) fn named(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}
