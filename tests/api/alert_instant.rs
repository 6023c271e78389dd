//! Rules that judge several signals at once, when the engine stops at an awkward moment and when a reading comes after
//! its instant was judged. The clock stands still until the story moves it.

use serde_json::{Value, json};
use vigia::alert::rule::toml;
use vigia::clock::Clock;
use vigia::config::Config;
use vigia::fhir::{OURS, time};

use crate::alert_engine::judged;
use crate::helpers::place::Place;
use crate::helpers::{TestApp, eventually, resources};

const SECOND: i64 = 1_000_000;

/// A fast heart with a fever.
const RULE: &str = r#"
id = "fast-and-hot"
url = "urn:test:fast-and-hot"
version = "1"
title = "Fast heart and fever"
status = "active"
label = "Fast heart and fever"
latch = "none"
test = { level = "warning", all = [{ compare = { signal = "heart-rate", comparator = ">=", value = 105 } }, { compare = { signal = "temperature", comparator = ">=", value = 38 } }] }
"#;

const SIGNALS: &str = r#"
[[signal]]
name = "heart-rate"
unit = "/min"
codes = [{ loinc = "8867-4" }]
[[signal]]
name = "temperature"
unit = "Cel"
codes = [{ loinc = "8310-5" }]
"#;

const HEART: (&str, &str) = ("8867-4", "/min");
const TEMPERATURE: (&str, &str) = ("8310-5", "Cel");

/// A server, its clock and one patient, whose readings come at seconds from the beginning.
struct Story {
    app: TestApp,
    clock: Clock,
    begun: i64,
    patient: String,
}

impl Story {
    /// `more`: keys of the rule.
    async fn with(more: &str) -> Self {
        let begun = Clock::default().now() / SECOND * SECOND;
        let clock = Clock::fixed(begun);
        let app = TestApp::on(Place::new().await, clock.clone(), Self::quietly).await;
        let plan = toml::import(&format!("{RULE}{more}\n{SIGNALS}")).unwrap();
        app.gateway().put("/fhir/PlanDefinition/fast-and-hot", &plan).await.expect(201);
        let patient = app.admit("r1", "Vega").await;
        Self { app, clock, begun, patient }
    }

    /// Nobody is called when nobody answers: that would be a version too.
    fn quietly(config: &mut Config) {
        config.alert.escalation.warning.steps.clear();
    }

    /// Every NEWS2, as `version total@second`.
    async fn scores(&self) -> Vec<String> {
        let code = "code=https://vigia.dev/fhir/CodeSystem/score|news2&_sort=date";
        let path = format!("/fhir/Observation?patient={}&{code}", self.patient);
        let found = self.app.gateway().get(&path).await.expect(200).json();
        let line = |score: &Value| {
            let at = time::range(score["effectiveDateTime"].as_str().unwrap()).unwrap().start - self.begun;
            let total = score["valueQuantity"].get("value").map_or("incomplete".to_owned(), Value::to_string);
            format!("{} {total}@{}", score["meta"]["versionId"].as_str().unwrap(), at / SECOND)
        };
        resources(&found).iter().map(line).collect()
    }

    /// Waits until these are the scores, and until everything is judged, and sees that they still are.
    async fn scores_become(&self, expected: &[&str]) {
        let what = format!("{expected:?}");
        eventually(&what, || async { (self.scores().await == expected).then_some(()) }).await;
        judged(&self.app, &self.clock).await;
        assert_eq!(self.scores().await, expected, "for good");
    }

    /// Readings of one instant.
    async fn measure(&self, second: i64, values: &[((&str, &str), f64)]) {
        let time = time::instant(self.begun + second * SECOND);
        let reading = |((code, unit), value): &((&str, &str), f64)| json!({"patient": format!("Patient/{}", self.patient), "code": code, "value": value, "unit": unit, "time": time});
        self.app.upload(&values.iter().map(reading).collect()).await;
    }

    /// It is so many seconds after the beginning, if it was earlier.
    fn reach(&self, second: i64) {
        self.clock.advance((self.begun + second * SECOND - self.clock.now()).max(0));
    }

