//! The tables as pages: what `docs/hl7v2-mapping.md` holds is written from them, and a test holds it to them.

use std::fmt::Write;
use std::path::Path;

use super::*;

fn page(tables: &Tables) -> String {
    let mut page = String::from(
        "# HL7 v2 messages, segments and fields that are taken\n\n\
         Written from the tables in `src/ingest/hl7/table/data` (`UPDATE_DOCS=1 cargo test --lib ingest::hl7::table`), which\n\
         follow HL7's v2-to-FHIR mapping (HL7/v2-to-fhir, Apache-2.0). What is not listed is kept with the message and told\n\
         in its issues (`GET /hl7/messages/{id}`); a site adds rows of its own.\n\n\
         ## Messages\n\n| messages | segments | heard besides | OBX are readings | must name a patient |\n|---|---|---|---|---|\n",
    );
    let yes = |is: bool| if is { "yes" } else { "" };
    for event in tables.events() {
        let heard: Vec<String> = event
            .heard
            .iter()
            .map(|(name, fields)| match fields {
                None => name.clone(),
                Some(fields) => {
                    format!("{name} ({})", fields.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))
                }
            })
            .collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            event.on.join(", "),
            event.maps.join(", "),
            heard.join(", "),
            yes(event.readings),
            yes(event.patient)
        );
    }
    page.push_str("\n### What an event does to a visit, and the status that it gives\n\n| trigger | |\n|---|---|\n");
    for event in tables.events() {
        for (trigger, what) in event.visit.iter().chain(&event.status) {
            let _ = writeln!(page, "| {trigger} | {what} |");
        }
    }
    page.push_str("\n## Segments\n");
    for map in tables.maps() {
        let _ = writeln!(page, "\n### {}: {} to {}\n", map.name, map.segment, map.resource);
        if !map.rows.is_empty() {
            page.push_str("| field | type | member | codes | condition |\n|---|---|---|---|---|\n");
        }
        for row in &map.rows {
            let _ = writeln!(page, "{}", line(&map.segment, row));
        }
        let ignored: Vec<String> = map.ignore.iter().map(|field| format!("{}-{field}", map.segment)).collect();
        if !ignored.is_empty() {
            let _ = writeln!(page, "\nSaying nothing about it, or heard elsewhere: {}.", ignored.join(", "));
        }
    }
    page.push_str("\n## Data types\n");
    for (name, own) in &tables.types {
        let _ =
            writeln!(page, "\n### {name}\n\n| component | type | member | codes | condition |\n|---|---|---|---|---|");
        for row in &own.rows {
            let _ = writeln!(page, "{}", line(name, row));
        }
    }
    page.push_str("\n## Codes\n");
    for (name, codes) in &tables.codes {
        let _ = writeln!(page, "\n### {name}\n\n| v2 | FHIR | system |\n|---|---|---|");
        for (code, target) in codes {
            let _ = writeln!(page, "| {code} | {} | {} |", target.code, target.system.as_deref().unwrap_or(""));
        }
    }
    page
}

fn line(of: &str, row: &Row) -> String {
    let (source, rest) = row.text.split_once(' ').unwrap();
    let (kind, rest) = rest.split_once(" -> ").unwrap();
    let rest = rest.split(" with ").next().unwrap();
    let (member, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (codes, condition): (Vec<&str>, Vec<&str>) = rest.split(' ').partition(|word| word.starts_with('@'));
    let codes: Vec<&str> = codes.into_iter().map(|word| word.trim_matches(['@', '?'])).collect();
    format!(
        "| {of}-{source} | {kind} | {member} | {} | {} |",
        codes.join(" "),
        condition.join(" ").replace('|', " or ")
    )
}

#[test]
fn the_page_holds_what_the_tables_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hl7v2-mapping.md");
    let now = page(&Tables::ours());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), now, "UPDATE_DOCS=1 writes it");
}
