//! The house's own rules, read from its sources: who may use whom, who may name what, how long a file may be.

#![expect(clippy::string_slice, reason = "the sources are cut where ASCII was found")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms from the ground up. The longest name that fits a module is its room.
const ROOMS: [(&str, u8); 32] = [
    ("error", 0),
    ("clock", 0),
    ("config", 0),
    ("telemetry", 0),
    ("fhir", 1),
    ("normalize", 2),
    ("alert", 2),
    ("auth::access", 2),
    ("store", 3),
    ("audit", 3),
    ("binding", 4),
    ("hl7", 4),
    ("profiles", 4),
    ("pipeline", 4),
    ("ward", 4),
    ("ingest", 5),
    ("deliver", 5),
    ("auth", 5),
    ("alert::correction", 5),
    ("alert::departure", 5),
    ("alert::engine", 5),
    ("alert::episodes", 5),
    ("alert::lookup", 5),
    ("alert::past", 5),
    ("alert::patients", 5),
    ("alert::reading", 5),
    ("alert::round", 5),
    ("alert::scores", 5),
    ("alert::seed", 5),
    ("alert::watch", 5),
    ("api", 6),
    ("app", 7),
];
/// May use everything.
const TOP: [&str; 3] = ["cli", "main", "lib"];

/// Rooms of one house: they may use each other at their own height.
fn family(room: &str) -> &str {
    room.split("::").next().unwrap()
}

fn room(module: &[String]) -> Option<(&'static str, u8)> {
    let path = module.join("::");
    let fits = |name: &str| path == name || path.starts_with(&format!("{name}::"));
    ROOMS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len()).copied()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The source without comments and without its tests, which may use whatever they like.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// `src/alert/window/tests.rs` is alert, window, tests.