    /// Stops the server; when it comes back, so many seconds have passed since the beginning.
    async fn restarted(self, second: i64) -> Self {
        let place = self.app.stop().await;
        self.clock.advance((self.begun + second * SECOND - self.clock.now()).max(0));
        let app = TestApp::on(place, self.clock.clone(), Self::quietly).await;
        Self { app, ..self }
    }

    /// Every alert of the rule, as `state version kind@second …`; the oldest first.
    async fn told(&self) -> Vec<String> {
        let mut all = self.app.alerts(&self.patient).await;
        all.retain(|alert| alert["reference"] == "urn:test:fast-and-hot|1");
        all.sort_by_key(|alert| alert["identifiedPeriod"]["start"].as_str().unwrap().to_owned());
        all.iter().map(|alert| self.line(alert)).collect()
    }

    fn line(&self, alert: &Value) -> String {
        let steps = alert["extension"].as_array().unwrap().iter();
        let steps = steps.filter(|e| e["url"] == format!("{OURS}/StructureDefinition/alert-transition")).map(|step| {
            let part = |name: &str| step["extension"].as_array().unwrap().iter().find(|p| p["url"] == name).unwrap();
            let at = time::range(part("at")["valueInstant"].as_str().unwrap()).unwrap().start - self.begun;
            format!(" {}@{}", part("kind")["valueCode"].as_str().unwrap(), at / SECOND)
        });
        let head = format!("{} {}", alert["status"].as_str().unwrap(), alert["meta"]["versionId"].as_str().unwrap());
        head + &steps.collect::<String>()
    }

    /// Waits until this is told, and until everything is judged, and sees that it is still what is told.
    async fn becomes(&self, expected: &[&str]) {
        let what = format!("{expected:?}");
        eventually(&what, || async { (self.told().await == expected).then_some(()) }).await;
        self.stays(expected).await;
    }

    /// Everything is judged that can be, and this is told.
    async fn stays(&self, expected: &[&str]) {
        judged(&self.app, &self.clock).await;
        assert_eq!(self.told().await, expected);
    }
}

/// Longer than the clock moves while a story waits for the engine.
const TEN_MINUTES: &str = r#"settle = "10 min""#;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_at_the_stop_is_judged_after_the_restart() {
    // Stopped before the place in the log was stored, and after; away for a moment, and for a day.
    for (stored, back) in [(false, 60), (true, 60), (false, 86_400), (true, 86_400)] {
        let story = Story::with(TEN_MINUTES).await;
        story.measure(0, &[(HEART, 120.0), (TEMPERATURE, 38.5)]).await;
        if stored {
            story.stays(&[]).await;
        }
        let story = story.restarted(back).await;
        story.reach(back + 660);
        story.becomes(&["preliminary 1 raise@0"]).await;
        let story = story.restarted(back + 800).await;
        story.reach(back + 1_600);
        story.stays(&["preliminary 1 raise@0"]).await;
        story.app.stop().await;
    }
}

/// Taken back: what was told of it stays in the record.
const NEVER_WAS: &str = "entered-in-error 2 raise@60";

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_for_an_instant_that_was_judged_changes_it_once() {
    let story = Story::with(TEN_MINUTES).await;
    story.measure(0, &[(TEMPERATURE, 38.5)]).await;
    story.measure(60, &[(HEART, 120.0)]).await;
    story.reach(800);
    story.becomes(&["preliminary 1 raise@60"]).await;
    // The temperature of that very instant: it never was.
    story.measure(60, &[(TEMPERATURE, 37.0)]).await;
    story.becomes(&[NEVER_WAS]).await;
    let story = story.restarted(1_600).await;
    story.reach(2_400);
    story.stays(&[NEVER_WAS]).await;
    // And the other way round.
    story.measure(2_000, &[(HEART, 121.0)]).await;
    story.reach(3_200);
    story.stays(&[NEVER_WAS]).await;
    story.measure(2_000, &[(TEMPERATURE, 38.6)]).await;
    story.becomes(&[NEVER_WAS, "preliminary 1 raise@2000"]).await;
    let story = story.restarted(4_000).await;
    story.reach(5_000);
    story.stays(&[NEVER_WAS, "preliminary 1 raise@2000"]).await;
    story.app.stop().await;
}

