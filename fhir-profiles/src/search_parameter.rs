//! Search parameters as the definitions declare them; what they mean is compiled elsewhere.

use crate::tables::TABLES;

/// The types of <http://hl7.org/fhir/ValueSet/search-param-type>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl SearchKind {
    /// The type that is written so.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            "special" => Self::Special,
            _ => return None,
        })
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }
}

#[derive(Clone, Debug)]
pub struct SearchParameter {
    /// What stands in the URL: the `code` of the definition.
    pub name: &'static str,
    pub url: &'static str,
    /// Resource types, `Resource` and `DomainResource` among them.
    pub base: Vec<&'static str>,
    pub kind: SearchKind,
    /// `FHIRPath`, an alternative for each base joined by ` | `; empty where R4 gives none (`_text`, `_content`, `_query`).
    pub expression: &'static str,
    /// The resource types that a reference may point to.
    pub target: Vec<&'static str>,
    pub description: &'static str,
}

/// The official parameters in the order of HL7's bundle, followed by our own.
pub fn search_parameters() -> &'static [SearchParameter] {
    &TABLES.search_parameters
}
