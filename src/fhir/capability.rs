//! The CapabilityStatement.