/// Lets time pass until so many seconds from the beginning. At each of the stops on the way the server ends, and is
/// back after 200 seconds.
async fn pass(mut story: Story, from: i64, to: i64, stops: &[i64]) -> Story {
    for stop in stops.iter().filter(|stop| (from..to).contains(*stop)) {
        story.reach(*stop);
        judged(&story.app, &story.clock).await;
        story = story.restarted(stop + 200).await;
    }
    story.reach(to);
    story
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_of_what_is_joined_go_on_over_a_restart() {
    let damped = "settle = \"2 min\"\nfor = \"30 min\"\nclear-for = \"30 min\"";
    // Never; with the instant open, and closed; while a duration ends; often.
    let all: [&[i64]; 6] = [&[], &[60], &[400], &[1_700], &[4_100], &[300, 900, 1_300, 2_000, 2_700, 3_300, 4_700]];
    for stops in all {
        let mut story = Story::with(damped).await;
        story.measure(0, &[(HEART, 120.0), (TEMPERATURE, 38.5)]).await;
        story = pass(story, 0, 1_600, stops).await;
        story.stays(&[]).await;
        story = pass(story, 1_600, 2_400, stops).await;
        story.becomes(&["preliminary 1 raise@1800"]).await;
        story.measure(2_400, &[(HEART, 80.0)]).await;
        story = pass(story, 2_400, 4_000, stops).await;
        story.stays(&["preliminary 1 raise@1800"]).await;
        story = pass(story, 4_000, 4_800, stops).await;
        story.becomes(&["final 2 raise@1800 resolve@4200"]).await;
        story = story.restarted(5_000).await;
        story.stays(&["final 2 raise@1800 resolve@4200"]).await;
        story.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_that_is_broken_begins_anew_over_a_restart() {
    let mut story = Story::with("settle = \"2 min\"\nfor = \"30 min\"").await;
    story.measure(0, &[(HEART, 120.0), (TEMPERATURE, 38.5)]).await;
    story = pass(story, 0, 900, &[300]).await;
    story.measure(900, &[(HEART, 80.0)]).await;
    story = pass(story, 900, 1_200, &[920]).await;
    story.measure(1_200, &[(HEART, 121.0)]).await;
    story = pass(story, 1_200, 2_800, &[1_400, 1_700]).await;
    story.stays(&[]).await;
    story.reach(3_400);
    story.becomes(&["preliminary 1 raise@3000"]).await;
    story.app.stop().await;
}

/// All that NEWS2 asks for but the heart rate.
const VITALS: [((&str, &str), f64); 5] = [
    (("9279-1", "/min"), 16.0),
    (("59408-5", "%"), 97.0),
    (TEMPERATURE, 37.0),
    (("8480-6", "mm[Hg]"), 120.0),
    (("9269-2", "{score}"), 15.0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_score_is_formed_once_over_a_restart_and_again_when_its_instant_changes() {
    for stored in [false, true] {
        let story = Story::with(TEN_MINUTES).await;
        let address = "/fhir/PlanDefinition/score-news2";
        let mut plan = story.app.gateway().get(address).await.expect(200).json();
        let settle = json!({"value": 10, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"});
        let settle = json!({"url": format!("{OURS}/StructureDefinition/alert-settle"), "valueDuration": settle});
        plan["action"][0]["extension"].as_array_mut().unwrap().push(settle);
        story.app.gateway().put(address, &plan).await.expect(200);

        story.measure(0, &VITALS).await;
        story.measure(0, &[(HEART, 95.0)]).await;
        if stored {
            story.scores_become(&[]).await;
        }
        let story = story.restarted(3_600).await;
        story.reach(4_300);
        story.scores_become(&["1 1@0"]).await;
        // Of the next instant only the breaths come at first: for the others the last readings count.
        story.measure(4_200, &[(("9279-1", "/min"), 22.0)]).await;
        story.reach(5_200);
        story.scores_become(&["1 1@0", "1 3@4200"]).await;
        story.measure(4_200, &[(HEART, 115.0)]).await;
        story.scores_become(&["1 1@0", "2 4@4200"]).await;
        let story = story.restarted(6_000).await;
        story.reach(6_700);
        story.scores_become(&["1 1@0", "2 4@4200"]).await;
        story.app.stop().await;
    }
}
