//! The server's own pages: what they name is there, and what a browser has already is not sent again.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::TestApp;

/// The addresses of files that stand between quotes in a text.
fn files_in(text: &str) -> BTreeSet<String> {
    text.split('"').filter(|part| part.starts_with("/ui/")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_a_page_names_is_there() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    for (page, at_least) in [("/login", 4), ("/consent", 5), ("/bridge", 30)] {
        let html = anonymous.get(page).await.expect(200);
        assert!(html.header("content-security-policy").contains("default-src 'none'"), "{page}");
        let files = files_in(&html.text());
        assert!(files.len() >= at_least, "{page}: {files:?}");
        for file in files {
            anonymous.get(&file).await.expect(200);
        }
    }
    let worker = anonymous.get("/bridge-worker.js").await.expect(200);
    assert!(worker.header("content-type").starts_with("text/javascript"), "a browser registers nothing else");
    app.stop().await;
}

/// Modules that are not named beforehand would be missing where there is no network.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_page_names_every_module_that_it_loads() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let named = files_in(&anonymous.get("/bridge").await.expect(200).text());
    let (mut open, mut loaded) = (vec!["/ui/js/bridge.js".to_owned()], BTreeSet::new());
    while let Some(file) = open.pop() {
        let text = anonymous.get(&file).await.expect(200).text();
        let (folder, _) = file.rsplit_once('/').unwrap();
        let imports = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("export "));
        for path in imports.filter_map(|line| line.split(['\'', '"']).find(|part| part.starts_with('.'))) {
            let mut steps: Vec<&str> = folder.split('/').collect();
            for step in path.split('/') {
                match step {
                    "." => {}
                    ".." => drop(steps.pop()),
                    name => steps.push(name),
                }
            }
            open.push(steps.join("/"));
        }
        assert!(named.contains(&file), "{file} is not in bridge.html");
        loaded.insert(file.clone());
        open.retain(|file| !loaded.contains(file));
    }
    assert!(loaded.len() > 25, "{loaded:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_answered_without_a_body() {
    let app = TestApp::start().await;
    let first = app.anonymous().get("/ui/icon.svg").await.expect(200);
    let tag = first.header("etag");
    app.anonymous().with_header("If-None-Match", &tag).get("/ui/icon.svg").await.expect(304);

    // On one connection: what follows the 304 is the next answer.
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let asked = format!(
        "GET /ui/icon.svg HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n\
         GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let (head, rest) = answers.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert!(rest.starts_with("HTTP/1.1 200"), "{}", rest.chars().take(80).collect::<String>());
    app.stop().await;
}
