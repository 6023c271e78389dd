//! One problem found in a resource: what an `OperationOutcome.issue` needs, and nothing else.

/// How bad a problem is. Only `Error` refuses a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
    Information,
}

impl Severity {
    /// The code of <http://hl7.org/fhir/ValueSet/issue-severity>.
    pub fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// A problem, the place where it stands, and what to tell the sender. `diagnostics` never
/// repeats values of the resource: it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub severity: Severity,
    /// A code of <http://hl7.org/fhir/ValueSet/issue-type>: `structure`, `required`, `value`, …
    pub code: &'static str,
    /// `FHIRPath` of the element, with indices: `Observation.component[1].valueQuantity.value`.
    pub expression: String,
    pub diagnostics: String,
}

impl Issue {
    pub fn error(code: &'static str, expression: impl Into<String>, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, expression: expression.into(), diagnostics: diagnostics.into() }
    }

    pub fn warning(code: &'static str, expression: impl Into<String>, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, expression: expression.into(), diagnostics: diagnostics.into() }
    }

    /// The same issue of a resource that stands inside another: `Observation.code` below
    /// `Bundle.entry[3].resource` becomes `Bundle.entry[3].resource.code`.
    #[must_use]
    pub fn under(mut self, place: &str) -> Self {
        let rest = self.expression.find('.').map_or("", |dot| self.expression.get(dot..).unwrap_or(""));
        self.expression = format!("{place}{rest}");
        self
    }
}
