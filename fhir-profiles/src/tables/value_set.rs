//! A value set that could be listed in full.

pub(crate) struct ValueSet {
    pub(crate) url: &'static str,
    /// Systems with their codes in order.
    pub(crate) systems: Vec<(&'static str, Vec<&'static str>)>,
}

impl ValueSet {
    /// A `code` element has no system of its own: any system of the set will do.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.systems.iter().any(|(_, codes)| codes.binary_search(&code).is_ok())
    }

    pub(crate) fn has(&self, system: &str, code: &str) -> bool {
        self.systems.iter().any(|(s, codes)| *s == system && codes.binary_search(&code).is_ok())
    }

    /// The end of the canonical URL, for messages.
    pub(crate) fn name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }
}
