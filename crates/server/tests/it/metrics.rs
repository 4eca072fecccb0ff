//! Metrics over HTTP: what a page tells of what has happened, its format, and what is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use sixpack_engine::{NAMES_MAX, Name};
use sixpack_server::{MetricsSettings, ServerSettings, serve_metrics};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read, settings, within};
use crate::place::KIND;

/// Numbers of the store that hold for longer than any test takes.
const FOR_LONG: Duration = Duration::from_secs(3_600);

/// A server with metrics on an address of their own.
struct Watched {
    server: ApiServer,
    settings: ServerSettings,
}

/// Where metrics are answered, until it is dropped.
struct Metrics {
    url: String,
    _stop: DropGuard,
}

impl Watched {
    async fn start() -> Self {
        let settings = settings();
        Self { server: ApiServer::start_with(settings.clone()).await, settings }
    }

    async fn metrics(&self, edit: impl FnOnce(&mut MetricsSettings)) -> Metrics {
        let mut of = MetricsSettings::of(self.settings.edge.counters.clone());
        edit(&mut of);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(serve_metrics(listener, self.server.engine.clone(), of, stop.clone()));
        Metrics { url, _stop: stop.drop_guard() }
    }

    async fn page(&self) -> Page {
        self.metrics(|of| of.census_holds = Duration::ZERO).await.page().await
    }

    /// A page as soon as it is as wanted.
    async fn page_with(&self, wanted: impl Fn(&Page) -> bool) -> Page {
        let metrics = self.metrics(|of| of.census_holds = Duration::ZERO).await;
        let reading = async {
            loop {
                let page = metrics.page().await;
                if wanted(&page) {
                    return page;
                }
                tokio::task::yield_now().await;
            }
        };
        within(reading).await
    }
}

impl Metrics {
    async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }

    async fn page(&self) -> Page {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Page::read(answer.text().await.unwrap())
    }
}

/// A page that was read, and found to be as the format has it.
struct Page {
    text: String,
    series: BTreeMap<String, f64>,
}

impl Page {
    fn read(text: String) -> Self {
        let mut series = BTreeMap::new();
        let mut families = BTreeSet::new();
        let mut family = (String::new(), String::new());
        let lines: Vec<&str> = text.strip_suffix("# EOF\n").expect("the page has its end").lines().collect();
        for line in lines {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, help] => {
                    assert!(families.insert(name.to_owned()) && !help.is_empty(), "{line}");
                    family = (name.to_owned(), String::new());
                }
                ["#", "TYPE", name, kind] => {
                    assert_eq!(name, family.0, "{line}");
                    family.1 = kind.to_owned();
                }
                _ => {
                    let (name, value) = line.rsplit_once(' ').expect("a series has a value");
                    let bare = name.split('{').next().unwrap_or_default();
                    let endings: &[&str] = match family.1.as_str() {
                        "counter" => &["_total"],
                        "gauge" => &[""],
                        "info" => &["_info"],
                        "histogram" => &["_bucket", "_count", "_sum"],
                        other => panic!("{other} in {line}"),
                    };
                    assert!(endings.iter().any(|end| bare == format!("{}{end}", family.0)), "{line}");
                    assert_eq!(name.contains('{'), name.ends_with('}'), "{line}");
                    let value: f64 = value.parse().unwrap();
                    assert!(series.insert(name.to_owned(), value).is_none(), "{line} is there twice");
                }
            }
        }
        let page = Self { text, series };
        page.histograms_add_up();
        page
    }

    fn histograms_add_up(&self) {
        for (name, count) in &self.series {
            let Some((bare, labels)) = name.split_once("_bucket{") else { continue };
            let labels = labels.strip_suffix("\"}").unwrap().split("\",");
            let (end, others): (Vec<_>, Vec<_>) = labels.partition(|label| label.starts_with("le="));
            let others: Vec<_> = others.iter().map(|label| format!("{label}\"")).collect();
            let braced = if others.is_empty() { String::new() } else { format!("{{{}}}", others.join(",")) };
            let all = self.series[&format!("{bare}_count{braced}")];
            assert!(*count <= all, "{name}");
            assert!(end != ["le=\"+Inf"] || *count == all, "{name}");
        }
    }

    #[track_caller]
    fn expect(&self, name: &str, value: f64) {
        assert_eq!(self.series.get(name), Some(&value), "{name} in\n{}", self.text);
    }

    fn of(&self, family: &str) -> usize {
        self.series.keys().filter(|name| name.starts_with(&format!("{family}{{"))).count()
    }
}

