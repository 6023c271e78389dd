//! `near`: Locations by their distance on the globe (R4 Location, the special parameter).

use serde_json::{Value, json};

use super::paging::walk;
use super::search::{check, found, store};
use crate::helpers::TestApp;

fn location(id: &str, position: &Value) -> Value {
    json!({"resourceType": "Location", "id": id, "position": position})
}

fn place(id: &str, latitude: f64, longitude: f64) -> Value {
    location(id, &json!({"latitude": latitude, "longitude": longitude}))
}

/// Great circles: Madrid to Getafe 12.3 km and to Barcelona 505.1 km, Paris to London 343.6 km, Suva to Apia (over
/// the 180th meridian) 1,150.7 km, Alert to Nagurskoye (past the pole) 1,522 km.
fn places() -> Vec<Value> {
    vec![
        place("madrid", 40.4168, -3.7038),
        place("getafe", 40.3083, -3.7327),
        place("barcelona", 41.3874, 2.1686),
        place("paris", 48.8566, 2.3522),
        place("london", 51.5074, -0.1278),
        place("suva", -18.1416, 178.4419),
        place("apia", -13.8333, -171.7667),
        place("alert", 82.5018, -62.3481),
        place("nagurskoye", 80.8025, 47.5639),
        place("pole", 90.0, 12.0),
        place("dateline", 0.0, -180.0),
        json!({"resourceType": "Location", "id": "nowhere"}),
        // What is no place on the globe has no distance to any.
        place("beyond", 91.0, 0.0),
        place("around", 0.0, 540.0),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_far_away_at_most() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    // No place was ever stored.
    assert_eq!(found(&gateway, "Location?near=0|0").await, "");
    store(&gateway, &places()).await;
    check(
        &gateway,
        "Location",
        &[
            // Ten kilometres when nothing is said; Getafe is at 12.3 km.
            ("near=40.4168|-3.7038", "madrid"),
            ("near=40.4168|-3.7038||", "madrid"),
            ("near=40.4168|-3.7038||m", "madrid"),
            ("near=40.4168|-3.7038|0", "madrid"),
            ("near=40.4168|-3.7038|12", "madrid"),
            ("near=40.4168|-3.7038|12.5", "getafe madrid"),
            ("near=40.4168|-3.7038|12000|m", "madrid"),
            ("near=40.4168|-3.7038|12500|m", "getafe madrid"),
            ("near=40.4168|-3.7038|7|[mi_i]", "madrid"),
            ("near=40.4168|-3.7038|8|[mi_i]", "getafe madrid"),
            ("near=40.4168|-3.7038|1.2e1|km", "madrid"),
            ("near=40.4168|-3.7038|505|km", "getafe madrid"),
            ("near=40.4168|-3.7038|505.2|km", "barcelona getafe madrid"),
            ("near=48.8566|2.3522|343", "paris"),
            ("near=48.8566|2.3522|344", "london paris"),
            ("near=48.8566|2.3522|213|[mi_i]", "paris"),
            ("near=48.8566|2.3522|214|[mi_i]", "london paris"),
            ("near=48.8566|2.3522|185|[nmi_i]", "paris"),
            ("near=48.8566|2.3522|186|[nmi_i]", "london paris"),
            // In the corner of the box, but not in the circle.
            ("near=0.9|179.1|140", ""),
            ("near=0.9|179.1|142", "dateline"),
            // Over the 180th meridian, from either side and on it.
            ("near=-18.1416|178.4419|1150", "suva"),
            ("near=-18.1416|178.4419|1151", "apia suva"),
            ("near=-13.8333|-171.7667|1151", "apia suva"),
            ("near=0|180|0", "dateline"),
            ("near=0|179.999|1", "dateline"),
            ("near=0|-179.999|1", "dateline"),
            // Over the pole, where meridians say nothing.
            ("near=90|-170|1", "pole"),
            ("near=90|-170|0", "pole"),
            ("near=89.99|-100|2", "pole"),
            ("near=85|-62|1000|km", "alert pole"),
            ("near=82.5018|-62.3481|1521|km", "alert pole"),
            ("near=82.5018|-62.3481|1523|km", "alert nagurskoye pole"),
            // Half the earth's circumference is everywhere.
            ("near=0|0|20100|km", "alert apia barcelona dateline getafe london madrid nagurskoye paris pole suva"),
            ("near=0|0|1e9|km", "alert apia barcelona dateline getafe london madrid nagurskoye paris pole suva"),
            // Several places: any of them; the parameter again: all of them.
            ("near=40.4168|-3.7038,48.8566|2.3522|5", "madrid paris"),
            ("near=48.8566|2.3522|350&near=51.5074|-0.1278|1", "london"),
            ("near=48.8566|2.3522|350&_id=paris,suva", "paris"),
            ("near:missing=true", "around beyond nowhere"),
            ("near:missing=false&_id=paris,nowhere", "paris"),
        ],
    )
    .await;
    // A page of one at a time is the same.
    for more in ["", "&_sort=_id"] {
        let mut all = walk(&gateway, &format!("/fhir/Location?near=40.4168|-3.7038|600&_count=1{more}")).await;
        all.sort();
        assert_eq!(all, ["barcelona", "getafe", "madrid"], "{more}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_found_where_it_is_now() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway, &places()).await;
    store(&gateway, &[place("madrid", 51.5, -0.1), location("paris", &json!({"latitude": 1, "longitude": 1}))]).await;
    check(
        &gateway,
        "Location",
        &[("near=40.4168|-3.7038", ""), ("near=51.5074|-0.1278", "london madrid"), ("near=1|1|0", "paris")],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_chain() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let encounter = |id: &str, at: &str| {
        json!({"resourceType": "Encounter", "id": id, "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "location": [{"location": {"reference": format!("Location/{at}")}}]})
    };
    store(&gateway, &places()).await;
    store(&gateway, &[encounter("e1", "madrid"), encounter("e2", "paris"), encounter("e3", "nowhere")]).await;
    check(
        &gateway,
        "Encounter",
        &[
            ("location.near=40.4|-3.7|10", "e1"),
            ("location:Location.near=48.8566|2.3522|900|km", "e2"),
            ("location.near=40.4168|-3.7038,48.8566|2.3522", "e1 e2"),
            ("location.near=0|0", ""),
        ],
    )
    .await;
    assert_eq!(found(&gateway, "Location?_has:Encounter:location:_id=e1&near=40.4|-3.7").await, "madrid");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_place_is_refused_by_name() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (name, value) in [
        ("near", ""),
        ("near", "40.4"),
        ("near", "40.4|"),
        ("near", "|1"),
        ("near", "north|1"),
        ("near", "NaN|1"),
        ("near", "90.1|1"),
        ("near", "1|-180.5"),
        ("near", "1|1|-1"),
        ("near", "1|1|far"),
        ("near", "1|1|inf|km"),
        ("near", "1|1|1e308|km"),
        ("near", "1|1|5|kg"),
        ("near", "1|1||parsec"),
        ("near", "1|1|5|miles"),
        ("near", "1|1|5|km|x"),
        ("near", "1|1|ge5"),
        ("near", "1|1,2"),
        ("near:exact", "1|1"),
        ("near:not", "1|1"),
        ("near:contains", "1|1"),
        ("near:missing", "1|1"),
        ("_sort", "near"),
    ] {
        let reply = gateway.get(&format!("/fhir/Location?{name}={value}")).await.expect(400).json();
        assert_eq!(reply["issue"][0]["expression"], json!([format!("http.{name}")]), "{name}={value} {reply}");
    }
    let statement = gateway.get("/fhir/metadata").await.expect(200).json();
    let kinds = statement["rest"][0]["resource"].as_array().unwrap();
    let params = kinds.iter().find(|kind| kind["type"] == "Location").unwrap()["searchParam"].as_array().unwrap();
    let near = params.iter().find(|param| param["name"] == "near").unwrap();
    assert_eq!(near["type"], "special");
    assert_eq!(near["definition"], "http://hl7.org/fhir/SearchParameter/Location-near");
    gateway.get("/fhir/Patient?near=1|1").await.expect(400);
    app.stop().await;
}
