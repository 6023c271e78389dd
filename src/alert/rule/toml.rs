//! The short form of a rule, as people write it and git keeps it: TOML. It says all that a PlanDefinition says:
//! what has no word of its own stands below `[fhir]` as it is. `text` turns TOML into plain values and back with
//! every number as it was written; `shape` turns one extension into the value of one key and back; `import` and
//! `export` do so with the whole rule. What the rule means is of no concern here: that is `compile`.

mod export;
mod import;
mod schema;
mod shape;
mod text;

pub use export::export;
pub use import::import;
pub use schema::schema;

/// What is wrong with a text, and where: the line from 1 on, and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub key: String,
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (line, text) = (self.line, &self.text);
        if self.key.is_empty() {
            write!(f, "line {line}: {text}")
        } else {
            write!(f, "line {line}: {}: {text}", self.key)
        }
    }
}

#[cfg(test)]
mod tests;