/// Asks for an account, holds it against a foreign fence, and gives it back; returns what must not be told.
async fn work(server: &ApiServer, consumer: &Api) -> Vec<String> {
    let admin = server.admin().await;
    let billing = manifest("billing", &[capability("account", &["produce", "undo"])]);
    let supplier = HandSupplier::open(&admin, &billing).await;
    let session = supplier.session.clone();
    supplier.serve();
    let ask = json!({"contract": "billing/account", "lease": {"ttl_s": 60}, "holder": "ci 4711"});
    let made = consumer.post("/v1/requests?wait_s=20", &ask).await.expect(201);
    let lease = &made["leases"][0];
    let path = format!("/v1/leases/{}", lease["id"].as_str().unwrap());
    consumer.post(&format!("{path}/renew"), &json!({"fence": 1})).await.refused(409, "lease_fenced");
    let release = json!({"fence": lease["fence"]});
    consumer.post(&format!("{path}/release"), &release).await.expect(200);
    consumer.get("/v1/leases/nothing").await.refused(404, "not_found");
    let dataset = lease["dataset"]["id"].as_str().unwrap();
    consumer.until(&format!("/v1/datasets/{dataset}"), |dataset| dataset["status"] == "gone").await;
    let texts = [&made["id"], &lease["id"], &lease["dataset"]["id"], &lease["dataset"]["output"]["id"]];
    let mut secret: Vec<String> = texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    secret.extend([session, "ci 4711".to_owned(), "sxp_".to_owned(), "by-hand".to_owned()]);
    secret
}

#[tokio::test]
async fn a_page_tells_what_has_happened_and_nothing_about_whom() {
    let watched = Watched::start().await;
    let consumer = watched.server.consumer().await;
    let secret = work(&watched.server, &consumer).await;
    let done = "environment=\"default\",capability=\"billing/account\",outcome=\"done\"";
    let done = format!("sixpack_tasks_ended_total{{{done}}}");
    // Whoever reads what is undone may be told before the attempt is counted.
    let page = watched.page_with(|page| page.series.get(&done) == Some(&2.0)).await;
    for text in secret {
        assert!(!page.text.contains(&text), "{text} is in\n{}", page.text);
    }
    let renew = "route=\"/v1/leases/{id}/renew\",method=\"POST\"";
    for (name, value) in [
        (format!("sixpack_http_requests_total{{{renew},status=\"409\"}}"), 1.0),
        (format!("sixpack_http_request_duration_seconds_count{{{renew}}}"), 1.0),
        ("sixpack_http_requests_total{route=\"/v1/requests\",method=\"POST\",status=\"201\"}".into(), 1.0),
        ("sixpack_http_refused_total{code=\"lease_fenced\"}".into(), 1.0),
        ("sixpack_http_refused_total{code=\"not_found\"}".into(), 1.0),
        ("sixpack_requests_accepted_total{environment=\"default\"}".into(), 1.0),
        ("sixpack_requests_ended_total{environment=\"default\",status=\"fulfilled\"}".into(), 1.0),
        ("sixpack_leases_granted_total{environment=\"default\"}".into(), 1.0),
        ("sixpack_leases_ended_total{environment=\"default\",how=\"released\"}".into(), 1.0),
        ("sixpack_lease_fenced_total{operation=\"renew\"}".into(), 1.0),
        ("sixpack_lease_fenced_total{operation=\"extend\"}".into(), 0.0),
        (
            "sixpack_task_duration_seconds_count{environment=\"default\",capability=\"billing/account\"}"
                .into(),
            2.0,
        ),
        (
            "sixpack_task_wait_seconds_count{environment=\"default\",capability=\"billing/account\"}".into(),
            2.0,
        ),
        ("sixpack_requests_open".into(), 0.0),
        ("sixpack_supplier_sessions{environment=\"default\",domain=\"billing\"}".into(), 1.0),
        ("sixpack_debts".into(), 0.0),
        ("sixpack_store_counted".into(), 1.0),
    ] {
        page.expect(&name, value);
    }
    assert_eq!(page.of("sixpack_leases_held"), 0);
    assert!(page.series["sixpack_store_size_bytes"] > 0.0);
    assert!(page.series["sixpack_store_commit_duration_seconds_count"] > 0.0);
    assert!(page.text.contains(&format!("store=\"{KIND}\"")));
    // The supplier waits for its next task.
    assert!(page.series["sixpack_http_parked"] <= 1.0);
}

