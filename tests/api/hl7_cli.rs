//! `vigia hl7` as it is typed: messages sent, listened to, looked at and replayed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use vigia::auth::access::Role;
use vigia::config::hl7::{Channel, Tls};

use crate::helpers::TestApp;
use crate::hl7_channels::Authority;
use crate::mllp::oru;

fn command(directory: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.arg("hl7").args(line.split_whitespace()).current_dir(directory).env_clear().stdin(Stdio::null());
    command
}

/// Whether it ended well, and what it said.
async fn typed(directory: &Path, line: &str) -> (bool, String) {
    let mut command = command(directory, line);
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn write(directory: &Path, name: &str, messages: &[String]) {
    // As editors save them.
    std::fs::write(directory.join(name), messages.join("\r").replace('\r', "\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_tells_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "good.hl7", &[oru("m1", "r1", "72"), oru("m2", "r2", "73")]);
    write(here, "value.hl7", &[oru("m3", "r1", "fast")]);
    write(here, "line.hl7", &[oru("m4", "r1", "72").replace("OBX|2", "BX|2")]);
    write(here, "batch.hl7", &[format!("BHS|^~\\&|A\r{}BTS|2\r", oru("m5", "r1", "72"))]);
    std::fs::write(here.join("empty.hl7"), "").unwrap();
    std::fs::write(here.join("vigia.toml"), "[[hl7.channel]]\nname = \"icu\"\nsenders = [\"OTHER\"]").unwrap();
    let table = [
        ("good.hl7 --channel nobody", false, "--channel"),
        ("good.hl7", false, "good.hl7 #2: refused\n  MSH[1].3: "),
        ("--config none.toml good.hl7", false, "none.toml"),
        (
            "--config own.toml good.hl7",
            true,
            "good.hl7 #2: ORU^R01 m2: 3 readings, 0 resources, 7 segments used, 0 not",
        ),
        ("--config own.toml value.hl7 good.hl7", false, "  OBX[1].5: "),
        ("--config own.toml value.hl7 good.hl7", false, "1 of 3 messages"),
        ("--config own.toml line.hl7", false, "line.hl7: refused\n  line 5: "),
        ("--config own.toml batch.hl7", false, "  BTS[1].1: "),
        ("--config own.toml empty.hl7", false, "empty.hl7: there is no message"),
        ("--config own.toml none.hl7", false, "none.hl7"),
    ];
    std::fs::write(here.join("own.toml"), "").unwrap();
    for (line, fine, words) in table {
        let (ended, said) = typed(here, &format!("validate {line}")).await;
        assert!(ended == fine && said.contains(words), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "two.hl7", &[oru("m1", "r1", "72"), oru("m2", "r2", "73")]);
    let mut listening =
        command(here, "listen --bind 127.0.0.1:0 --out heard --count 4").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.next().unwrap().split(' ').next_back().unwrap().to_owned();
    let (fine, said) = typed(here, &format!("send two.hl7 two.hl7 --rate 1000 --to {address}")).await;
    assert!(fine && said.contains("4 sent, 4 accepted, 0 refused"), "{said}");
    assert!(listening.wait().unwrap().success());
    assert!(lines.next().unwrap().ends_with("ORU^R01 m1"));
    assert_eq!(std::fs::read_to_string(here.join("heard/000002.hl7")).unwrap(), oru("m2", "r2", "73"));
    for (line, words) in
        [("--to 127.0.0.1:1", "cannot reach"), ("--to nowhere", "--to"), ("--rate 0 --to x:1", "--rate")]
    {
        let (fine, said) = typed(here, &format!("send two.hl7 {line}")).await;
        assert!(!fine && said.contains(words), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_sent_again_by_those_who_may() {
    let (ours, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let here = folder.path();
    let (server, own) = (ours.write(here, "localhost"), ours.write(here, "icu.test"));
    let app = TestApp::with(|config| {
        let tls = Tls { clients: vec!["icu.test".into()], ..server.clone() };
        let first = config.hl7.channel[0].clone();
        config.hl7.channel.push(Channel { name: "secure".into(), tls: Some(tls), ..first });
    })
    .await;
    app.admit("r1", "Vega").await;
    let quiet = oru("m3", "r1", "74").replace("|P|2.6", "|P|2.6|||NE|NE");
    write(here, "all.hl7", &[oru("m1", "r1", "72"), oru("m2", "r2", "73"), quiet]);
    let (fine, said) = typed(here, &format!("send all.hl7 --to {}", app.mllp)).await;
    let told = "all.hl7 #2: AE m2\n  ERR|";
    assert!(!fine && said.contains(told) && said.contains("3 sent, 1 accepted, 1 refused, 1 without"), "{said}");
    let port = app.channel("secure").port();
    let secure = format!("send all.hl7 --to localhost:{port} --tls --ca localhost-ca.pem");
    let (fine, said) = typed(here, &secure).await;
    assert!(!fine && !said.contains("sent"), "without a certificate of its own: {said}");
    let (cert, key) = (own.cert.display(), own.key.display());
    let (_, said) = typed(here, &format!("{secure} --cert {cert} --key {key}")).await;
    assert!(said.contains("3 sent, 1 accepted, 1 refused"), "{said}");

    let password = vigia::auth::password::generate();
    app.state.sessions.create_account("root", "Root", Role::Administrator, &password).await.unwrap();
    app.state.sessions.create_account("nora", "Nora", Role::Clinician, &password).await.unwrap();
    std::fs::write(here.join("password"), &password).unwrap();
    std::fs::write(here.join("wrong"), "wrong").unwrap();
    let replay = |more: &str| format!("replay --server http://{} --password-file {more}", app.address);
    for (more, words) in [
        ("wrong --user root", "root is not let in"),
        ("password --user nora", "403"),
        ("none --user root", "none"),
        ("password --user root --start soon", "400"),
        ("password --user root --id 999", "404"),
    ] {
        let (fine, said) = typed(here, &replay(more)).await;
        assert!(!fine && said.contains(words), "{more}: {said}");
    }
    let table = [
        ("--dry-run", true, "2 messages would be sent again"),
        ("--control m1", true, "0 sent again"),
        ("--control m2", false, "2 sent again, 0 accepted"),
    ];
    for (more, fine, words) in table {
        let (ended, said) = typed(here, &replay(&format!("password --user root {more}"))).await;
        assert!(ended == fine && said.contains(words), "{more}: {said}");
    }
    app.admit("r2", "Lyra").await;
    let (fine, said) = typed(here, &replay("password --user root --sender MONITOR|WARD --kind ORU^R01")).await;
    assert!(fine && said.contains(" accepted"), "{said}");
    let (_, said) = typed(here, &replay("password --user root --dry-run")).await;
    assert!(said.contains("0 messages would"), "{said}");
    app.stop().await;
}
