//! Searches that look at more than any client should ask for: each once, with what comes of it. They are to end by
//! themselves, with an answer or with 503.

use std::time::Instant;

use anyhow::Result;

use crate::client::Connection;
use crate::scenario::occurrences;
use crate::server::Server;
use crate::vitals::patient_id;

/// Prints one line for each.
pub(crate) async fn ask(server: &Server) -> Result<()> {
    let patient = patient_id(3);
    println!("\n| search, asked once | status | ms | hits |\n|---|---|---|---|");
    let rate = "code=http://loinc.org%7C8867-4";
    let unit = "%7Chttp://unitsofmeasure.org%7C/min";
    for path in [
        "Observation?_total=accurate&_count=10".to_owned(),
        format!("Observation?{rate}&_total=accurate&_count=10"),
        format!("Observation?{rate}&value-quantity=gt900{unit}&_total=accurate&_count=10"),
        format!("Observation?{rate}&value-quantity=gt0{unit}&_count=50"),
        format!("Observation?{rate}&value-quantity=72.53{unit}&_count=50"),
        format!("Observation?code-value-quantity=http://loinc.org%7C8867-4$gt900{unit}&_count=50"),
        "Observation?value-quantity=gt9000&_count=50".to_owned(),
        format!("Observation?patient={patient}&value-quantity=gt900{unit}&_count=50"),
        format!("Observation?{rate}&_sort=-date&_count=50"),
        format!("Observation?{rate}&_sort=value-quantity&_count=50"),
        format!("Observation?{rate}&date=lt2001&_count=50"),
        "Observation?status=amended&_count=50".to_owned(),
        "Observation?_text=nothing&_count=50".to_owned(),
        "?_type=Observation,Patient&_count=50".to_owned(),
        "?_lastUpdated=lt2001&_count=50".to_owned(),
        format!("Patient?_id={patient}&_revinclude=Observation:patient"),
        "Patient?_count=50&_revinclude=Observation:patient".to_owned(),
        format!("Patient/{patient}/$everything?_count=50"),
    ] {
        let mut connection = Connection::open(&server.http).await?;
        let path = if path.starts_with('?') { format!("/fhir{path}") } else { format!("/fhir/{path}") };
        let began = Instant::now();
        let answer = connection.call(&server.requests().get(&path)).await?;
        let (status, hits) = (answer.status, occurrences(answer.body, b"\"fullUrl\""));
        println!(
            "| `{}` | {status} | {:.1} | {hits} |",
            path.replace("%7C", "\\|"),
            began.elapsed().as_secs_f64() * 1e3
        );
    }
    Ok(())
}
