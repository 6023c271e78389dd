//! Series of readings through every door, in parcels of any size and out of order: the alerts are those that an
//! oracle of plain loops works out, one DetectedIssue an episode.

pub(crate) mod oracle;
pub(crate) mod series;

use reqwest::Method;

use self::oracle::{FEVER, HEART, Reading};
use self::series::{Request, device, disordered, fhir, generate, is_taken, prepare, told};
use crate::helpers::{Client, TestApp};

const READINGS: usize = 200;
/// Patients whose readings come in parcels; and, since each is a commit of its own, one by one.
const PATIENTS: u64 = 20;
const SINGLE: u64 = 4;
/// How many senders there are; the readings of one patient come from one of them.
const SENDERS: usize = 8;

/// Sends what must be taken.
async fn send(gateway: &Client, request: Request) {
    let method = if request.method == "PUT" { Method::PUT } else { Method::POST };
    let media = if request.path.starts_with("/fhir") { "application/fhir+json" } else { "application/json" };
    let ask = gateway.with_header("Content-Type", media);
    let reply = ask.send(method, &request.path, Some(request.body.to_string().into_bytes())).await;
    assert!(is_taken(reply.status, &reply.json()), "{}: {}", request.path, reply.text());
}

/// Sends series, each as a list of requests: those of a patient one after the other, several patients at a time.
async fn send_all(app: &TestApp, series: Vec<Vec<Request>>) {
    let mut lanes: Vec<Vec<Request>> = (0..SENDERS).map(|_| vec![]).collect();
    for (number, requests) in series.into_iter().enumerate() {
        lanes[number % SENDERS].extend(requests);
    }
    let mut senders = tokio::task::JoinSet::new();
    for lane in lanes {
        let gateway = app.gateway();
        senders.spawn(async move {
            for request in lane {
                send(&gateway, request).await;
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
}

/// Generated series in parcels of so many readings; `late`: how many may overtake one.
async fn replayed(form: fn(&str, &[Reading]) -> Request, parcel: usize, late: u64) {
    let patients = if parcel == 1 { SINGLE } else { PATIENTS };
    let all: Vec<(String, Vec<Reading>)> = (0..patients).map(|n| (format!("p{n}"), generate(n, READINGS))).collect();
    let app = TestApp::start().await;
    let gateway = app.gateway();
    prepare(&gateway, &all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>()).await;
    let requests = all.iter().enumerate().map(|(n, (id, readings))| {
        let coming = disordered(readings, late, u64::try_from(n).unwrap());
        coming.chunks(parcel).map(|chunk| form(id, chunk)).collect()
    });
    send_all(&app, requests.collect()).await;
    app.judged().await;
    let mut count = 0;
    for (id, readings) in &all {
        let expected = oracle::episodes(readings);
        assert_eq!(told(&gateway, id).await, expected, "{id}");
        count += expected.len();
    }
    assert!(count > 20, "the series hold too little: {count} episodes");
    let stand = gateway.get("/fhir/DetectedIssue?status:not=entered-in-error&_summary=count").await.expect(200).json();
    assert_eq!(stand["total"], count, "one resource an episode");
    if late == 0 {
        let ever = gateway.get("/fhir/DetectedIssue?_summary=count").await.expect(200).json();
        assert_eq!(ever["total"], count, "what comes in order is never taken back");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_observations_tell_what_the_oracle_tells() {
    replayed(fhir, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_tell_what_the_oracle_tells() {
    replayed(fhir, 50, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_tell_what_the_oracle_tells() {
    replayed(device, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_seven_tell_what_the_oracle_tells() {
    replayed(device, 7, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_fifty_tell_what_the_oracle_tells() {
    replayed(device, 50, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_out_of_order_tell_what_the_oracle_tells() {
    replayed(device, 7, 5).await;
}

/// Signal, readings in its own unit (tenths of a degree), episodes as the oracle writes them.
type Row = (&'static str, usize, &'static [i64], &'static [&'static str]);

const SHORT: &[Row] = &[
    ("one reading is none", HEART, &[80, 140, 80, 80], &[]),
    ("one that is beyond at the end", HEART, &[80, 80, 140], &[]),
    ("every other one", HEART, &[140, 80, 140, 80, 140], &[]),
    ("two in a row", HEART, &[80, 111, 111], &["8867-4:high since 1 raise warning@2=111"]),
    ("just inside the limit", HEART, &[110, 110, 110, 51, 51], &[]),
    (
        "over when two are clear",
        HEART,
        &[115, 116, 107, 109, 107, 107],
        &["8867-4:high since 0 raise warning@1=116 resolve warning@5=107"],
    ),
    (
        "one that is clear is not over",
        HEART,
        &[115, 116, 80, 112, 80, 80],
        &["8867-4:high since 0 raise warning@1=116 resolve warning@5=80"],
    ),
    (
        "at the distance back to normal it stands",
        HEART,
        &[115, 116, 108, 108, 108],
        &["8867-4:high since 0 raise warning@1=116"],
    ),
    (
        "worse and better again",
        HEART,
        &[80, 115, 135, 136, 120, 119, 80, 79],
        &[
            "8867-4:high since 1 raise warning@2=135 escalate critical@3=136 deescalate warning@5=119 resolve warning@7=79",
        ],
    ),
    (
        "from critical to nothing",
        HEART,
        &[39, 38, 80, 80],
        &["8867-4:low since 0 raise critical@1=38 resolve critical@3=80"],
    ),
    (
        "from one side to the other",
        HEART,
        &[135, 135, 45, 45, 80, 80],
        &[
            "8867-4:high since 0 raise critical@1=135 resolve critical@3=45",
            "8867-4:low since 2 raise warning@3=45 resolve warning@5=80",
        ],
    ),
    (
        "back again is another episode",
        HEART,
        &[115, 115, 80, 80, 115, 115],
        &["8867-4:high since 0 raise warning@1=115 resolve warning@3=80", "8867-4:high since 4 raise warning@5=115"],
    ),
    (
        "tenths of a degree",
        FEVER,
        &[380, 381, 381, 380, 379, 378, 378],
        &["8310-5:high since 1 raise warning@2=38.1 resolve warning@6=37.8"],
    ),
    (
        "cold",
        FEVER,
        &[361, 360, 359, 350, 349, 352, 353, 353],
        &["8310-5:low since 1 raise warning@2=35.9 escalate critical@4=34.9 deescalate warning@7=35.3"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn short_series_tell_what_is_written_by_hand() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let ids: Vec<String> = (0..SHORT.len()).map(|n| format!("p{n}")).collect();
    prepare(&gateway, &ids).await;
    let series: Vec<Vec<Reading>> = SHORT
        .iter()
        .map(|(_, signal, values, _)| {
            let scale = if *signal == HEART { 10 } else { 1 };
            (0..).zip(*values).map(|(at, value)| Reading { at, signal: *signal, tenths: value * scale }).collect()
        })
        .collect();
    let requests =
        ids.iter().zip(&series).map(|(id, readings)| readings.chunks(1).map(|one| device(id, one)).collect());
    send_all(&app, requests.collect()).await;
    app.judged().await;
    for ((id, readings), (name, _, _, expected)) in ids.iter().zip(&series).zip(SHORT) {
        assert_eq!(oracle::episodes(readings), *expected, "{name}: the oracle");
        assert_eq!(told(&gateway, id).await, *expected, "{name}: the server");
    }
    app.stop().await;
}
