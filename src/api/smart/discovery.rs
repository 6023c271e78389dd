//! What apps find this server by: `.well-known` addresses and public keys. For everybody, without credentials.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::Shared;
use super::super::reply::Answer;
use crate::auth::access::scope::OTHER_SCOPES;

/// SMART App Launch 2.2, conformance.
const CAPABILITIES: [&str; 18] = [
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];
const RESOURCE_SCOPES: [&str; 6] =
    ["patient/*.cruds", "patient/*.rs", "user/*.cruds", "user/*.rs", "system/*.cruds", "system/*.rs"];

fn scopes() -> Vec<&'static str> {
    OTHER_SCOPES.into_iter().chain(RESOURCE_SCOPES).collect()
}

/// SMART's configuration.
#[utoipa::path(get, path = "/fhir/.well-known/smart-configuration", tag = "smart", responses((status = 200)))]
pub(crate) async fn smart(state: Shared) -> Answer {
    let at = |path: &str| format!("{}{path}", state.settings.public_url);
    Ok(HttpResponse::Ok().json(json!({
        "issuer": state.settings.public_url,
        "jwks_uri": at("/auth/jwks"),
        "authorization_endpoint": at("/auth/authorize"),
        "token_endpoint": at("/auth/token"),
        "introspection_endpoint": at("/auth/introspect"),
        "revocation_endpoint": at("/auth/revoke"),
        "management_endpoint": at("/apps"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": scopes(),
        "capabilities": CAPABILITIES
    })))
}

/// `OpenID` Connect's.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "smart", responses((status = 200)))]
pub(crate) async fn openid(state: Shared) -> Answer {
    let at = |path: &str| format!("{}{path}", state.settings.public_url);
    Ok(HttpResponse::Ok().json(json!({
        "issuer": state.settings.public_url,
        "jwks_uri": at("/auth/jwks"),
        "authorization_endpoint": at("/auth/authorize"),
        "token_endpoint": at("/auth/token"),
        "introspection_endpoint": at("/auth/introspect"),
        "revocation_endpoint": at("/auth/revoke"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": scopes(),
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "profile"]
    })))
}

/// Public keys: of id tokens (RSA), and of access tokens, which only this server needs to read.
#[utoipa::path(get, path = "/auth/jwks", tag = "smart", responses((status = 200, description = "A JSON Web Key Set")))]
pub(crate) async fn jwks(state: Shared, _: HttpRequest) -> Answer {
    let mut keys: Vec<Value> = Vec::new();
    for key in &state.smart.keys.public().await? {
        keys.push(serde_json::to_value(key).map_err(crate::error::Error::internal)?);
    }
    for key in state.verifier.keys().jwks() {
        keys.push(serde_json::to_value(key).map_err(crate::error::Error::internal)?);
    }
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "public, max-age=300")).json(json!({"keys": keys})))
}
