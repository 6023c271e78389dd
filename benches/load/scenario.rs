//! What is asked of the server: one entry a line of the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

use crate::client::{Connection, Requests};
use crate::measure::{Drive, Job, Wire};
use crate::mqtt;
use crate::server::Server;
use crate::vitals::{self, KINDS, Ward, patient_id, patients, scatter};

const FHIR: &str = "application/fhir+json";
/// Readings of one Bundle or upload.
const MANY: u64 = 100;
/// Results of one HL7 message.
const RESULTS: u64 = 30;

/// What requests are made of.
pub(crate) struct Context {
    pub(crate) requests: Requests,
    pub(crate) ward: Ward,
    /// Readings that are stored when the scenarios begin.
    pub(crate) rows: u64,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) job: Arc<dyn Job>,
    pub(crate) drive: Drive,
    numbering: Numbering,
    /// Reports how long alerts took.
    pub(crate) alerts: bool,
}

/// What the numbers of requests mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// The next readings in groups of so many.
    Readings(u64),
    /// Messages, which have readings of their own.
    Messages,
    Reads,
}

type Make = fn(&Context, u64) -> Vec<u8>;

struct Http {
    context: Arc<Context>,
    make: Make,
    status: u16,
    /// What must stand so often in the answer.
    proof: &'static [u8],
    times: usize,
}

impl Job for Http {
    fn request(&self, n: u64) -> Vec<u8> {
        (self.make)(&self.context, n)
    }

    fn right(&self, status: u16, body: &[u8]) -> bool {
        status == self.status && (self.times == 0 || occurrences(body, self.proof) == self.times)
    }
}

struct Messages {
    context: Arc<Context>,
}

impl Job for Messages {
    fn request(&self, n: u64) -> Vec<u8> {
        self.context.ward.message(n, RESULTS)
    }

    fn right(&self, _: u16, body: &[u8]) -> bool {
        contains(body, b"MSA|AA") || contains(body, b"MSA|CA")
    }

    fn wire(&self) -> Wire {
        Wire::Mllp
    }
}

/// Single readings as devices publish them, each answered.
struct Publications {
    context: Arc<Context>,
}

impl Job for Publications {
    fn request(&self, n: u64) -> Vec<u8> {
        publication("vitals/me/observations", self.context.ward.device_reading(n, false).as_bytes())
    }

    fn right(&self, _: u16, body: &[u8]) -> bool {
        body.starts_with(&[0x40, 2])
    }

    fn wire(&self) -> Wire {
        Wire::Mqtt
    }
}

/// A message that wants an answer, of number 1: one at a time is under way.
fn publication(topic: &str, payload: &[u8]) -> Vec<u8> {
    let body = [mqtt::text(topic), vec![0, 1], payload.to_vec()].concat();
    [mqtt::begun(0x32, body.len()), body].concat()
}

pub(crate) fn occurrences(text: &[u8], part: &[u8]) -> usize {
    let Some((first, rest)) = part.split_first() else { return 0 };
    text.iter()
        .enumerate()
        .filter(|(at, b)| *b == first && text.get(at + 1..).is_some_and(|t| t.starts_with(rest)))
        .count()
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    occurrences(text, part) > 0
}