fn module(path: &Path) -> Vec<String> {
    let parts = path.with_extension("");
    let parts = parts.components().skip(1).map(|c| c.as_os_str().to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The modules that a source names, from `crate::` and `super::` on; groups in braces one by one.
fn named(own: &[String], code: &str) -> BTreeSet<Vec<String>> {
    let mut all = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        follow(vec![], &code[at + 7..], &mut all);
    }
    for (at, _) in code.match_indices("super::") {
        // The first of a row of them; the others are taken with it.
        if !code[..at].ends_with("super::") {
            let mut rest = &code[at..];
            let mut from = own.to_vec();
            while let Some(after) = rest.strip_prefix("super::") {
                (rest, _) = (after, from.pop());
            }
            follow(from, rest, &mut all);
        }
    }
    all
}

fn follow(mut path: Vec<String>, text: &str, all: &mut BTreeSet<Vec<String>>) {
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' => {
                    follow(path.clone(), group[start..at].trim(), all);
                    start = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if end > 0 {
        path.push(text[..end].to_owned());
        all.insert(path.clone());
    }
    if let Some(rest) = text[end..].strip_prefix("::") {
        follow(path, rest, all);
    }
}

#[test]
fn nobody_uses_a_room_above() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (path, text) in sources("src") {
        let own = module(&path);
        if own.last().is_some_and(|name| name == "tests") || TOP.contains(&own[0].as_str()) {
            continue;
        }
        let (from, height) = room(&own).unwrap_or_else(|| panic!("{} belongs to no room of the table", path.display()));
        for target in named(&own, &code(&text)) {
            let Some((to, other)) = room(&target) else {
                assert!(!TOP.contains(&target[0].as_str()), "{} uses {}", path.display(), target.join("::"));
                continue;
            };
            judged += 1;
            // `alert` and `auth` as such are where their parts are found, at whatever height.
            let only_the_house = target.len() == 1 && (to == "alert" || to == "auth");
            let rivals = height == 5 && other == 5 && family(from) != family(to);
            if !only_the_house && (other > height || rivals) {
                wrong.push(format!("{} ({height}) uses {} ({other})", path.display(), target.join("::")));
            }
        }
    }
    assert!(judged > 300, "the sources were read: {judged}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_what_is_named() {
    let own = ["alert".to_owned(), "window".to_owned()];
    let named = named(
        &own,
        "use crate::store::{self, Log, conn::Conn};\nuse super::rule::{Cause, Rule};\nsuper::super::api::x(); crate::alert::engine::Engine",
    );
    let named: Vec<String> = named.iter().map(|path| path.join("::")).collect();
    for path in ["store::Log", "store::conn::Conn", "alert::rule::Cause", "api::x", "alert::engine::Engine"] {
        assert!(named.contains(&path.to_owned()), "{path} is not in {named:?}");
    }
    assert_eq!(room(&["alert".into(), "engine".into(), "Engine".into()]), Some(("alert::engine", 5)));
    assert_eq!(room(&["alert".into(), "window".into()]), Some(("alert", 2)));
}

#[test]
fn only_the_store_names_diesel_and_only_the_api_names_actix() {
    for (path, text) in sources("src") {
        let code = code(&text);
        let own = module(&path);
        let mentions = |name: &str| code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"));
        for name in ["diesel", "diesel_migrations", "r2d2"] {
            assert!(own[0] == "store" || !mentions(name), "{} names {name}", path.display());
        }
        assert!(own[0] == "api" || own[0] == "app" || !mentions("actix_web"), "{} names actix_web", path.display());
    }
    let pure = ["fhir", "normalize"];
    for (path, text) in sources("src").into_iter().filter(|(path, _)| pure.contains(&module(path)[0].as_str())) {
        for name in ["std::fs", "std::net", "std::env", "tokio::", "std::time::SystemTime", "Utc::now"] {
            assert!(!code(&text).contains(name), "{} does IO: {name}", path.display());
        }
    }
}

#[test]
fn files_are_small_enough_to_read() {
    for folder in ["src", "tests", "fhir-profiles/src", "fhir-profiles/tests", "fhir-profiles/build"] {
        for (path, text) in sources(folder) {
            assert!(text.lines().count() <= 600, "{} has {} lines", path.display(), text.lines().count());
            let own_words = text.starts_with("//!") || path.ends_with("tests.rs");
            assert!(own_words, "{} does not say what it is", path.display());
        }
    }
}

/// Tables and their columns, as migrations make them.
fn tables(engine: &str) -> (Vec<String>, BTreeMap<String, BTreeSet<String>>) {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root().join("migrations").join(engine)).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let names = folders.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in folders {
        assert!(folder.join("down.sql").is_file(), "{} cannot be undone", folder.display());
        let text = std::fs::read_to_string(folder.join("up.sql")).unwrap();
        let text: String = text.lines().map(|l| l.split("--").next().unwrap()).collect::<Vec<_>>().join(" ");
        for statement in text.split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            match words.as_slice() {
                ["CREATE", "TABLE", name, ..] => {
                    let inside = statement.split_once('(').unwrap().1.rsplit_once(')').unwrap().0;
                    let columns =
                        parts(inside).into_iter().filter_map(|part| part.split_whitespace().next().map(str::to_owned));
                    let keys = ["UNIQUE", "PRIMARY", "CHECK", "FOREIGN", "CONSTRAINT"];
                    let columns = columns.filter(|column| !keys.contains(&column.as_str())).collect();
                    tables.insert(name.trim_end_matches('(').to_owned(), columns);
                }
                ["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..] => {
                    tables.get_mut(*name).unwrap().insert((*column).to_owned());
                }
                ["ALTER", "TABLE", name, "DROP", "COLUMN", column, ..] => {
                    tables.get_mut(*name).unwrap().remove(*column);
                }
                ["DROP", "TABLE", name, ..] => _ = tables.remove(*name),
                _ => {}
            }
        }
    }
    (names, tables)
}

/// Split at commas that are not inside brackets.
fn parts(text: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts
}

#[test]
fn both_engines_have_the_same_tables() {
    let (sqlite, postgres) = (tables("sqlite"), tables("postgres"));
    assert_eq!(sqlite, postgres);
    assert!(sqlite.1.len() > 10 && sqlite.1["observation"].contains("canonical"), "{sqlite:?}");
}
