//! `/live`: the ward as a stream of events, and the series behind a trend.

use serde_json::{Value, json};
use vigia::clock::Clock;

use crate::helpers::samples::heart_rate;
use crate::helpers::{Client, PATIENCE, TestApp, minutes_from_now};

/// An open ward page.
pub(crate) struct Page {
    response: reqwest::Response,
    received: String,
}

#[derive(Debug)]
pub(crate) struct Event {
    id: u64,
    name: String,
    data: Value,
}

impl Page {
    pub(crate) async fn open(client: &Client, after: Option<u64>) -> Self {
        let mut request = client.request(reqwest::Method::GET, "/live");
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, received: String::new() }
    }

    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((frame, rest)) = self.received.split_once("\n\n") {
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
                let event = Event {
                    id: field("id:").parse().unwrap(),
                    name: field("event:").to_owned(),
                    data: serde_json::from_str(field("data:")).unwrap(),
                };
                self.received = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("an event or an end");
            self.received.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// Waits for an event of this name that fits.
    pub(crate) async fn until(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Event {
        // Heartbeats come for ever: what does not come among them is missed by the clock.
        let wanted = async {
            loop {
                let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
                if event.name == name && fits(&event.data) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("never came: {name}"))
    }
}

/// What an event shows of a patient's heart rate.
fn heart_rate_of<'e>(data: &'e Value, patient: &str) -> Option<&'e str> {
    let patients = &data["patients"];
    let vitals = match patients {
        Value::Array(all) => all.iter().find(|p| p["id"] == patient).map(|p| &p["vitals"]),
        _ => patients.get(patient),
    };
    vitals?["8867-4"]["value"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ward_as_it_is_and_as_it_changes() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    for (minute, value) in [(-9, 70), (-8, 71)] {
        app.upload(&heart_rate(&id, value, &minutes_from_now(minute))).await;
    }
    let nora = app.clinician().await;
    // Values and alarms come in any order, so each has a page of its own.
    let (mut page, mut alarms) = (Page::open(&nora, None).await, Page::open(&nora, None).await);
    let snapshot = page.until("snapshot", |data| heart_rate_of(data, &id).is_some()).await;
    assert_eq!(heart_rate_of(&snapshot.data, &id), Some("71"));
    assert!(snapshot.data.to_string().contains("Vega"), "the people of the ward see names");

    app.heart_rates(&id, &[140, 141]).await;
    let alarm = alarms.until("alarm", |data| data["patient"] == json!(id)).await;
    assert_eq!(alarm.data["alert"]["state"], "raised");
    page.until("v", |data| heart_rate_of(data, &id) == Some("141")).await;
    page.until("hb", |_| true).await;

    let other = app.admit("r2", "Soto").await;
    page.until("patient", |data| data.to_string().contains(&other)).await;
    let mut late = Page::open(&nora, None).await;
    let snapshot = late.next().await.unwrap();
    assert_eq!((snapshot.name.as_str(), heart_rate_of(&snapshot.data, &id)), ("snapshot", Some("141")));
    assert!(snapshot.data.to_string().contains("\"raised\""), "open alerts are shown at once");
    app.stop().await;
    while page.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_lost_its_stream_goes_on() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let nora = app.clinician().await;
    let mut page = Page::open(&nora, None).await;
    page.until("snapshot", |data| data.to_string().contains(&id)).await;
    app.upload(&heart_rate(&id, 70, &minutes_from_now(-9))).await;
    let seen = page.until("v", |data| heart_rate_of(data, &id) == Some("70")).await.id;
    let mut reference = page;
    for (minute, value) in [(-8, 71), (-7, 72)] {
        app.upload(&heart_rate(&id, value, &minutes_from_now(minute))).await;
        reference.until("v", |data| heart_rate_of(data, &id) == Some(&value.to_string())).await;
    }
    let mut again = Page::open(&nora, Some(seen)).await;
    let mut last = seen;
    let mut values = Vec::new();
    while values.last() != Some(&"72".to_owned()) {
        let event = again.next().await.unwrap();
        assert!(event.id > last, "in order and never twice: {event:?}");
        assert_ne!(event.name, "snapshot", "nothing was missed, so nothing begins anew");
        last = event.id;
        values.extend(heart_rate_of(&event.data, &id).map(str::to_owned));
    }
    assert_eq!(values, ["71", "72"]);
    for unknown in [1, u64::MAX] {
        assert_eq!(Page::open(&nora, Some(unknown)).await.next().await.unwrap().name, "snapshot", "{unknown}");
    }

    // What another run of the server said cannot be gone on with.
    let cookie = nora.actor.clone();
    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    let nora = Client { actor: cookie, ..app.anonymous() };
    let snapshot = Page::open(&nora, Some(last)).await.until("snapshot", |data| data.to_string().contains(&id)).await;
    assert!(snapshot.id > last, "ids go on rising over a restart");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_people_of_the_ward_see_it() {
    let app = TestApp::with(|config| config.live.max_clients = 2).await;
    app.anonymous().get("/live").await.expect(401);
    app.gateway().get("/live").await.expect(401);
    let nora = app.clinician().await;
    let _open = (Page::open(&nora, None).await, Page::open(&nora, None).await);
    let refused = nora.get("/live").await.expect(429);
    assert_eq!((refused.issues().as_str(), refused.header("retry-after").is_empty()), ("throttled", false));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_has_its_points_in_order() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    for (minute, value) in [(-10, 70), (-30, 71), (-20, 72), (-300, 73)] {
        app.upload(&heart_rate(&id, value, &minutes_from_now(minute))).await;
    }
    let pressure = json!({"patient": format!("Patient/{id}"), "code": "bp", "systolic": 120, "diastolic": 80, "unit": "mmHg", "time": minutes_from_now(-5)});
    app.upload(&pressure).await;
    let gateway = app.gateway();
    let values =
        |text: Value| -> Vec<Value> { text["points"].as_array().unwrap().iter().map(|p| p[1].clone()).collect() };
    let hour = gateway.get(&format!("/live/series?patient={id}&code=8867-4")).await.expect(200).json();
    assert_eq!(json!(values(hour)).to_string().replace(".0", ""), "[71,72,70]");
    let day = gateway.get(&format!("/live/series?patient={id}&code=8867-4&hours=24")).await.expect(200).json();
    assert_eq!(values(day).len(), 4);
    let pressure = gateway.get(&format!("/live/series?patient={id}&code=85354-9")).await.expect(200).json();
    assert_eq!(pressure["points"][0].as_array().unwrap().len(), 3, "time, systolic, diastolic");
    for wrong in ["", "?patient=x", "?patient=x&code=y&hours=many", "?patient=x&code=y&nope=1"] {
        gateway.get(&format!("/live/series{wrong}")).await.expect(400).issues();
    }
    app.anonymous().get(&format!("/live/series?patient={id}&code=8867-4")).await.expect(401);
    app.stop().await;
}
