//! Bad names and texts on the routes of the API: what is refused where, and in what form the rest is kept.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, HandSupplier, capability, manifest, read};
use crate::log;
use crate::witness::Witness;

/// What is no name: not of a domain, a contract, an environment or an instance.
const NO_NAMES: &[&str] = &[
    "",
    " ",
    " a",
    "a ",
    "a\t",
    "a\n",
    "a\r\nb",
    "\u{a0}a",
    "A",
    "CON",
    "nul",
    "con",
    "aux",
    "prn",
    "com1",
    "lpt9",
    "nul.txt",
    "-a",
    ".",
    "..",
    "a.",
    "a\\b",
    "a b",
    "%2e",
    "a%2fb",
    "a:b",
    "a*",
    "ä",
    "\u{430}dmin",
    "a\u{202e}b",
    "a\u{200b}",
    "a\u{ad}b",
    "\u{feff}a",
    "a\u{fffe}",
    "a\u{fdd0}",
    "a\u{e000}",
    "a\u{378}",
    "ａ",
    "👩\u{200d}🚀",
];

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce"])])
}

fn in_channel(channel: &str) -> Value {
    let mut manifest = accounts();
    manifest["mode"] = json!("dev");
    manifest["channel"] = json!(channel);
    manifest
}

#[tokio::test]
async fn what_is_no_name_is_refused_by_pattern_wherever_a_name_is_due() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    let names = NO_NAMES.iter().copied().chain(["a/b", too_long.as_str()]);
    for name in names {
        let with = |pointer: &str| {
            let mut manifest = accounts();
            *manifest.pointer_mut(pointer).unwrap() = json!(name);
            manifest
        };
        for (path, body, pointer) in [
            ("/v1/requests", json!({"contract": format!("{name}/account")}), "/contract"),
            ("/v1/requests", json!({"contract": format!("billing/{name}")}), "/contract"),
            ("/v1/requests", json!({"contract": "billing/account", "environment": name}), "/environment"),
            (
                "/v1/requests",
                json!({"items": [{"contract": format!("billing/{name}")}]}),
                "/items/0/contract",
            ),
            ("/v1/tokens", json!({"name": "a", "role": "consumer", "environment": name}), "/environment"),
            ("/v1/tokens", json!({"name": "a", "role": "supplier", "domain": name}), "/domain"),
            ("/v1/requests", json!({"contract": "billing/account", "channel": name}), "/channel"),
            ("/v1/sessions", in_channel(name), "/channel"),
            ("/v1/sessions", with("/environment"), "/environment"),
            ("/v1/sessions", with("/domain"), "/domain"),
            ("/v1/sessions", with("/instance"), "/instance"),
            ("/v1/sessions", with("/capabilities/0/name"), "/capabilities/0/name"),
        ] {
            // `a/b` makes one slash too many of a contract, and is no name elsewhere.
            let reply = witness.post(path, &body).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (422, "name_pattern"),
                "{body}: {}",
                reply.text
            );
            assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{body}: {}", reply.text);
            assert!(!reply.text.contains(['\u{202e}', '\u{200b}', '\u{feff}', '\u{ad}']), "{}", reply.text);
        }
    }
    let missing = json!({"contract": format!("{longest}/{longest}")});
    witness.post("/v1/requests", &missing).await.refused(404, "contract_not_found");
    witness.end().await;
}