/// All scenarios, in the order in which they run: writes last, so that searches meet the rows of `--rows`.
pub(crate) fn all(context: &Arc<Context>) -> Vec<Scenario> {
    let http =
        |name, connections, units, numbering, (status, proof, times): (u16, &'static [u8], usize), make: Make| {
            Scenario {
                name,
                job: Arc::new(Http { context: context.clone(), make, status, proof, times }),
                drive: drive(connections, units),
                numbering,
                alerts: false,
            }
        };
    let page: (u16, &[u8], usize) = (200, b"searchset", 1);
    let many: (u16, &[u8], usize) = (200, b"201 Created", 100);
    let readings = |scenario: Scenario, pace: f64| Scenario {
        alerts: true,
        drive: Drive { pace: Some(pace), ..scenario.drive },
        ..scenario
    };
    vec![
        http("read", 16, 1, Numbering::Reads, (200, b"", 0), |c, n| {
            c.requests.get(&format!("/fhir/Patient/{}", patient_id(scatter(n) % patients())))
        }),
        http("latest-50", 16, 50, Numbering::Reads, page, |c, n| {
            let (patient, code) = (patient_id(scatter(n) % patients()), vitals::place(scatter(n) >> 32).kind.loinc);
            c.requests.get(&format!(
                "/fhir/Observation?patient=Patient/{patient}&code=http://loinc.org%7C{code}&_sort=-date&_count=50"
            ))
        }),
        http("lastn", 16, KINDS, Numbering::Reads, page, |c, n| {
            let patient = patient_id(scatter(n) % patients());
            c.requests.get(&format!("/fhir/Observation/$lastn?patient=Patient/{patient}&category=vital-signs"))
        }),
        http("window", 16, 50, Numbering::Reads, page, |c, n| {
            let span = (c.rows / (KINDS * patients())).max(60) - 30;
            let from = (scatter(n) >> 32) % span;
            let (patient, start, end) =
                (patient_id(scatter(n) % patients()), c.ward.second(from), c.ward.second(from + 30));
            c.requests
                .get(&format!("/fhir/Observation?patient=Patient/{patient}&date=ge{start}&date=lt{end}&_count=50"))
        }),
        http("value", 16, 50, Numbering::Reads, page, |c, n| {
            let limit = 70 + scatter(n) % 15;
            c.requests.get(&format!("/fhir/Observation?code=http://loinc.org%7C8867-4&value-quantity=gt{limit}%7Chttp://unitsofmeasure.org%7C/min&_count=50"))
        }),
        http("value-none", 16, 0, Numbering::Reads, page, |c, n| {
            let limit = 900 + scatter(n) % 15;
            c.requests.get(&format!("/fhir/Observation?code=http://loinc.org%7C8867-4&value-quantity=gt{limit}%7Chttp://unitsofmeasure.org%7C/min&_count=50"))
        }),
        http("value-all", 16, 50, Numbering::Reads, page, |c, n| {
            let limit = scatter(n) % 15;
            c.requests.get(&format!("/fhir/Observation?code=http://loinc.org%7C8867-4&value-quantity=gt{limit}%7Chttp://unitsofmeasure.org%7C/min&_count=50"))
        }),
        http("value-gap", 16, 0, Numbering::Reads, page, |c, n| {
            let limit = 70 + scatter(n) % 15;
            c.requests.get(&format!("/fhir/Observation?code=http://loinc.org%7C8867-4&value-quantity={limit}.53%7Chttp://unitsofmeasure.org%7C/min&_count=50"))
        }),
        http("value-date", 16, 50, Numbering::Reads, page, |c, n| {
            let span = (c.rows / (KINDS * patients())).max(60) - 30;
            let patient = patient_id(scatter(n) % patients());
            let (start, limit) = (c.ward.second((scatter(n) >> 32) % span), 70 + scatter(n) % 15);
            c.requests.get(&format!("/fhir/Observation?patient=Patient/{patient}&code=http://loinc.org%7C8867-4&date=lt{start}&value-quantity=gt{limit}%7Chttp://unitsofmeasure.org%7C/min&_count=50"))
        }),
        http("code-none", 16, 0, Numbering::Reads, page, |c, n| {
            c.requests.get(&format!(
                "/fhir/Observation?patient=Patient/{}&code=http://loinc.org%7C2339-0",
                patient_id(scatter(n) % patients())
            ))
        }),
        http("all", 16, 50, Numbering::Reads, page, |c, _| c.requests.get("/fhir/Observation?_count=50")),
        http("include", 16, 51, Numbering::Reads, page, |c, n| {
            let patient = patient_id(scatter(n) % patients());
            let code = vitals::place(scatter(n) >> 32).kind.loinc;
            c.requests.get(&format!("/fhir/Observation?patient=Patient/{patient}&code=http://loinc.org%7C{code}&_count=50&_include=Observation:patient"))
        }),
        http("chain", 16, 50, Numbering::Reads, page, |c, n| {
            let family = scatter(n) % patients();
            c.requests.get(&format!(
                "/fhir/Observation?patient.family:exact=Doe{family}&code=http://loinc.org%7C8867-4&_count=50"
            ))
        }),
        http("has", 16, 50, Numbering::Reads, page, |c, _| {
            c.requests.get("/fhir/Patient?_has:Observation:patient:code=http://loinc.org%7C8867-4&_count=50")
        }),
        http("component", 16, 50, Numbering::Reads, page, |c, n| {
            let limit = 100 + scatter(n) % 15;
            c.requests.get(&format!("/fhir/Observation?component-code-value-quantity=http://loinc.org%7C8480-6$gt{limit}%7Chttp://unitsofmeasure.org%7Cmm%5BHg%5D&_count=50"))
        }),
        http("post-1", 1, 1, Numbering::Readings(1), (201, b"", 0), post),
        http("post-8", 8, 1, Numbering::Readings(1), (201, b"", 0), post),
        http("post-32", 32, 1, Numbering::Readings(1), (201, b"", 0), post),
        http("batch-4", 4, MANY, Numbering::Readings(MANY), many, |c, n| {
            c.requests.post("/fhir", FHIR, &vitals::bundle(c.ward, "batch", n * MANY, MANY))
        }),
        http("transaction-4", 4, MANY, Numbering::Readings(MANY), many, |c, n| {
            c.requests.post("/fhir", FHIR, &vitals::bundle(c.ward, "transaction", n * MANY, MANY))
        }),
        http("device-4", 4, MANY, Numbering::Readings(MANY), (200, b"\"created\":100", 1), |c, n| {
            c.requests.post(
                "/device/v1/observations",
                "application/json",
                &vitals::upload(c.ward, n * MANY, MANY, false),
            )
        }),
        Scenario {
            name: "hl7-50",
            job: Arc::new(Messages { context: context.clone() }),
            drive: drive(50, RESULTS),
            numbering: Numbering::Messages,
            alerts: false,
        },
        // A sender that waits for each answer, as most engines do.
        Scenario {
            name: "hl7-1",
            job: Arc::new(Messages { context: context.clone() }),
            drive: drive(1, RESULTS),
            numbering: Numbering::Messages,
            alerts: false,
        },
        // As many monitors as a hospital has; each waits for its answer.
        Scenario {
            name: "mqtt-500",
            job: Arc::new(Publications { context: context.clone() }),
            drive: drive(500, 1),
            numbering: Numbering::Readings(1),
            alerts: false,
        },
        // 5,000 readings a second: each monitor sends its seven; every fortieth set begins an alarm of five sets.
        readings(
            http("alert-5000", 16, KINDS, Numbering::Readings(KINDS), (200, b"\"created\":7", 1), |c, n| {
                let (patient, round) = (n % patients(), n / patients());
                let alarming = (round + patient * 7) % 40 < 5;
                c.requests.post(
                    "/device/v1/observations",
                    "application/json",
                    &vitals::upload(c.ward, n * KINDS, KINDS, alarming),
                )
            }),
            5000.0 / 7.0,
        ),
    ]
}

