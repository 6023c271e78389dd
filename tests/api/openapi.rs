//! `/openapi.json`: the document that is checked in is the one that is served, and names every address.

use std::path::PathBuf;

use crate::helpers::TestApp;

#[test]
fn the_checked_in_document_is_the_one_of_the_code() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let document = vigia::api::openapi::document();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let same = kept == document;
    assert!(same, "openapi/openapi.json is out of date: UPDATE_OPENAPI=1 cargo test --test api openapi");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_are_served_to_callers() {
    let app = TestApp::start().await;
    let caller = app.machine("system/Observation.c");
    assert_eq!(caller.get("/openapi.json").await.expect(200).text(), vigia::api::openapi::document());
    assert_eq!(caller.get("/docs").await.expect(303).header("location"), "/docs/");
    assert!(caller.get("/docs/").await.expect(200).text().contains("swagger"));
    app.stop().await;
}
