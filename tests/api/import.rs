//! `vigia import` as it is typed: every kind of file, what a second time makes of it, what comes back rejected.

mod patience;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helpers::samples::{RECORDS, observation};
use crate::helpers::{TestApp, resources};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/import");

/// A server with a folder that files are imported from.
struct Desk {
    app: TestApp,
    folder: tempfile::TempDir,
}

/// How it ended, and what it said.
struct Said {
    code: i32,
    text: String,
}

impl Said {
    /// The line of the table that begins with this, its numbers joined.
    #[track_caller]
    fn line(&self, kind: &str) -> String {
        let line = self.text.lines().find(|line| line.starts_with(kind));
        let line = line.unwrap_or_else(|| panic!("no line {kind}: {}", self.text));
        line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn expect(self, code: i32, words: &str) -> Self {
        assert!(self.code == code && self.text.contains(words), "{code} {words}: {} {}", self.code, self.text);
        self
    }
}

impl Desk {
    async fn open() -> Self {
        let (app, folder) = (TestApp::start().await, tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("token"), app.token("system/*.cruds", None, 3600)).unwrap();
        Self { app, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    async fn import(&self, line: &str) -> Said {
        typed(self.path(), &format!("{line} --url http://{} --token-file token", self.app.address)).await
    }

    /// What a search finds.
    async fn found(&self, query: &str) -> Vec<Value> {
        resources(&self.app.gateway().get(&format!("/fhir/{query}")).await.expect(200).json())
    }

    async fn count(&self, query: &str) -> usize {
        self.found(query).await.len()
    }
}

async fn typed(folder: &Path, line: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.arg("import").args(line.split_whitespace()).current_dir(folder).env_clear().stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    Said { code: output.status.code().unwrap_or(-1), text }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_taken_once_and_what_is_rejected_comes_back() {
    let desk = Desk::open().await;
    let id = desk.app.admit("r1", "Vega").await;
    desk.write(
        "t.csv",
        "time,patient_mrn,code,value,unit,note\r\n\
         2026-01-02T03:04:05Z,r1,8867-4,72.50,/min,\r\n\
         \r\n\
         2026-01-02T03:04:05Z,r1,bp,120/80,mmHg,\"two\nlines, \"\"quoted\"\"\"\r\n\
         2026-01-02T03:05:05Z,r1,8867-4,fast,/min,\r\n\
         2026-01-02T03:05:05Z,nobody,8867-4,73,/min,\r\n\
         ,r1,9279-1,14,,\r\n\
         2026-01-02T03:06:05Z,r1,8867-4,74,/min,,,too many\r\n",
    );
    let said = desk.import("t.csv --rejected bad.csv").await.expect(2, "t.csv: line 6: value: ");
    assert_eq!(said.line("all"), "3 3");
    assert_eq!(said.line("8867-4 Heart rate"), "1 3");
    let bad = desk.read("bad.csv");
    let lines: Vec<&str> = bad.lines().collect();
    assert_eq!(lines[0], "time,patient_mrn,code,value,unit,note,line,reason");
    assert!(lines[1].starts_with("2026-01-02T03:05:05Z,r1,8867-4,fast,/min,,6,"), "{bad}");
    assert!(lines[2].starts_with("2026-01-02T03:05:05Z,nobody,8867-4,73,/min,,7,"), "{bad}");
    assert_eq!(desk.count("Observation").await, 3);
    let heart_rate = &desk.found("Observation?code=8867-4").await[0];
    assert_eq!(heart_rate["valueQuantity"]["value"].to_string(), "72.50");
    assert_eq!(heart_rate["subject"]["reference"], format!("Patient/{id}"));

    let again = desk.import("t.csv").await.expect(2, "duplicate");
    assert_eq!(again.line("all"), "3 3");
    assert_eq!(desk.count("Observation").await, 3, "a repetition creates nothing");

    // What was rejected is put right and imported as it is.
    desk.write(
        "bad.csv",
        bad.replace("fast", "99").replace("nobody", "r1").lines().take(3).collect::<Vec<_>>().join("\n"),
    );
    let said = desk.import("bad.csv").await.expect(0, "created");
    assert_eq!(said.line("all"), "2");
    assert_eq!(desk.count("Observation").await, 5);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_in_lines_are_taken_once() {
    let desk = Desk::open().await;
    let id = desk.app.admit("r1", "Vega").await;
    let mut text = "\u{feff}".to_owned();
    for second in 0..250 {
        let time = format!("2026-01-02T03:{:02}:{:02}Z", second / 60, second % 60);
        text += &json!({"code": "8867-4", "value": 60 + second % 40, "unit": "/min", "time": time}).to_string();
        text += "\n";
    }
    text += "{\"code\": \"8867-4\",\n\n{\"code\": \"8867-4\", \"value\": \"fast\", \"unit\": \"/min\"}\n";
    text += "{\"code\": \"spo2 of mine\", \"value\": 97}\n{\"code\": \"59408-5\", \"value\": 97, \"unit\": \"%\"}";
    desk.write("r.ndjson", &text);
    let said = desk.import(&format!("r.ndjson --patient {id} --rejected bad.ndjson")).await.expect(2, "3 rejected");
    assert_eq!(said.line("all"), "251 3");
    let bad: Vec<Value> = desk.read("bad.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = bad.iter().map(|row| format!("{} {}", row["line"], row["rejected"])).collect();
    assert_eq!(told[0], "251 \"{\\\"code\\\": \\\"8867-4\\\",\"");
    assert_eq!(told[1], "253 {\"code\":\"8867-4\",\"value\":\"fast\",\"unit\":\"/min\"}");
    assert!(bad.iter().all(|row| row["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{bad:?}");
    let again = desk.import(&format!("r.ndjson --patient {id}")).await.expect(2, "duplicate");
    assert_eq!(again.line("all"), "251 3");
    // Lines of that file are taken as they were once they are right.
    let right: Vec<String> = desk.read("bad.ndjson").lines().map(|line| line.replace("\"fast\"", "61")).collect();
    desk.write("right.ndjson", &right[1]);
    assert_eq!(desk.import(&format!("right.ndjson --patient {id}")).await.expect(0, "created").line("all"), "1");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_keep_their_references_from_file_to_file() {
    let desk = Desk::open().await;
    let known = desk.app.admit("r1", "Vega").await;
    let lines = |all: &[Value]| all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let heart_rate = |id: &str, patient: &str| {
        let mut one = observation(patient, "8867-4", "72.50", "/min", "2026-01-02T03:04:05Z");
        one["id"] = id.into();
        one
    };
    desk.write(
        "Observation.ndjson",
        lines(&[
            heart_rate("o1", "p1"),
            heart_rate("o2", "p2"),
            heart_rate("o3", "p3"),
            json!({"resourceType": "Nothing"}),
        ]),
    );
    desk.write(
        "Patient.ndjson",
        lines(&[
            // He is here already, by another name.
            json!({"resourceType": "Patient", "id": "p1", "identifier": [{"system": RECORDS, "value": "r1"}]}),
            json!({"resourceType": "Patient", "id": "p2", "active": true}),
            json!({"resourceType": "Patient", "id": "p3", "birthDate": "soon"}),
        ]),
    );
    let said = desk.import("Observation.ndjson Patient.ndjson --rejected bad").await;
    let said = said.expect(2, "Observation.ndjson: line 3: it refers to Patient/p3, which was not taken");
    assert_eq!((said.line("Patient"), said.line("Observation")), ("1 1 1".into(), "2 0 1".into()), "{}", said.text);
    let about = |id: &str| format!("/fhir/Observation/{id}");
    let first = desk.app.gateway().get(&about("o1")).await.expect(200).json();
    assert_eq!(first["subject"]["reference"], format!("Patient/{known}"));
    assert_eq!(first["valueQuantity"]["value"].to_string(), "72.50");
    let second = desk.app.gateway().get(&about("o2")).await.expect(200).json();
    assert_eq!(second["subject"]["reference"], "Patient/p2");
    desk.app.gateway().get(&about("o3")).await.expect(404);

    let again = desk.import("Observation.ndjson Patient.ndjson").await.expect(2, "duplicate");
    assert_eq!(again.line("Observation"), "2 1");
    assert_eq!((desk.count("Patient").await, desk.count("Observation").await), (2, 2));

    // Who has an identifier is one, however often and with whatever else he comes.
    let twice = |active: bool| json!({"resourceType": "Patient", "id": "p7", "active": active, "identifier": [{"system": RECORDS, "value": "r7"}]});
    desk.write("twice.ndjson", lines(&[twice(true), twice(false), heart_rate("o7", "p7")]));
    assert_eq!(desk.import("twice.ndjson").await.expect(0, "created").line("all"), "2 1");

    // Another one under a name that is taken is refused, and so is what refers to it.
    desk.write(
        "other.ndjson",
        lines(&[json!({"resourceType": "Patient", "id": "p2", "active": false}), heart_rate("o4", "p2")]),
    );
    let said = desk.import("other.ndjson").await.expect(2, "line 1: another Patient/p2 stands on the server");
    assert_eq!(said.line("all"), "2");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_taken_once_in_both_formats() {
    let desk = Desk::open().await;
    let known = desk.app.admit("r1", "Vega").await;
    let said = desk
        .import(&format!("{SAMPLES}/bundle.json --rejected bad.ndjson"))
        .await
        .expect(2, "bundle.json: line 37: status: ");
    assert_eq!(said.line("Practitioner"), "1 0 0 0", "{}", said.text);
    assert_eq!(said.line("Patient"), "0 1 0 0");
    assert_eq!(said.line("Observation"), "1 0 1 0");
    assert_eq!(desk.read("bad.ndjson").lines().count(), 1);
    let taken = &desk.found("Observation?code=8867-4").await[0];
    let practitioner = &desk.found("Practitioner").await[0];
    assert_eq!(taken["id"], "5b1a3c1e-0f6b-4f6a-9f6a-2f0f9b1d0002");
    assert_eq!(taken["subject"]["reference"], format!("Patient/{known}"));
    assert_eq!(taken["performer"][0]["reference"], format!("Practitioner/{}", practitioner["id"].as_str().unwrap()));
    assert_eq!(taken["valueQuantity"]["value"].to_string(), "72.50");
    let again = desk.import(&format!("{SAMPLES}/bundle.json")).await.expect(2, "duplicate");
    assert_eq!(again.line("all"), "3 1 1", "{}", again.text);

    let said = desk.import(&format!("{SAMPLES}/bundle.xml")).await.expect(0, "created");
    assert_eq!(said.line("all"), "2");
    let taken = desk.app.gateway().get("/fhir/Observation/x2").await.expect(200).json();
    assert_eq!(
        (&taken["subject"]["reference"], taken["valueQuantity"]["value"].to_string()),
        (&json!("Patient/x1"), "36.60".into())
    );
    let patient = desk.app.gateway().get("/fhir/Patient/x1").await.expect(200).json();
    assert!(patient["text"]["div"].as_str().unwrap().contains("<p>Ana &amp; <b>co</b></p>"), "{patient}");
    desk.write("one.json", "{\n  \"resourceType\": \"Patient\",\n  \"id\": \"alone\"\n}\n");
    desk.write("one.xml", "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"alone\"/></Patient>");
    desk.import("one.json").await.expect(0, "created");
    desk.import("one.xml").await.expect(0, "duplicate");
    let again = desk.import(&format!("{SAMPLES}/bundle.xml")).await.expect(0, "duplicate");
    assert_eq!(again.line("all"), "2", "{}", again.text);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apple_export_becomes_readings() {
    let desk = Desk::open().await;
    let id = desk.app.admit("r1", "Vega").await;
    desk.import(&format!("{SAMPLES}/export.xml")).await.expect(1, "--patient");
    let said = desk.import(&format!("{SAMPLES}/export.xml --patient {id} --rejected bad")).await;
    let said = said.expect(2, "line 21: startDate is no time with a zone");
    assert_eq!(said.line("all"), "9 2 2", "{}", said.text);
    assert_eq!(said.line("BloodPressure "), "2 0 0");
    assert_eq!((said.line("Workout"), said.line("ActivitySummary")), ("0 0 1".into(), "0 0 1".into()));
    assert!(desk.read("bad").contains("furlong"));
    let value = |code: &str, at: &str| {
        let query = format!("Observation?code={code}");
        let at = at.to_owned();
        let desk = &desk;
        async move { desk.found(&query).await.first().and_then(|one| one.pointer(&at).cloned()).unwrap_or_default() }
    };
    for (code, at, want) in [
        ("8867-4", "/valueQuantity/value", "72"),
        ("8867-4", "/effectiveDateTime", "\"2026-01-02T03:04:05+01:00\""),
        ("8867-4", "/note/0/text", "\"Apple Health: Reloj & más\""),
        ("59408-5", "/valueQuantity/value", "96.5"),
        ("59408-5", "/valueQuantity/code", "\"%\""),
        ("29463-7", "/valueQuantity/value", "68.50"),
        ("29463-7", "/note/0/text", "\"Apple Health: Health, entered by hand\""),
        ("55423-8", "/effectivePeriod/end", "\"2026-01-02T08:10:00+01:00\""),
        ("HKQuantityTypeIdentifierVO2Max", "/valueQuantity/unit", "\"mL/(kg.min)\""),
        ("HKCategoryTypeIdentifierSleepAnalysis", "/valueCodeableConcept/coding/0/display", "\"Asleep core\""),
        ("85354-9&date=2026-01-02", "/component/0/valueQuantity/value", "121"),
        ("85354-9&date=2026-01-02", "/component/1/valueQuantity/value", "81"),
        ("85354-9&date=2026-01-03", "/component/1/valueQuantity/value", "82"),
        ("8480-6&date=2026-01-04", "/valueQuantity/value", "128"),
    ] {
        assert_eq!(value(code, at).await.to_string(), want, "{code} {at}");
    }
    assert_eq!(desk.count("Observation?code=85354-9").await, 2, "a correlation and its records are one");

    let mut archive = zip::ZipWriter::new(std::fs::File::create(desk.path().join("export.zip")).unwrap());
    for (name, file) in
        [("apple_health_export/export_cda.xml", None), ("apple_health_export/exportar.xml", Some("export.xml"))]
    {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        let text =
            file.map_or("<ClinicalDocument/>".into(), |file| std::fs::read(format!("{SAMPLES}/{file}")).unwrap());
        archive.write_all(&text).unwrap();
    }
    archive.finish().unwrap();
    let again = desk.import(&format!("export.zip --patient {id}")).await.expect(2, "duplicate");
    assert_eq!(again.line("all"), "9 2 2", "{}", again.text);
    assert_eq!(desk.count("Observation").await, 9);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sends_nothing_and_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let said =
        typed(folder.path(), &format!("{SAMPLES}/export.xml {SAMPLES}/bundle.json {SAMPLES}/bundle.xml --dry-run"))
            .await;
    let said = said.expect(2, "would be sent");
    assert_eq!(
        (said.line("HeartRate"), said.line("Observation"), said.line("Patient")),
        ("1 1 0".into(), "3 0 0".into(), "2 0 0".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_sent_is_told_with_its_place() {
    let desk = Desk::open().await;
    let export = std::fs::read_to_string(format!("{SAMPLES}/export.xml")).unwrap();
    let bundle = std::fs::read_to_string(format!("{SAMPLES}/bundle.json")).unwrap();
    desk.write("cut.xml", export.split("<Workout ").next().unwrap());
    desk.write("crossed.xml", export.replace("</Record>", "</Rekord>"));
    desk.write("latin.xml", export.replace("UTF-8", "ISO-8859-1"));
    let mut bytes = export.clone().into_bytes();
    let at = export.find("Phone").unwrap();
    bytes[at] = 0xff;
    desk.write("bytes.xml", bytes);
    desk.write("cut.json", bundle.split("braced").next().unwrap());
    desk.write("utf16.csv", [0xff, 0xfe, b'c', 0]);
    desk.write("nothing.csv", "name,phone\n1,2\n");
    desk.write("column.csv", "patient,code,value,mood\nPatient/p,8867-4,72,good\n");
    desk.write("open.csv", "patient,code,value,note\nPatient/p,8867-4,72,\"good\n");
    desk.write("long.ndjson", [b"{\"code\": \"".as_slice(), &vec![b'x'; 17 << 20]].concat());
    desk.write("not.zip", "PK\u{3}\u{4}nothing");
    desk.write("good.csv", "patient,code,value\n");
    for (line, words) in [
        ("cut.xml --patient p", "cut.xml: line 34: the file ends here"),
        ("crossed.xml --patient p", "crossed.xml: line 14, byte "),
        ("latin.xml --patient p", "latin.xml: line 1: the file is in ISO-8859-1"),
        ("bytes.xml --patient p", "bytes.xml: line 16"),
        ("cut.json", "the file ends here, cut short"),
        ("utf16.csv", "utf16.csv: line 1: the file is in UTF-16"),
        ("nothing.csv", "nothing.csv: it is not seen what this is"),
        ("column.csv", "column 4 is none of"),
        ("open.csv", "the file ends within quotes"),
        ("long.ndjson", "longer than 16 MiB"),
        ("not.zip", "not.zip"),
        ("none.csv", "cannot read none.csv"),
        ("good.csv --rejected good.csv", "--rejected"),
        ("good.csv --user nora", "--password-file"),
    ] {
        desk.import(line).await.expect(if line.contains("nora") { 2 } else { 1 }, words);
    }
    assert_eq!(desk.read("good.csv"), "patient,code,value\n", "a file is never written over");
    desk.write("good.csv", "patient,code,value\nPatient/p,8867-4,72\n");
    desk.write("token", "nonsense");
    desk.import("good.csv").await.expect(1, "401");
    let there = typed(desk.path(), "good.csv --token-file none --url http://127.0.0.1:1").await;
    there.expect(1, "cannot read none");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_imports_by_its_own_key_and_people_by_their_password() {
    let desk = Desk::open().await;
    let id = desk.app.admit("r1", "Vega").await;
    let password = vigia::auth::password::generate();
    let role = vigia::auth::access::Role::Administrator;
    desk.app.state.sessions.create_account("root", "Root", role, &password).await.unwrap();
    desk.write("password", &password);
    desk.write("r.csv", "code,value,time\n8867-4,72,2026-01-02T03:04:05Z\n");
    let url = format!("http://{}", desk.app.address);
    let person = format!("r.csv --url {url} --user root --password-file password");
    typed(desk.path(), &format!("{person} --patient {id}")).await.expect(0, "created");
    desk.write("password", "wrong");
    typed(desk.path(), &person).await.expect(1, "root is not let in");

    let gateway = desk.app.gateway();
    let device = json!({"resourceType": "Device", "identifier": [{"system": "urn:test", "value": "watch"}]});
    let device = gateway.post("/fhir/Device", &device).await.expect(201).id();
    let path = format!("/device/v1/devices/{device}/credentials");
    let key = gateway.post(&path, &json!({"secret": true})).await.expect(201).json();
    desk.write("token", key["secret"].as_str().unwrap());
    let said = desk.import(&format!("{SAMPLES}/export.xml")).await.expect(2, "held");
    assert_eq!(said.line("all"), "9 2 2", "it is at nobody yet: {}", said.text);
    desk.app.stop().await;
}
