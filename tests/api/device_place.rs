//! Whose readings are that name no patient: the device was at somebody, or they wait until it is known at whom.

use serde_json::{Value, json};
use vigia::auth::access::Role;
use vigia::fhir::time;

use crate::helpers::{Client, TestApp, eventually, minutes_from_now, resources};

const DOOR: &str = "/device/v1/observations";

async fn device(app: &TestApp, serial: &str, more: &Value) -> String {
    let mut device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": serial}]});
    for (name, value) in more.as_object().unwrap() {
        device[name] = value.clone();
    }
    app.gateway().post("/fhir/Device", &device).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// Heart rates of a device, one at each of these minutes; nobody is named.
fn rates(serial: &str, minutes: &[i64]) -> Value {
    let reading = |minute: &i64| json!({"code": "8867-4", "value": 70, "unit": "/min", "time": minutes_from_now(*minute), "id": format!("{serial}{minute}")});
    json!({"device": format!("|{serial}"), "readings": minutes.iter().map(reading).collect::<Vec<_>>()})
}

async fn comes(client: &Client, device: &str, body: &Value) -> u16 {
    client.post(&format!("/device/v1/devices/{device}/association"), body).await.status
}

/// How many readings a patient has.
async fn readings(app: &TestApp, patient: &str) -> usize {
    let found = app.gateway().get(&format!("/fhir/Observation?patient={patient}&_count=100")).await.expect(200);
    resources(&found.json()).len()
}

async fn becomes(app: &TestApp, patient: &str, expected: usize) {
    eventually("they found their patient", || async { (readings(app, patient).await == expected).then_some(()) }).await;
}

async fn waiting(app: &TestApp) -> Vec<(String, i64)> {
    let held = app.gateway().get("/device/v1/held").await.expect(200).json();
    let line = |line: &Value| (line["device"].as_str().unwrap().to_owned(), line["readings"].as_i64().unwrap());
    held["devices"].as_array().unwrap().iter().map(line).collect()
}

fn outcomes(receipts: &Value) -> Vec<&str> {
    receipts["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_go_to_whom_the_device_was_at_and_wait_for_it() {
    let app = TestApp::start().await;
    let (ana, eva) = (app.admit("r1", "Vega").await, app.admit("r2", "Sol").await);
    let (nurse, gateway) = (app.clinician().await, app.machine("system/Observation.c"));
    let monitor = device(&app, "m1", &json!({})).await;

    // Nobody knows whom it is at: kept, and told; once more, the same.
    let first = rates("m1", &[-50, -40, -20, -5]);
    for _ in 0..2 {
        let receipts = gateway.post(DOOR, &first).await.expect(200).json();
        assert_eq!(outcomes(&receipts), ["quarantined"; 4]);
        assert_eq!((&receipts["quarantined"], receipts["items"][0].get("reference")), (&json!(4), None));
    }
    assert_eq!(waiting(&app).await, [(format!("Device/{monitor}"), 4)]);
    assert_eq!(readings(&app, &ana).await, 0);

    // It was at one from here to there, and is at the other since.
    let to_ana =
        json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-45), "end": minutes_from_now(-30)});
    assert_eq!(comes(&nurse, &monitor, &to_ana).await, 201);
    becomes(&app, &ana, 1).await;
    let to_eva = json!({"patient": format!("Patient/{eva}"), "start": minutes_from_now(-25)});
    assert_eq!(comes(&nurse, &monitor, &to_eva).await, 201);
    becomes(&app, &eva, 2).await;
    assert_eq!(waiting(&app).await, [(format!("Device/{monitor}"), 1)]);

    // Late and early ones find the same way; a repetition is one.
    let mut more = rates("m1", &[-44, -28, -1]);
    more["readings"].as_array_mut().unwrap().insert(1, first["readings"][1].clone());
    let receipts = gateway.post(DOOR, &more).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "duplicate", "quarantined", "created"]);
    assert_eq!((readings(&app, &ana).await, readings(&app, &eva).await), (2, 3));

    // What contradicts is refused; who takes over says so.
    let overlapping = json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-10)});
    assert_eq!(comes(&nurse, &monitor, &overlapping).await, 409);
    let taken_over = json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-3), "take_over": true});
    assert_eq!(comes(&nurse, &monitor, &taken_over).await, 201);
    gateway.post(DOOR, &rates("m1", &[-2, -4])).await.expect(200);
    assert_eq!((readings(&app, &ana).await, readings(&app, &eva).await), (3, 4));

    // It leaves; what it says then waits, and may be thrown away by who may delete readings.
    let leave = format!("/device/v1/devices/{monitor}/association?end={}", minutes_from_now(-1));
    nurse.delete(&leave).await.expect(204);
    nurse.delete(&leave).await.expect(404);
    gateway.post(DOOR, &rates("m1", &[0])).await.expect(200);
    let all = format!("/device/v1/held?device=Device/{monitor}&end={}", minutes_from_now(1));
    nurse.delete(&all).await.expect(403);
    assert_eq!(app.gateway().delete(&all).await.expect(200).json()["discarded"], 3);
    assert!(waiting(&app).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_at_a_bed_is_at_whoever_lies_there() {
    let app = TestApp::start().await;
    let (ana, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let bed = json!({"resourceType": "Location", "name": "Bed 3", "status": "active"});
    let bed = gateway.post("/fhir/Location", &bed).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    device(&app, "m1", &json!({"location": {"reference": format!("Location/{bed}")}})).await;
    let receipts = gateway.post(DOOR, &rates("m1", &[-20, -5])).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["quarantined"; 2]);
    let stay = json!({"resourceType": "Encounter", "status": "in-progress", "subject": {"reference": format!("Patient/{ana}")},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "location": [{"location": {"reference": format!("Location/{bed}")}, "status": "active", "period": {"start": minutes_from_now(-10)}}]});
    gateway.post("/fhir/Encounter", &stay).await.expect(201);
    becomes(&app, &ana, 1).await;
    assert_eq!(waiting(&app).await.len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_listed_with_what_is_known_of_them() {
    let app = TestApp::start().await;
    let (ana, gateway, nurse) = (app.admit("r1", "Vega").await, app.gateway(), app.clinician().await);
    let name = json!({"deviceName": [{"name": "Monitor 1", "type": "user-friendly-name"}]});
    let (one, other) = (device(&app, "m1", &name).await, device(&app, "m2", &json!({})).await);
    let comes_to_ana = json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-10)});
    assert_eq!(comes(&nurse, &one, &comes_to_ana).await, 201);
    let battery = json!({"device": "|m1", "code": "mdc:67996", "value": 81, "unit": "%", "time": minutes_from_now(-2)});
    gateway.post(DOOR, &battery).await.expect(200);
    gateway.post(DOOR, &rates("m1", &[-3])).await.expect(200);
    gateway.post(DOOR, &rates("m2", &[-3, -2])).await.expect(200);
    let list = |query: &str| {
        let (nurse, path) = (nurse.clone(), format!("/device/v1/devices{query}"));
        async move { nurse.get(&path).await.expect(200).json() }
    };
    let lines = eventually("it was heard of", || async {
        let lines = list("").await;
        lines["devices"][0].get("battery").is_some().then_some(lines)
    })
    .await;
    let (first, second) = (&lines["devices"][0], &lines["devices"][1]);
    assert_eq!((&first["device"], &first["name"]), (&json!(format!("Device/{one}")), &json!("Monitor 1")));
    assert_eq!((&first["patient"], &first["battery"]), (&json!(format!("Patient/{ana}")), &json!(81.0)));
    assert!(first["measured"].as_str().unwrap() < first["silent_since"].as_str().unwrap(), "{first}");
    assert_eq!((&second["device"], &second["held"]), (&json!(format!("Device/{other}")), &json!(2)));
    assert_eq!((second.get("patient"), second.get("silent_since")), (None, None));

    let page = list("?count=1").await;
    assert_eq!((page["devices"].as_array().unwrap().len(), &page["more"]), (1, &json!(true)));
    let rest = list(&format!("?after=Device/{one}")).await;
    assert_eq!((rest["devices"][0]["device"].clone(), &rest["more"]), (second["device"].clone(), &json!(false)));
    assert_eq!(list("?silent_s=60").await["devices"][0]["device"], second["device"]);
    nurse.get("/device/v1/devices?color=red").await.expect(400);
    app.machine("system/Observation.c").get("/device/v1/devices").await.expect(403);

    // What was heard is known after a restart.
    let app = TestApp::on(app.stop().await, vigia::clock::Clock::default(), |_| {}).await;
    let again = app.gateway().get("/device/v1/devices").await.expect(200).json();
    assert_eq!(again["devices"][0]["silent_since"], lines["devices"][0]["silent_since"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_put_right_and_told() {
    let app = TestApp::start().await;
    let (ana, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let an_hour = json!({"patient": format!("Patient/{ana}"), "sentAt": minutes_from_now(-60), "readings": [
        {"code": "8867-4", "value": 70, "unit": "/min", "time": minutes_from_now(-65)},
        {"code": "8310-5", "value": "36.6", "unit": "Cel", "time": minutes_from_now(-64), "end": minutes_from_now(-63)}
    ]});
    let receipts = gateway.post(DOOR, &an_hour).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "created"]);
    let read = |at: usize| {
        let path = format!("/fhir/{}", receipts["items"][at]["reference"].as_str().unwrap());
        let gateway = gateway.clone();
        async move { gateway.get(&path).await.expect(200).json() }
    };
    let url = "https://vigia.dev/fhir/StructureDefinition/device-time";
    let told = json!([{"url": url, "valueDateTime": an_hour["readings"][0]["time"]}]);
    let (rate, temperature) = (read(0).await, read(1).await);
    assert_eq!(rate["_effectiveDateTime"]["extension"], told);
    let five_minutes_ago = time::range(&minutes_from_now(-5)).unwrap().start;
    let effective = time::range(rate["effectiveDateTime"].as_str().unwrap()).unwrap().start;
    assert!((effective - five_minutes_ago).abs() < 60_000_000, "{rate}");
    assert_eq!(temperature["effectivePeriod"]["extension"][0]["valueDateTime"], an_hour["readings"][1]["time"]);
    // How wrong the clock is comes out a little different the next time: the reading is the same.
    assert_eq!(outcomes(&gateway.post(DOOR, &an_hour).await.expect(200).json()), ["duplicate", "duplicate"]);
    // A clock in 2099 that does not say when it sends is believed by nobody.
    let ahead = json!({"patient": format!("Patient/{ana}"), "code": "8867-4", "value": 70, "unit": "/min", "time": "2099-01-01T00:00:00Z"});
    gateway.post(DOOR, &ahead).await.expect(422);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_whose_it_is_is_checked() {
    let app = TestApp::start().await;
    let (ana, eva) = (app.admit("r1", "Vega").await, app.admit("r2", "Sol").await);
    let (gateway, monitor) = (app.gateway(), device(&app, "m1", &json!({})).await);
    let key =
        gateway.post(&format!("/device/v1/devices/{monitor}/credentials"), &json!({"secret": true})).await.expect(201);
    let own = app.bearer(key.json()["secret"].as_str().unwrap());
    let rates = rates("m1", &[-5]);
    let of = |patient: &str| {
        let mut body = rates.clone();
        body["patient"] = json!(format!("Patient/{patient}"));
        body
    };
    // A device with a key of its own chooses nobody.
    assert_eq!(outcomes(&own.post(DOOR, &of(&ana)).await.expect(200).json()), ["quarantined"]);
    let comes_to_eva = json!({"patient": format!("Patient/{eva}"), "start": minutes_from_now(-10)});
    assert_eq!(comes(&gateway, &monitor, &comes_to_eva).await, 201);
    becomes(&app, &eva, 1).await;
    let refused = own.post(DOOR, &of(&ana)).await.expect(422).json();
    assert_eq!(refused["items"][0]["reason"]["issue"][0]["expression"][0], "[0].patient");
    assert_eq!(outcomes(&own.post(DOOR, &of(&eva)).await.expect(200).json()), ["duplicate"]);

    for (body, place) in [
        (json!({"code": "8867-4", "value": 70, "unit": "/min"}), "[0].patient"),
        (json!({"code": "8867-4", "value": 70, "unit": "/min", "device": "|nobody"}), "[0]"),
    ] {
        let refused = gateway.post(DOOR, &body).await.expect(422).json();
        assert_eq!(refused["items"][0]["reason"]["issue"][0]["expression"][0], place, "{body}");
    }
    let to = |body: Value| {
        let (gateway, monitor) = (gateway.clone(), monitor.clone());
        async move { comes(&gateway, &monitor, &body).await }
    };
    assert_eq!(to(json!({"patient": "Patient/nobody"})).await, 404);
    assert_eq!(to(json!({"patient": format!("Device/{monitor}")})).await, 400);
    assert_eq!(to(json!({"patient": format!("Patient/{ana}"), "start": "yesterday"})).await, 400);
    assert_eq!(
        to(json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-30), "end": minutes_from_now(-40)}))
            .await,
        400
    );
    assert_eq!(to(json!({"who": 1})).await, 400);
    for path in ["/device/v1/held".to_owned(), format!("/device/v1/held?device=Device/{monitor}&end=2026")] {
        assert!(own.get(&path).await.status == 403 || own.get(&path).await.status == 400, "{path}");
    }
    assert!(Role::Clinician.scopes().contains("DeviceUseStatement.cu"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_a_clock_that_is_ahead_wait_until_it_is_set_right() {
    let app = TestApp::start().await;
    let (ana, nurse) = (app.admit("r1", "Vega").await, app.clinician().await);
    let gateway = app.gateway();
    let monitor = device(&app, "m1", &json!({})).await;
    // A day ahead: of the device's own, of one that its gateway says whose they are, and of nobody's device.
    let day = 24 * 60;
    let own = rates("m1", &[day - 3, day - 2, 2 * day, 60 * day]);
    let mut named = json!({"device": "|m1", "patient": format!("Patient/{ana}"), "readings": [
        {"code": "8310-5", "value": 36.60, "unit": "Cel", "time": minutes_from_now(day - 9), "end": minutes_from_now(day - 8)}]});
    for expected in ["future", "future"] {
        let receipts = gateway.post(DOOR, &own).await.expect(200).json();
        assert_eq!(
            (outcomes(&receipts), &receipts["items"][3]["waits_for"]),
            (vec!["quarantined"; 4], &json!(expected))
        );
    }
    assert_eq!(outcomes(&gateway.post(DOOR, &named).await.expect(200).json()), ["quarantined"]);
    named.as_object_mut().unwrap().remove("device");
    let refused = gateway.post(DOOR, &named).await.expect(422).json();
    assert!(refused["items"][0]["reason"].to_string().contains("future"), "{refused}");
    let line = gateway.get("/device/v1/held").await.expect(200).json()["devices"][0].clone();
    assert_eq!((&line["reason"], &line["readings"]), (&json!("future"), &json!(5)));
    assert!(line["ahead_s"].as_i64().unwrap() > 59 * 86_400, "{line}");

    // Who may not, and what is no such number.
    let held = "/device/v1/held";
    let wrong_clock = json!({"device": format!("Device/{monitor}"), "ahead_s": 86_400});
    app.machine("system/Observation.c").post(held, &wrong_clock).await.expect(403);
    app.anonymous().post(held, &wrong_clock).await.expect(401);
    for (ahead, place) in
        [(json!(0), "ahead_s"), (json!(-5), "ahead_s"), (json!(10_i64.pow(12)), "ahead_s"), (json!("1"), "http.body")]
    {
        let told = gateway.post(held, &json!({"device": "Device/x", "ahead_s": ahead})).await.expect(400);
        assert!(told.text().contains(place), "{ahead}: {}", told.text());
    }

    // What names its patient is taken; the rest waits for whom the device was at, or is still to come.
    let done = gateway.post(held, &wrong_clock).await.expect(200).json();
    assert_eq!(done, json!({"taken": 1, "unbound": 2, "ahead": 2}));
    let to_ana = json!({"patient": format!("Patient/{ana}"), "start": minutes_from_now(-30)});
    assert_eq!(comes(&nurse, &monitor, &to_ana).await, 201);
    assert_eq!(readings(&app, &ana).await, 1, "a device that comes to somebody does not set its clock right");
    let done = gateway.post(held, &wrong_clock).await.expect(200).json();
    assert_eq!(done, json!({"taken": 2, "unbound": 0, "ahead": 2}));
    assert_eq!(readings(&app, &ana).await, 3);

    // When it was, what the clock told, and who said so.
    let found = gateway.get("/fhir/Observation?code=8867-4&_sort=date").await.expect(200).json();
    let first = &resources(&found)[0];
    assert_eq!(first["subject"]["reference"], format!("Patient/{ana}"));
    let at = |text: &Value| time::range(text.as_str().unwrap()).unwrap().start;
    let told = &first["_effectiveDateTime"]["extension"][0]["valueDateTime"];
    assert_eq!(told, &own["readings"][0]["time"]);
    assert_eq!(at(told) - at(&first["effectiveDateTime"]), 86_400 * time::SECOND);
    let moved =
        &resources(&gateway.get("/fhir/Observation?code=8310-5").await.expect(200).json())[0]["effectivePeriod"];
    assert_eq!(at(&named["readings"][0]["end"]) - at(&moved["end"]), 86_400 * time::SECOND);
    assert_eq!(moved["extension"][0]["valueDateTime"], named["readings"][0]["time"]);
    let said = |id: &Value| format!("/fhir/Provenance?target=Observation/{}", id.as_str().unwrap());
    let provenance = resources(&gateway.get(&said(&first["id"])).await.expect(200).json());
    assert_eq!((provenance.len(), provenance[0]["target"].as_array().unwrap().len()), (1, 2));
    assert_eq!(provenance[0]["agent"][1]["type"]["coding"][0]["code"], "enterer");

    // Sent once more they wait once more, and are known when they are taken.
    gateway.post(DOOR, &own).await.expect(200);
    assert_eq!(gateway.post(held, &wrong_clock).await.expect(200).json()["taken"], 2);
    assert_eq!(readings(&app, &ana).await, 3);
    // Moved otherwise they contradict what stands: that waits for people.
    gateway.post(DOOR, &own).await.expect(200);
    let other = json!({"device": format!("Device/{monitor}"), "ahead_s": 86_460});
    gateway.post(held, &other).await.expect(200);
    let lines = gateway.get(held).await.expect(200).json();
    let reasons: Vec<&str> =
        lines["devices"].as_array().unwrap().iter().map(|l| l["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["conflict", "future"], "{lines}");
    for (reason, expected) in [("conflict", 2), ("future", 2)] {
        let all = format!("{held}?device=Device/{monitor}&reason={reason}&end={}", minutes_from_now(99 * day));
        assert_eq!(gateway.delete(&all).await.expect(200).json()["discarded"], expected);
    }
    assert!(waiting(&app).await.is_empty());

    // A clock that is measured is set right at once, and that is told as well.
    let mut sent = rates("m1", &[-63, -62]);
    sent["sentAt"] = json!(minutes_from_now(-60));
    let receipts = gateway.post(DOOR, &sent).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created"; 2]);
    let id = receipts["items"][1]["reference"].as_str().unwrap();
    let told = resources(&gateway.get(&format!("/fhir/Provenance?target={id}")).await.expect(200).json());
    assert_eq!((told.len(), told[0]["agent"].as_array().unwrap().len()), (1, 1));
    assert_eq!(outcomes(&gateway.post(DOOR, &sent).await.expect(200).json()), ["duplicate"; 2]);
    let told = resources(&gateway.get("/fhir/Provenance").await.expect(200).json());
    assert_eq!(told.len(), 3, "what is known is told once");
    app.stop().await;
}
