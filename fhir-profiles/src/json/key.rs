//! Member names, and the one that is none.
//!
//! To keep the digits of a decimal, `serde_json` hands a number over as a map with one private key.
//! A sender could write that very key. The two are told apart by how they answer to
//! `deserialize_option`: the name of a true member says that it is there, the private key is just
//! a string. A test holds `serde_json` to that.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Visitor};

pub(super) enum Key {
    Member(String),
    /// What follows is the text of a number.
    Number,
}

/// The seed that reads a [`Key`].
pub(super) struct AnyKey;

/// A name that `serde_json` keeps for itself.
pub(super) fn is_private(key: &str) -> bool {
    key.starts_with("$serde_json::private")
}

impl<'de> DeserializeSeed<'de> for AnyKey {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for AnyKey {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(Key::Member)
    }

    fn visit_str<E>(self, _: &str) -> Result<Key, E> {
        Ok(Key::Number)
    }
}