fn drive(connections: u64, units: u64) -> Drive {
    Drive { connections, units, pace: None, warm_up: Duration::ZERO, time: Duration::ZERO }
}

fn post(context: &Context, n: u64) -> Vec<u8> {
    context.requests.post("/fhir/Observation", FHIR, &context.ward.observation(n))
}

impl Scenario {
    /// The number of its first request, `counter` being the next reading that is not stored.
    pub(crate) fn first(&self, counter: &AtomicU64) -> u64 {
        match self.numbering {
            Numbering::Readings(each) => counter.load(Ordering::Relaxed).div_ceil(each),
            // A message that was sent before is known, and would cost nothing.
            Numbering::Messages => counter.load(Ordering::Relaxed),
            Numbering::Reads => 0,
        }
    }

    /// What it has used up.
    pub(crate) fn done(&self, own: &AtomicU64, counter: &AtomicU64) {
        let own = own.load(Ordering::Relaxed);
        match self.numbering {
            Numbering::Readings(each) => counter.store(own * each, Ordering::Relaxed),
            Numbering::Messages => counter.store(own, Ordering::Relaxed),
            Numbering::Reads => {}
        }
    }

    /// How many hits a search of it has.
    pub(crate) async fn hits(&self, server: &Server) -> Result<Option<usize>> {
        if self.numbering != Numbering::Reads || self.name == "read" {
            return Ok(None);
        }
        let mut connection = Connection::open(&server.http).await?;
        let answer = connection.call(&self.job.request(7)).await?;
        Ok(Some(occurrences(answer.body, b"\"fullUrl\"")))
    }
}
