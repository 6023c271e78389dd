//! Condenses the official definitions in `data/` into one small text, which the crate embeds and
//! reads at its start: one record a line, fields divided by tabs, the first field naming the kind
//! of record. What a record means is told in `src/tables/load.rs`. Anything in the data that this
//! program does not understand stops the build; nothing is left out in silence.

mod profiles;
mod structure;
mod terminology;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct SearchParameter {
    url: String,
    code: String,
    base: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    expression: String,
    #[serde(default)]
    target: Vec<String>,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Constraint {
    path: String,
    key: String,
    severity: String,
    human: String,
    expression: String,
}

#[derive(Deserialize)]
struct Compartment {
    code: String,
    resource: Vec<Membership>,
}

#[derive(Deserialize)]
struct Membership {
    code: String,
    param: Vec<String>,
}

fn main() -> Fallible<()> {
    let data = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest directory")?).join("data");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no output directory")?);
    tell_cargo(&data);

    let resources: Vec<structure::Definition> = lines(&data.join("resources.ndjson"))?;
    let types: Vec<structure::Definition> = lines(&data.join("types.ndjson"))?;
    let profiles: Vec<structure::Definition> = lines(&data.join("vital-signs.ndjson"))?;
    let value_sets = terminology::expand(&lines::<terminology::Resource>(&data.join("terminology.ndjson"))?);

    let mut text = String::new();
    value_sets.write(&mut text);
    let known = structure::Known::new(&resources, &types, &profiles, &value_sets);
    structure::write(&resources, &types, &known, &mut text)?;
    profiles::write(&profiles, &known, &mut text)?;
    for c in lines::<Constraint>(&data.join("constraints.ndjson"))? {
        record(&mut text, &["I", &c.path, &c.key, &c.severity, &c.expression, &c.human]);
    }
    write_search_parameters(&data, &mut text)?;
    for compartment in lines::<Compartment>(&data.join("compartments.ndjson"))? {
        for member in compartment.resource {
            record(&mut text, &["C", &compartment.code, &member.code, &member.param.join(" ")]);
        }
    }
    fs::write(out.join("tables.txt"), text)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]
fn tell_cargo(data: &Path) {
    println!("cargo::rerun-if-changed={}", data.display());
    println!("cargo::rerun-if-changed=build");
}

fn lines<T: for<'a> Deserialize<'a>>(file: &Path) -> Fallible<Vec<T>> {
    let text = fs::read_to_string(file)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The official parameters, then ours (one `SearchParameter` resource a file, in the order of their names).
fn write_search_parameters(data: &Path, text: &mut String) -> Fallible<()> {
    let mut all: Vec<SearchParameter> = lines(&data.join("search-parameters.ndjson"))?;
    let mut ours = fs::read_dir(data.join("vigia"))?.collect::<Result<Vec<_>, _>>()?;
    ours.sort_by_key(fs::DirEntry::path);
    for file in ours {
        all.push(serde_json::from_slice(&fs::read(file.path())?)?);
    }
    for p in all {
        let (base, target) = (p.base.join(" "), p.target.join(" "));
        record(text, &["P", &p.code, &p.url, &p.kind, &base, &target, &p.expression, &p.description]);
    }
    Ok(())
}

/// One line of the text. Tabs and line ends inside a field would divide it: they become spaces.
fn record(text: &mut String, fields: &[&str]) {
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            text.push('\t');
        }
        let words: Vec<&str> = field.split(['\t', '\n', '\r']).map(str::trim_end).filter(|w| !w.is_empty()).collect();
        text.push_str(&words.join(" "));
    }
    text.push('\n');
}
