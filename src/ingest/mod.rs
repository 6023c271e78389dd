//! The doors: each turns bytes of one kind into drafts, item by item, and answers in its own words. No door
//! writes: drafts go to the pipeline. HTTP itself is the api's.

mod accept;
pub mod device;
pub mod hl7;
pub mod mqtt;
