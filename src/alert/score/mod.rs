//! Clinical scores.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    News2,
}

impl Kind {
    pub fn code(self) -> &'static str {
        "news2"
    }
}