#[tokio::test]
async fn a_device_of_windows_is_no_name_of_a_scenario_and_the_refusal_says_so() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
    let file = |name: &str, step: &str| {
        format!(
            "scenario: {name}\nowner: {{ team: T }}\nsteps: {{ {step}: {{ uses: billing/account }} }}\noutput: {{}}\n"
        )
    };
    for name in ["nul", "con", "aux", "prn", "com1", "lpt9", "nul.txt", "con.tar.gz"] {
        for contract in [format!("{name}/a"), format!("a/{name}")] {
            let text = file(&contract, "one");
            let path = format!("/v1/environments/default/scenarios/{contract}");
            let body = json!({"files": [{"path": "a.yaml", "text": text}]});
            let replies = [
                witness.put_yaml(&path, &text).await,
                witness.post("/v1/environments/default/apply", &body).await,
                witness.post(&format!("/v1/environments/{name}/apply"), &body).await,
                witness.post("/v1/requests", &json!({"contract": contract})).await,
            ];
            for reply in replies {
                assert_eq!(reply.status, 422, "{contract}: {}", reply.text);
                assert!(reply.text.contains("devices on Windows"), "{contract}: {}", reply.text);
            }
        }
    }
    witness.end().await;
    let path = "/v1/environments/default/scenarios/a/b";
    admin.put_yaml(path, &file("a/b", "nul")).await.expect(201);
}

#[tokio::test]
async fn a_name_in_a_path_is_found_as_it_is_written_or_not_at_all() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &accounts()).await;
    let contract = |domain: &str, name: &str| format!("/v1/environments/default/contracts/{domain}/{name}");
    admin.get(&contract("billing", "account")).await.expect(200);
    admin.get(&contract("b%69lling", "account")).await.expect(200);
    for name in ["Account", "account.", "account%20", "%20account", "account%2F", "acc%D0%BEunt", "CON"] {
        assert_eq!(admin.get(&contract("billing", name)).await.status, 404, "{name}");
    }
    for name in ["a%00", "a%ff", "a%2"] {
        admin.get(&contract("billing", name)).await.refused(400, "bad_encoding");
    }
    log::assert_harmless();
}

#[tokio::test]
async fn text_that_hides_or_steers_is_refused_wherever_people_write() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
    let long = "é".repeat(101);
    let lease = "/v1/leases/lease_00000000000000000000000000/release";
    for (text, code) in [
        ("a\u{202e}b", "bidi_or_invisible"),
        ("a\u{2066}b\u{2069}", "bidi_or_invisible"),
        ("a\u{200b}b", "bidi_or_invisible"),
        ("a\u{200d}b", "bidi_or_invisible"),
        ("a\u{ad}b", "bidi_or_invisible"),
        ("\u{feff}a", "bidi_or_invisible"),
        ("a\u{fdd0}", "noncharacter"),
        ("a\u{fffe}b", "noncharacter"),
        ("a\u{e000}b", "noncharacter"),
        ("a\u{1b}[31mb", "control_character"),
        ("a\u{1b}]52;c;eA==\u{7}", "control_character"),
        ("a\rb", "control_character"),
        ("a\u{85}b", "control_character"),
        ("a\u{2028}b", "control_character"),
        ("a\u{0}b", "nul_not_allowed"),
        (&long, "too_long"),
    ] {
        let with = |pointer: &str, name: &str| {
            let mut manifest = accounts();
            manifest.pointer_mut(pointer).unwrap()[name] = json!(text);
            manifest
        };
        let mut rows = vec![
            ("/v1/requests", json!({"contract": "billing/account", "holder": text}), "/holder"),
            ("/v1/tokens", json!({"name": text, "role": "consumer"}), "/name"),
            ("/v1/sessions", with("/owner", "team"), "/owner/team"),
        ];
        if code != "too_long" {
            rows.push((lease, json!({"fence": 1, "note": text}), "/note"));
            rows.push((
                "/v1/sessions",
                with("/capabilities/0", "description"),
                "/capabilities/0/description",
            ));
        }
        for (path, body, pointer) in rows {
            let reply = witness.post(path, &body).await;
            assert_eq!((reply.status, reply.code().as_str()), (422, code), "{body}: {}", reply.text);
            let fault = &reply.json()["errors"][0];
            assert_eq!(fault["pointer"], pointer, "{body}: {}", reply.text);
            let message = fault["message"].as_str().unwrap();
            assert!(code != "too_long" || message.contains("202 bytes") && message.contains("200 bytes"));
        }
    }
    witness.end().await;
}

