//! Readings on their way: parcels of so many, each sent until it is answered by yes. Readings of one patient go in
//! the order of their times over one connection; a parcel that was not answered is sent again as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::Way;
use crate::client::Connection;
use crate::nodes::{Door, Doors};
use crate::recording::Reading;

/// One request.
pub(crate) struct Parcel {
    method: &'static str,
    path: String,
    media: &'static str,
    body: String,
    /// What must stand in a right answer, how often.
    proof: (&'static str, usize),
}

impl Parcel {
    /// `named`: under ids of our own, so that sending again makes nothing twice.
    fn of(readings: &[&Reading], way: Way, named: bool) -> Self {
        let fhir = |method, path, body: &Value, proof| Self {
            method,
            path,
            media: "application/fhir+json",
            body: body.to_string(),
            proof,
        };
        let resource = |reading: &Reading| {
            let mut resource = reading.observation();
            if let Some(members) = resource.as_object_mut().filter(|_| named) {
                members.insert("id".to_owned(), json!(reading.id()));
            }
            resource
        };
        let (method, place) = if named { ("PUT", "Observation/") } else { ("POST", "Observation") };
        let address = |reading: &Reading| if named { format!("{place}{}", reading.id()) } else { place.to_owned() };
        match (way, readings) {
            (Way::Device, _) => Self {
                method: "POST",
                path: "/device/v1/observations".to_owned(),
                media: "application/json",
                body: Value::from(readings.iter().map(|reading| reading.compact()).collect::<Vec<_>>()).to_string(),
                proof: ("\"rejected\":0", 1),
            },
            (Way::Fhir, [only]) => fhir(method, format!("/fhir/{}", address(only)), &resource(only), ("", 0)),
            (Way::Fhir, _) => {
                let entry = |reading: &&Reading| json!({"resource": resource(reading), "request": {"method": method, "url": address(reading)}});
                let entries: Vec<Value> = readings.iter().map(entry).collect();
                let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
                fhir("POST", "/fhir".to_owned(), &bundle, ("\"status\":\"20", readings.len()))
            }
        }
    }
}

/// As many lanes as there are connections, each with the parcels of its patients.
pub(crate) fn lanes(readings: &[Reading], connections: usize, batch: usize, way: Way, named: bool) -> Vec<Vec<Parcel>> {
    let lane_of =
        |reading: &Reading| reading.patient.bytes().fold(7_usize, |sum, b| sum.wrapping_mul(31) + usize::from(b));
    let lane = |at: usize| {
        let own: Vec<&Reading> = readings.iter().filter(|reading| lane_of(reading) % connections == at).collect();
        own.chunks(batch).map(|chunk| Parcel::of(chunk, way, named)).collect()
    };
    (0..connections).map(lane).collect()
}

/// Sends what is in a lane; counts what was answered.
pub(crate) async fn drive(number: usize, lane: Vec<Parcel>, doors: Arc<Doors>, done: Arc<AtomicUsize>) -> Result<()> {
    let mut link: Option<(Arc<Door>, Connection)> = None;
    let mut tries = number;
    for parcel in lane {
        loop {
            if link.is_none() {
                tries += 1;
                link = open(&doors, tries).await;
            }
            let Some((door, connection)) = link.as_mut() else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let request = door.requests.send(parcel.method, &parcel.path, parcel.media, &parcel.body);
            // A node that is gone says nothing: nobody knows whether it has stored this.
            let Ok(answer) = connection.call(&request).await else {
                link = None;
                continue;
            };
            let (proof, times) = parcel.proof;
            match answer.status {
                200 | 201 if crate::occurrences(answer.body, proof.as_bytes()) == times => break,
                429 | 503 => tokio::time::sleep(Duration::from_millis(50)).await,
                status => bail!("{} {}: {status} {}", parcel.method, parcel.path, String::from_utf8_lossy(answer.body)),
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn open(doors: &Doors, n: usize) -> Option<(Arc<Door>, Connection)> {
    let door = doors.pick(n)?;
    let connection = Connection::open(&door.address).await.ok()?;
    Some((door, connection))
}
