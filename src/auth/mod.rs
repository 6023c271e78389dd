//! Who calls, and what they may see. `access` is pure and is what every store function asks for; the others
//! prove who somebody is. No handler and no query may enter.

pub mod access;
pub mod assertion;
pub mod checkpoint;
pub mod device;
pub mod password;
pub mod sessions;
pub mod smart;
pub mod token;