#[tokio::test]
async fn a_text_is_kept_in_one_normal_form_and_found_in_both() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let serving = HandSupplier::open(&admin, &accounts()).await.serve();
    let (composed, decomposed) = ("Caf\u{e9}", "Cafe\u{301}");
    for holder in [composed, decomposed, "  Cafe\u{301} "] {
        let body = json!({"contract": "billing/account", "holder": holder});
        let made = admin.post("/v1/requests?wait_s=20", &body).await.expect(201);
        assert_eq!(made["leases"][0]["holder"], composed, "{holder:?}");
    }
    for encoded in ["Caf%C3%A9", "Cafe%CC%81"] {
        let found = admin.get(&format!("/v1/leases?holder={encoded}")).await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), 3, "{encoded}");
    }
    let token = json!({"name": decomposed, "role": "consumer"});
    assert_eq!(admin.post("/v1/tokens", &token).await.expect(201)["name"], composed);
    serving.abort();
}

#[tokio::test]
async fn pictures_and_wide_characters_are_accepted_up_to_the_limit_in_bytes() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let astronaut = "👩\u{200d}🚀";
    for name in [astronaut.repeat(18), "𝔘".repeat(50), "é".repeat(100), "❤\u{fe0f}\u{200d}🔥".to_owned()]
    {
        let made = admin.post("/v1/tokens", &json!({"name": name, "role": "consumer"})).await.expect(201);
        assert_eq!(made["name"], name.as_str());
    }
    for name in [astronaut.repeat(19), astronaut.repeat(200), "𝔘".repeat(51)] {
        let reply = admin.post("/v1/tokens", &json!({"name": name, "role": "consumer"})).await;
        reply.refused(422, "too_long");
        assert!(reply.text.contains("200 bytes"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_search_finds_every_spelling() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut capability = capability("account", &["produce"]);
    capability["description"] =
        json!("Stra\u{df}e \u{130}stanbul o\u{fb00}er Cr\u{e8}me \u{39f}\u{394}\u{39f}\u{3a3}");
    HandSupplier::open(&admin, &manifest("billing", &[capability])).await;
    let list = "/v1/environments/default/contracts";
    for words in [
        "stra\u{df}e",
        "STRASSE",
        "strasse",
        "\u{130}STANBUL",
        "istanbul",
        "ISTANBUL",
        "offer",
        "O\u{fb00}ER",
        "creme",
        "Cre\u{300}me",
        "\u{3bf}\u{3b4}\u{3bf}\u{3c2}",
        "\u{39f}\u{394}\u{39f}\u{3a3}",
    ] {
        let encoded: String = words.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = admin.get(&format!("{list}?q={encoded}")).await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{words}");
    }
    assert_eq!(admin.get(&format!("{list}?q=strase")).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn what_a_supplier_says_is_kept_as_it_was_and_steers_nothing_on_its_way() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let message = "\u{1b}[31mred \u{1b}]52;c;eA==\u{7}\rgone\nnext \u{202e}<img onerror=x>";
    let failed = json!({"outcome": "failed", "retryable": false, "code": "no", "message": message});
    supplier.perform("produce", failed).await;
    let reply = admin.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await;
    assert!(!reply.text.contains(['\u{1b}', '\u{7}', '\r', '\n']), "{:?}", reply.text);
    assert_eq!(reply.json()["failure"]["message"], message);
}

#[tokio::test]
async fn a_foreign_request_id_is_never_ours() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let long = "x".repeat(10_240);
    for theirs in ["theirs", "a b", "", long.as_str()] {
        let request = admin.request(Method::GET, "/v1/nothing").header("x-request-id", theirs);
        let reply = read(request.header("x-request-id", "another")).await;
        let ours = reply.header("x-request-id");
        assert_eq!(ours.len(), 36, "{theirs:.20}");
        assert_eq!(reply.json()["request_id"], ours, "{theirs:.20}");
        assert!(!reply.text.contains("theirs") && !reply.text.contains("another"), "{}", reply.text);
    }
}
