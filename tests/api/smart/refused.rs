//! What is not granted, and how it is said.

use serde_json::{Value, json};
use vigia::clock::Clock;

use super::{BACK, FORM, Way, parameter, public, register, written};
use crate::helpers::{Place, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_sent_back_or_told_on_a_page() {
    let app = TestApp::start().await;
    let root = app.administrator().await;
    let scope = "launch/patient patient/Observation.rs patient/Observation.rs?category=vital-signs";
    let client = register(&root, &public(scope)).await;
    let way = Way::of(&app, &client, "launch/patient patient/Observation.rs");
    let long = "x".repeat(10_000);
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "unsupported_response_type"),
        (("state", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("aud", ""), "invalid_request"),
        (("aud", "https://elsewhere.example/fhir"), "invalid_request"),
        (("launch", "made-up"), "invalid_request"),
        (("scope", ""), "invalid_scope"),
        (("scope", "nonsense"), "invalid_scope"),
        (("scope", "patient/Observation.sr"), "invalid_scope"),
        (("scope", "patient/Observation.rs?date=2026"), "invalid_scope"),
        (("scope", "system/Observation.rs"), "invalid_scope"),
        (("scope", "user/Observation.rs"), "invalid_scope"),
        (("scope", long.as_str()), "invalid_scope"),
        (("prompt", "none"), "interaction_required"),
    ] {
        for post in [false, true] {
            let raw = way.request(&[change]);
            let reply = if post {
                app.anonymous().post_raw("/auth/authorize", FORM, raw).await
            } else {
                app.anonymous().get(&format!("/auth/authorize?{raw}")).await
            };
            let sent = reply.expect(303).header("location");
            assert!(sent.starts_with(&format!("{BACK}?")), "{sent}");
            assert_eq!(parameter(&sent, "error"), error, "{change:?}");
            assert_eq!(sent.contains("state="), change.0 != "state", "{sent}");
        }
    }
    // Whoever sent this gets no answer at an address of its own choice.
    for change in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "https://app.example/back/"),
        ("redirect_uri", "https://app.example/back?x=1"),
        ("redirect_uri", "https://app.example/Back"),
        ("redirect_uri", "https://app.example.evil.example/back"),
        ("redirect_uri", "https://app.example\u{3002}evil.example/back"),
        ("redirect_uri", "https://app.example/back\u{0}"),
        ("redirect_uri", "https://evil.example/?x=https://app.example/back"),
        ("state", long.as_str()),
    ] {
        let reply = app.anonymous().get(&format!("/auth/authorize?{}", way.request(&[change]))).await.expect(400);
        assert_eq!(reply.header("location"), "", "{change:?}");
        assert!(reply.header("content-type").starts_with("text/html"), "{change:?}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"));
    }
    let twice = format!("{}&client_id=x", way.request(&[]));
    app.anonymous().get(&format!("/auth/authorize?{twice}")).await.expect(400);
    let scripted = way.request(&[("redirect_uri", "https://app.example/back<script>")]);
    let page =
        app.anonymous().get(&format!("/auth/authorize?{scripted}&%3Cscript%3E=1&%3Cscript%3E=2")).await.expect(400);
    assert!(!page.text().contains("<script"), "{}", page.text());
    // Nothing was kept of all that, and a good one still works.
    way.ask().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_good_once_for_whoever_they_were_given_to() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let own = app.admit("r1", "Vega").await;
    let scope = "launch/patient offline_access patient/*.rs";
    let client = register(&root, &public(scope)).await;
    let way = Way::of(&app, &client, scope);
    let other = Way::of(&app, &register(&root, &public(scope)).await, scope);
    let mut metadata = public(scope);
    metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
    let confidential = Way::of(&app, &register(&root, &metadata).await, scope);

    let other_verifier = "x".repeat(43);
    let error = |told: Value| told["error"].as_str().unwrap_or_default().to_owned();
    for (change, status, expected) in [
        (vec![("code_verifier", "")], 400, "invalid_request"),
        (vec![("code_verifier", other_verifier.as_str())], 400, "invalid_grant"),
        (vec![("redirect_uri", "https://app.example/other")], 400, "invalid_grant"),
        (vec![("redirect_uri", "")], 400, "invalid_request"),
        (vec![("code", "made-up")], 400, "invalid_grant"),
        (vec![("client_id", "")], 401, "invalid_client"),
        (vec![("client_id", "nobody")], 401, "invalid_client"),
        (vec![("client_id", other.client.id.as_str())], 400, "invalid_grant"),
        (vec![("client_id", confidential.client.id.as_str())], 401, "invalid_client"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
        (vec![("grant_type", "")], 400, "invalid_request"),
        (vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], 400, "unauthorized_client"),
    ] {
        let code = way.agree(&nora, Some(&own)).await;
        let told = way.token(way.form(&code, &change)).await.expect(status).json();
        assert_eq!(error(told), expected, "{change:?}");
    }
    // In the address nothing is read: addresses are logged.
    let code = way.agree(&nora, Some(&own)).await;
    let path = format!("/auth/token?{}", way.form(&code, &[]));
    app.anonymous().post_raw(&path, FORM, "").await.expect(400);
    let told = way.token(way.form(&code, &[])).await.expect(200).json();
    let path = format!("/fhir/Patient?access_token={}", told["access_token"].as_str().unwrap());
    app.anonymous().get(&path).await.expect(401);

    // Of eight that come at once one is answered; and since somebody else had the code, what it got does not stand.
    let code = way.agree(&nora, Some(&own)).await;
    let eight = futures_util::future::join_all((0..8).map(|_| way.token(way.form(&code, &[])))).await;
    let winners: Vec<_> = eight.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!((winners.len(), eight.iter().filter(|reply| reply.status == 400).count()), (1, 7));
    app.bearer(winners[0].json()["access_token"].as_str().unwrap()).get("/fhir/Patient").await.expect(401);

    let code = way.agree(&nora, Some(&own)).await;
    clock.advance(61_000_000);
    assert_eq!(error(way.token(way.form(&code, &[])).await.expect(400).json()), "invalid_grant");

    // A refresh token is its client's alone; a confidential client must prove itself for it.
    let told = confidential.granted(&nora, Some(&own)).await;
    let refresh = |who: &str| {
        let token = told["refresh_token"].as_str().unwrap();
        written(&[("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", who)])
    };
    assert_eq!(error(way.token(refresh(&way.client.id)).await.expect(400).json()), "invalid_grant");
    assert_eq!(error(way.token(refresh("")).await.expect(401).json()), "invalid_client");
    let mut wrong = confidential.client.clone();
    wrong.secret = Some("guess".into());
    let refused = super::token(&app, &wrong, refresh("")).await.expect(401);
    assert_eq!(
        (error(refused.json()).as_str(), refused.header("www-authenticate").as_str()),
        ("invalid_client", "Basic realm=\"vigia\"")
    );
    confidential.token(refresh("")).await.expect(200);
    app.stop().await;
}
