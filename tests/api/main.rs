//! The server as its users meet it: a real App on a free port, asked over HTTP, MLLP and server-sent events.
//! Modules mirror addresses. Everything runs on SQLite in a temporary directory, and the same on PostgreSQL when
//! `VIGIA_TEST_POSTGRES` is the URL of a server whose user may create databases.

#[cfg(test)]
mod alert;
#[cfg(test)]
mod alert_acts;
#[cfg(test)]
mod alert_departure;
#[cfg(test)]
mod alert_engine;
#[cfg(test)]
mod alert_instant;
#[cfg(test)]
mod alert_mute;
#[cfg(test)]
mod alert_past;
#[cfg(test)]
mod alert_report;
#[cfg(test)]
mod alert_scores;
#[cfg(test)]
mod alert_search;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod backtest;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod device;
#[cfg(test)]
mod device_guides;
#[cfg(test)]
mod device_keys;
#[cfg(test)]
mod device_place;
#[cfg(test)]
mod device_waves;
#[cfg(test)]
mod fhir;
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod hl7_admission;
#[cfg(test)]
mod hl7_channels;
#[cfg(test)]
mod hl7_cli;
#[cfg(test)]
mod hl7_messages;
#[cfg(test)]
mod hl7_order;
#[cfg(test)]
mod hl7_out;
#[cfg(test)]
mod hl7_provenance;
#[cfg(test)]
mod hl7_results;
#[cfg(test)]
mod hl7_samples;
#[cfg(test)]
mod hl7_stays;
#[cfg(test)]
mod hl7_waiting;
#[cfg(test)]
mod import;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod live;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod mllp;
#[cfg(test)]
mod mqtt;
#[cfg(test)]
mod mqtt_broker;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rule_forms;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod smart;
#[cfg(test)]
mod store;
