//! The tables themselves: that they can be read, that they hold together, that a site can lay its own over them.

use super::super::visit;
use super::*;

#[test]
fn ours_can_be_read() {
    let text = Text::ours().unwrap();
    let tables = Tables::compile(text).unwrap();
    assert!(tables.event("ADT", "A01").is_some() && tables.event("ORU", "R01").is_some());
    assert!(tables.codes.iter().all(|(name, codes)| !codes.is_empty() && !name.is_empty()));
    for event in tables.events() {
        assert!(event.visit.values().all(|name| visit::is_known(name)), "{}", event.name);
    }
}

#[test]
fn a_site_lays_its_own_over_ours() {
    let own = r#"
        [map.PID]
        rows = ["8 CODE -> gender @site-gender", "35 CWE -> extension[].valueCodeableConcept with {\"url\":\"urn:x\"}"]
        [map.ZPI]
        segment = "ZPI"
        resource = "Patient"
        start = "add"
        rows = ["2 ST -> contact[].name.text"]
        [codes.site-gender]
        W = "female"
        [codes.class]
        DAY = "http://terminology.hl7.org/CodeSystem/v3-ActCode#SS short stay"
        [event.admit]
        maps = ["ZPI"]
        [event.bar]
        on = "BAR^P01"
        maps = ["PID"]
    "#;
    let tables = Tables::ours().with_overrides(own).unwrap();
    let pid = tables.map("PID").unwrap();
    let rows: Vec<&str> = pid.rows.iter().filter(|row| row.source.field == 8).map(|row| row.text.as_str()).collect();
    assert_eq!(rows, ["8 CODE -> gender @site-gender"]);
    assert!(pid.rows.len() > 15 && pid.search, "the others stay");
    assert_eq!(tables.target("class", "DAY").unwrap().code, "SS");
    assert_eq!(tables.target("class", "I").unwrap().code, "IMP");
    assert_eq!(tables.event("ADT", "A01").unwrap().maps[0], "ZPI");
    assert!(tables.event("BAR", "P01").is_some() && Tables::ours().event("BAR", "P01").is_none());
}

#[test]
fn what_is_wrong_is_told_with_its_row() {
    let table = [
        ("[map.ZZ1]\nresource = \"Patient\"", "map.ZZ1: `segment` is missing"),
        ("[map.ZZ1]\nsegment = \"ZZ1\"\nresource = \"Person1\"", "Person1 is no type of R4"),
        ("[map.PID]\nrows = [\"8 ST gender\"]", "` -> ` is missing"),
        ("[map.PID]\nrows = [\"8 NO-TYPE -> gender\"]", "NO-TYPE"),
        ("[map.PID]\nrows = [\"8 NOTYPE -> gender\"]", "there is no such type"),
        ("[map.PID]\nrows = [\"8 CODE -> gender @nowhere\"]", "there is no such table"),
        ("[map.PID]\nrows = [\"x ST -> gender\"]", "no number of a field"),
        ("[map.PID]\nrows = [\"8 ST -> gen-der\"]", "is no member"),
        ("[map.PID]\nrows = [\"8 ST -> gender with {}x\"]", "is no JSON object"),
        ("[map.PID]\nrows = [\"8 ST -> gender if\"]", "cut short"),
        ("[map.PID]\nmerge = \"magic\"", "magic"),
        ("[map.PID]\nstart = \"never\"", "never"),
        ("[event.admit]\nmaps = [\"ZZZ\"]", "there is no map ZZZ"),
        ("[maps.PID]", "unknown field"),
        ("[map", "TOML"),
    ];
    for (text, want) in table {
        let fault = Tables::ours().with_overrides(text).unwrap_err();
        assert!(fault.contains(want), "{text}: {fault}");
    }
}
