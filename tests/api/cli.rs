//! The command line as it is typed: what it answers, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn shell(directory: &Path, line: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_vigia"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).current_dir(directory).env_clear().env("PATH", path).stdin(Stdio::null());
    shell.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The commands of the README's "In earnest", up to the one that serves.
fn walk() -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("## In earnest").nth(1).unwrap().split("```sh\n").nth(1).unwrap();
    section.split("vigia serve   ").next().unwrap().to_owned()
}

#[test]
fn the_walk_of_the_readme_works_word_by_word() {
    let directory = tempfile::tempdir().unwrap();
    let done = shell(directory.path(), &format!("set -e\n{}", walk()));
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.contains("# ready for `vigia serve`") && said.contains("ana\t"), "{said}");
    assert_eq!(said.lines().last().unwrap().split('.').count(), 3, "a token: {said}");
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    for name in ["vigia.db", "signing-key.pem", "seal-key"] {
        let found = shell(directory.path(), &format!("find . -name {name}"));
        assert_eq!(mode(text(&found.stdout).trim()), 0o600, "{name}");
    }
    let again = shell(directory.path(), "vigia keygen >> vigia.toml || vigia check-config");
    assert!(again.status.success(), "a refusal leaves the settings as they are: {}", text(&again.stderr));
}

#[test]
fn who_stops_reading_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let closed = shell(directory.path(), "{ vigia check-config; echo \"ended with $?\" >&2; } | true");
    assert_eq!(text(&closed.stderr).replace("vigia: `vigia serve` would not start\n", ""), "ended with 1\n");
    let closed = shell(directory.path(), "{ vigia package list; echo \"ended with $?\" >&2; } | true");
    assert_eq!(text(&closed.stderr), "ended with 0\n");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let token = "vigia client token --client m --scope system/Observation.c";
    // Later options of the same name would be a mistake of their own: each line gives its own.
    for (line, named) in [
        ("vigia check-config", "would not start"),
        ("vigia client token --client '' --scope system/Observation.c", "--client"),
        ("vigia client token --client ' ' --scope system/Observation.c", "--client"),
        ("vigia client token --client m --scope ''", "--scope"),
        ("vigia client token --client m --scope nonsense", "--scope"),
        ("vigia client token --client m --scope openid", "--scope"),
        ("vigia client token --client m --scope system/Foo.c", "--scope"),
        (&format!("{token} --hours 0"), "--hours"),
        (&format!("{token} --hours=-1"), "--hours"),
        (&format!("{token} --hours 87601"), "--hours"),
        ("vigia user add '' --name Ana", "<USERNAME>"),
        ("vigia user add ana --name '  '", "--name"),
        (token, "signing key"),
    ] {
        let refused = shell(directory.path(), line);
        assert!(!refused.status.success(), "{line}");
        assert!(text(&refused.stderr).contains(named), "{line}: {}", text(&refused.stderr));
    }
}

#[test]
fn rules_are_checked_tried_stored_and_printed() {
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let done = shell(directory.path(), line);
        (done.status.success(), format!("{}{}", text(&done.stdout), text(&done.stderr)))
    };
    let (good, said) =
        run("vigia rule export limits-8867-4 > hr.toml && vigia rule lint hr.toml && vigia rule test hr.toml");
    assert!(good && said.contains("hr.toml: good"), "{said}");
    let (good, said) = run("sed 's/value = 131/value = 50/' hr.toml > bad.toml; vigia rule lint hr.toml bad.toml");
    assert!(
        !good && said.contains("bad.toml: PlanDefinition.action[0].extension: ") && said.contains("1 of 2"),
        "{said}"
    );
    let (good, said) = run("sed 's/^unit = .*/unit = 3/' hr.toml > bad.toml; vigia rule lint bad.toml");
    assert!(!good && said.contains("bad.toml: line ") && said.contains(": unit: "), "{said}");
    let (good, said) = run("sed 's/\\[\\[1, \"raise\"/[[2, \"raise\"/' hr.toml > late.toml; vigia rule test late.toml");
    assert!(!good && said.contains("  - 2 raise") && said.contains("  + 1 raise"), "{said}");
    let stored = "sed 's/^version.*/version = \"2\"/; s/^id.*/id = \"mine\"/' hr.toml > mine.toml && vigia rule import mine.toml";
    let (good, said) = run(&format!("{stored} && vigia rule export mine | diff - mine.toml && echo same"));
    assert!(good && said.contains("|2 stored as PlanDefinition/mine") && said.contains("same"), "{said}");
    let (good, said) = run("vigia rule list --markdown");
    assert!(good && said.contains("| score-news2 | active |"), "{said}");
    assert!(!run("vigia rule export nothing").0);
}

#[test]
fn devices_are_registered_listed_and_locked_out() {
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let done = shell(directory.path(), line);
        (done.status.success(), format!("{}{}", text(&done.stdout), text(&done.stderr)))
    };
    let columns = |said: &str| said.trim().split('\t').map(str::to_owned).collect::<Vec<_>>();
    let (good, said) = run("vigia device add SN-0042 --name 'Bed 3'");
    let added = columns(&said);
    assert!(good && added[0].starts_with("Device/") && added[1].len() > 20, "a reference and a key: {said}");
    let (good, said) = run("vigia device add SN-0042");
    assert!(!good && said.contains("SN-0042") && said.contains("already"), "{said}");
    let (good, said) = run("vigia device add 'urn:serials|7' --claim");
    let other = columns(&said);
    assert!(good && other[2].ends_with(&format!("/bridge#code={}", other[1])), "a code and its link: {said}");

    let (_, said) = run("vigia device list");
    assert!(said.contains(&format!("{}\tBed 3\n", added[0])) && said.contains(&format!("{}\t7\n", other[0])), "{said}");
    assert_eq!(said.matches("\tgood\n").count(), 1, "a code is no credential yet: {said}");
    let (good, said) = run(&format!("vigia device claim {}", added[0]));
    assert!(good && columns(&said)[1].contains("/bridge#code="), "{said}");

    let (good, said) = run(&format!("vigia device revoke {} --credential nothing", added[0]));
    assert!(!good && said.contains("no such credential"), "{said}");
    let (good, said) = run(&format!("vigia device revoke {}", added[0]));
    assert!(good && said.contains("1 ended"), "{said}");
    assert!(run("vigia device list").1.contains("\trevoked "), "it is listed still");
    for line in [format!("vigia device revoke {}", added[0]), "vigia device claim nothing".to_owned()] {
        assert!(!run(&line).0, "{line}");
    }
}
