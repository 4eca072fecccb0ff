//! Browsers: a token handed in once, a cookie that counts for our own pages only, and the page itself.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sixpack_model::token::Role;
use sixpack_server::ServerSettings;

use crate::api_server::{Api, ApiServer, read, settings};

/// Signs in as a browser does; answers the cookie to send from then on.
async fn sign_in(nobody: &Api, token: &str) -> String {
    let call = nobody.request(Method::PUT, "/v1/sign-in").header("sec-fetch-site", "same-origin");
    let reply = read(call.json(&json!({"token": token}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let cookie = reply.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

fn from(call: RequestBuilder, cookie: &str, site: &str) -> RequestBuilder {
    call.header("cookie", cookie).header("sec-fetch-site", site)
}

#[tokio::test]
async fn a_browser_that_signed_in_is_whoever_the_token_is() {
    let server = ApiServer::start().await;
    let nobody = server.client(None);
    let token = server.api(Role::Consumer, Some("staging"), None).await.secret.unwrap();
    let cookie = sign_in(&nobody, &token).await;
    let who =
        read(from(nobody.request(Method::GET, "/v1/sign-in"), &cookie, "same-origin")).await.expect(200);
    assert_eq!(who, json!({"name": "test consumer", "role": "consumer", "environment": "staging"}));
    let out = read(from(nobody.request(Method::DELETE, "/v1/sign-in"), &cookie, "same-origin")).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn a_cookie_counts_for_our_own_pages_only() {
    let server = ApiServer::start().await;
    let (nobody, admin) = (server.client(None), server.admin().await);
    let cookie = sign_in(&nobody, admin.secret.as_deref().unwrap()).await;
    for site in ["cross-site", "same-site"] {
        for (method, path) in [(Method::GET, "/v1/requests"), (Method::POST, "/v1/requests/x/cancel")] {
            read(from(nobody.request(method, path), &cookie, site)).await.refused(403, "foreign_page");
        }
    }
    let without_proof = nobody.request(Method::POST, "/v1/requests/x/cancel").header("cookie", &cookie);
    read(without_proof).await.refused(403, "foreign_page");
    let own = from(nobody.request(Method::POST, "/v1/requests/x/cancel"), &cookie, "same-origin");
    read(own).await.refused(404, "not_found");
    let foreign = nobody.request(Method::PUT, "/v1/sign-in").header("sec-fetch-site", "cross-site");
    read(foreign.json(&json!({"token": admin.secret.clone()}))).await.refused(403, "foreign_page");
    let wrong = nobody.request(Method::PUT, "/v1/sign-in").json(&json!({"token": "sxp_wrong"}));
    read(wrong).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_revoked_token_signs_its_browsers_out() {
    let server = ApiServer::start().await;
    let (nobody, admin) = (server.client(None), server.admin().await);
    let made = admin.post("/v1/tokens", &json!({"name": "ada", "role": "consumer"})).await.expect(201);
    let cookie = sign_in(&nobody, made["token"].as_str().unwrap()).await;
    let who = || from(nobody.request(Method::GET, "/v1/sign-in"), &cookie, "same-origin");
    read(who()).await.expect(200);
    admin.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await;
    read(who()).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn behind_tls_the_cookie_never_leaves_it() {
    let settings = ServerSettings { secure_cookies: true, ..settings() };
    let server = ApiServer::start_with(settings).await;
    let token = server.admin().await.secret.unwrap();
    let call = server.client(None).request(Method::PUT, "/v1/sign-in").json(&json!({"token": token}));
    let reply = read(call).await;
    assert!(reply.header("set-cookie").starts_with("__Host-sixpack=sxp_"), "{:?}", reply.headers);
    assert!(reply.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_a_server_without_tokens() {
    let settings = ServerSettings { insecure_dev: true, ..settings() };
    let server = ApiServer::start_with(settings).await;
    let nobody = server.client(None);
    assert_eq!(nobody.get("/v1/sign-in").await.expect(200)["name"], "insecure-dev");
    let foreign = nobody.request(Method::POST, "/v1/requests/x/cancel").header("origin", "http://evil.test");
    read(foreign).await.refused(403, "foreign_page");
}

#[tokio::test]
async fn every_address_of_the_application_answers_its_page_under_a_strict_policy() {
    let server = ApiServer::start().await;
    let nobody = server.client(None);
    for path in ["/", "/sign-in", "/settings", "/env/default/contracts/checkout/ready-customer?tab=code"] {
        let reply = nobody.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").starts_with("text/html"), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    }
    nobody.get("/assets/nothing.js").await.refused(404, "route_not_found");
    nobody.get("/nothing").await.refused(404, "route_not_found");
}
