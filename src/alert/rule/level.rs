//! How far from normal, on which side, and how urgent that is.

/// How far from normal. The order is that of urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    #[default]
    None,
    Advisory,
    Warning,
    Critical,
}

impl Level {
    /// Those that an alert can have, the least urgent first.
    pub const RAISED: [Self; 3] = [Self::Advisory, Self::Warning, Self::Critical];

    /// The code in our extensions.
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Advisory => "advisory",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// A level that an alert can have.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::RAISED.into_iter().find(|level| level.code() == code)
    }

    /// Its place among [`Level::RAISED`]; none for `None`.
    pub fn place(self) -> Option<usize> {
        Self::RAISED.iter().position(|level| *level == self)
    }

    /// The priority that it has unless a rule says otherwise.
    pub fn priority(self) -> Priority {
        match self {
            Self::None | Self::Advisory => Priority::Low,
            Self::Warning => Priority::Medium,
            Self::Critical => Priority::High,
        }
    }
}

/// Priority in the sense of IEC 60601-1-8. Its order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Low,
    Medium,
    High,
}

impl Priority {
    pub fn code(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|priority| priority.code() == code)
    }

    /// `DetectedIssue.severity`
    pub fn severity(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "moderate",
            Self::High => "high",
        }
    }
}

/// What an alert is about (`DeviceAlert.type` of R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The patient.
    Physiological,
    /// The measurement, or who measures.
    Technical,
    /// A hint that nobody has to act on at once.
    Advisory,
}

impl Nature {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Physiological, "physiological"), (Self::Technical, "technical"), (Self::Advisory, "advisory")];

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(nature, _)| *nature == self).map_or("", |(_, code)| *code)
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text)| *text == code).map(|(nature, _)| *nature)
    }
}

/// Which end of the normal range was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Low,
    High,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Low, Self::High];

    pub fn code(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }

    /// Is `a` further out than `b`?
    pub fn worse(self, a: f64, b: f64) -> bool {
        match self {
            Self::Low => a < b,
            Self::High => a > b,
        }
    }
}