#[tokio::test]
async fn stock_is_told_by_rule() {
    let watched = Watched::start().await;
    let admin = watched.server.admin().await;
    let shop = manifest("shop", &[capability("customer", &["produce", "undo"])]);
    HandSupplier::open(&admin, &shop).await.serve();
    let rule = json!({"contract": "shop/customer", "target": 2});
    let put = admin.request(reqwest::Method::PUT, "/v1/environments/default/stock-rules/customers");
    read(put.json(&rule)).await.expect(201);
    let path = "/v1/environments/default/stock-rules/customers";
    admin.until(path, |rule| rule["stock"]["ready"] == 2).await;
    let of = "{environment=\"default\",rule=\"customers\"}";
    // The line is looked at once more behind what came into it.
    let ready = format!("sixpack_stock_ready{of}");
    let page = watched.page_with(|page| page.series.get(&ready) == Some(&2.0)).await;
    page.expect(&format!("sixpack_stock_target{of}"), 2.0);
    page.expect(&format!("sixpack_stock_lacking{of}"), 0.0);
    page.expect("sixpack_requests_ended_total{environment=\"default\",status=\"stocked\"}", 2.0);
}

#[tokio::test]
async fn the_store_is_counted_once_in_a_while_however_often_a_page_is_asked_for() {
    let watched = Watched::start().await;
    let (seldom, often) = (
        watched.metrics(|of| of.census_holds = FOR_LONG).await,
        watched.metrics(|of| of.census_holds = Duration::ZERO).await,
    );
    let supplier = "sixpack_supplier_sessions{environment=\"default\",domain=\"shop\"}";
    assert_eq!(seldom.page().await.series.get(supplier), None);
    let admin = watched.server.admin().await;
    HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce"])])).await;
    for _ in 0..3 {
        assert_eq!(seldom.page().await.series.get(supplier), None);
    }
    often.page().await.expect(supplier, 1.0);
}

#[tokio::test]
async fn names_beyond_the_limit_are_one_series() {
    let watched = Watched::start().await;
    for number in 0..NAMES_MAX + 50 {
        let name = format!("qa{number}");
        watched.server.engine.measures().accepted.of(Name::place(&name)).add_one();
    }
    let page = watched.page().await;
    assert_eq!(page.of("sixpack_requests_accepted_total"), NAMES_MAX + 1);
    page.expect("sixpack_requests_accepted_total{environment=\"other\"}", 50.0);
}

#[tokio::test]
async fn nothing_but_metrics_is_there_and_only_for_its_own_names() {
    let watched = Watched::start().await;
    let metrics = watched.metrics(|of| of.hosts = vec!["127.0.0.1".to_owned()]).await;
    for (path, status) in [("/", 404), ("/v1/requests", 404), ("/livez", 404), ("/metrics", 200)] {
        assert_eq!(metrics.get(path).await.status(), status, "{path}");
    }
    let client = reqwest::Client::new();
    let posted = client.post(format!("{}/metrics", metrics.url)).send().await.unwrap();
    assert_eq!(posted.status(), 405);
    let foreign = client.get(format!("{}/metrics", metrics.url)).header("host", "evil.test");
    assert_eq!(foreign.send().await.unwrap().status(), 421);
}
