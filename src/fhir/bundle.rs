//! Bundles that the server answers with.
