//! A town to test in: an engine over a store of its own, with suppliers that do as they are told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sixpack_engine::{
    Applying, Assignment, Caller, Engine, EngineSettings, Receipt, Refusal, RequestView, ScenarioFile, Sweep,
    TaskAnswer, Wanted,
};
use sixpack_model::ids::{RequestId, SessionId, TokenId};
use sixpack_model::manifest::Manifest;
use sixpack_model::plan::Answer;
use sixpack_model::request::{Priority, Selection, Source};
use sixpack_model::token::Role;
use sixpack_model::tree::Verdict;
use sixpack_storage::{ManualClock, Store};
use uuid::Uuid;

use crate::place::Place;

/// Nothing in a test waits longer than this for something that must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Town {
    pub(crate) engine: Engine,
    pub(crate) clock: ManualClock,
    pub(crate) place: Place,
}

impl Town {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time"));
        let (place, clock) = Place::new(clock).await;
        let engine = open(&place, &clock).await;
        Self { engine, clock, place }
    }

    /// The same town after the server was started anew.
    pub(crate) async fn restarted(self) -> Self {
        let Self { engine, clock, place } = self;
        drop(engine);
        let engine = open(&place, &clock).await;
        Self { engine, clock, place }
    }

    /// The store as a server leaves it that is killed: what happens in it is noticed by nobody.
    pub(crate) async fn while_down(self, happened: impl AsyncFnOnce(Arc<dyn Store>)) -> Self {
        let Self { engine, clock, place } = self;
        drop(engine);
        happened(place.store(&clock).await).await;
        let engine = open(&place, &clock).await;
        Self { engine, clock, place }
    }

    pub(crate) fn consumer(&self) -> Caller {
        caller(1, Role::Consumer)
    }

    pub(crate) fn supplier(&self) -> Caller {
        caller(2, Role::Supplier)
    }

    /// Opens a session of a domain with these capabilities.
    pub(crate) async fn connect(&self, domain: &str, capabilities: &[Value]) -> SessionId {
        self.connect_as(domain, "one", capabilities).await.expect("the manifest is accepted").id
    }

    pub(crate) async fn connect_as(
        &self,
        domain: &str,
        instance: &str,
        capabilities: &[Value],
    ) -> Result<sixpack_engine::Opened, Refusal> {
        self.open(manifest(domain, instance, capabilities)).await
    }

    /// Opens a session of a domain in the name of a team.
    pub(crate) async fn connect_of(
        &self,
        domain: &str,
        team: &str,
        capabilities: &[Value],
    ) -> Result<sixpack_engine::Opened, Refusal> {
        let mut manifest = manifest(domain, "one", capabilities);
        manifest["owner"]["team"] = json!(team);
        self.open(manifest).await
    }

    /// Opens a session in a channel.
    pub(crate) async fn develop(
        &self,
        channel: &str,
        domain: &str,
        capabilities: &[Value],
    ) -> Result<sixpack_engine::Opened, Refusal> {
        let mut manifest = manifest(domain, "one", capabilities);
        manifest["mode"] = json!("dev");
        manifest["channel"] = json!(channel);
        self.open(manifest).await
    }

    async fn open(&self, manifest: Value) -> Result<sixpack_engine::Opened, Refusal> {
        let manifest = Manifest::parse(&manifest).expect("the test's manifest is whole");
        self.engine.open_session(&self.supplier(), manifest).await
    }

    pub(crate) async fn apply(&self, yaml: &str) {
        let files = [ScenarioFile { path: "test.yaml".to_owned(), text: yaml.to_owned(), named: None }];
        let applied = self.engine.apply(&self.supplier(), "default", &files, Applying::default()).await;
        applied.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    }

    pub(crate) async fn ask(&self, contract: &str, input: Value) -> RequestId {
        self.ask_for(wanted(contract, input)).await.expect("the request is accepted")
    }

    pub(crate) async fn ask_for(&self, wanted: Wanted) -> Result<RequestId, Refusal> {
        self.engine.create_request(&self.consumer(), wanted).await.map(|made| made.id)
    }

    pub(crate) async fn request(&self, id: RequestId) -> RequestView {
        self.engine.request(&self.consumer(), id).await.expect("the request is there")
    }

    /// Takes whatever is ready for the session, without waiting.
    pub(crate) async fn claim(&self, session: SessionId) -> Vec<Assignment> {
        let claimed = self.engine.claim(&self.supplier(), session, 100, Duration::ZERO).await;
        claimed.expect("the session is live")
    }

    /// Takes the one task that is ready for the session.
    pub(crate) async fn claim_one(&self, session: SessionId) -> Assignment {
        let mut tasks = self.claim(session).await;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.remove(0)
    }

    pub(crate) async fn answer(&self, session: SessionId, task: &Assignment, answer: Answer) -> Receipt {
        let answer = TaskAnswer { task: task.task, attempt: task.attempt, answer };
        let (mut receipts, tasks) = self
            .engine
            .answer(&self.supplier(), session, vec![answer], 0)
            .await
            .expect("the session is known");
        assert!(tasks.is_empty(), "none was asked for: {tasks:?}");
        receipts.remove(0)
    }

    /// Answers, and takes up to `max` tasks with the receipt.
    pub(crate) async fn answer_for_more(
        &self,
        session: SessionId,
        task: &Assignment,
        answer: Answer,
        max: u32,
    ) -> (Receipt, Vec<Assignment>) {
        let answer = TaskAnswer { task: task.task, attempt: task.attempt, answer };
        let answered = self.engine.answer(&self.supplier(), session, vec![answer], max).await;
        let (mut receipts, tasks) = answered.expect("the session is known");
        (receipts.remove(0), tasks)
    }

    /// Claims one task after the other and answers each as if all went well, until there is nothing to do.
    pub(crate) async fn serve(&self, session: SessionId) -> Vec<String> {
        let mut served = Vec::new();
        loop {
            let tasks = self.claim(session).await;
            if tasks.is_empty() {
                return served;
            }
            for task in tasks {
                served.push(format!("{} {}", task.operation.name(), task.contract));
                let answer = well(&task);
                assert_eq!(self.answer(session, &task, answer).await, Receipt::Recorded);
            }
        }
    }

    /// Runs every sweep once.
    pub(crate) async fn sweep(&self) {
        for sweep in Sweep::ALL {
            self.engine.sweep(sweep).await.expect("a sweep goes through");
        }
    }

    /// Lets time pass, with the session alive all the while, and sweeps.
    pub(crate) async fn pass_s(&self, seconds: i64, alive: &[SessionId]) {
        for _ in 0..seconds {
            self.clock.advance_ms(1_000);
            for session in alive {
                self.engine.heartbeat(&self.supplier(), *session, &[]).await.expect("the session is alive");
            }
        }
        self.sweep().await;
    }
}

pub(crate) async fn open(place: &Place, clock: &ManualClock) -> Engine {
    Engine::start(place.store(clock).await, EngineSettings::default()).await.expect("the engine starts")
}

fn caller(number: u128, role: Role) -> Caller {
    Caller {
        token: TokenId(Uuid::from_u128(number)),
        name: "tester".to_owned(),
        role,
        environment: None,
        domain: None,
    }
}

fn manifest(domain: &str, instance: &str, capabilities: &[Value]) -> Value {
    json!({
        "environment": "default",
        "domain": domain,
        "instance": instance,
        "owner": { "team": domain, "contact": format!("{domain}@shop.test") },
        "capabilities": capabilities,
    })
}

/// The same wish, in a channel.
pub(crate) fn within(channel: &str, wanted: Wanted) -> Wanted {
    Wanted { channel: Some(channel.to_owned()), ..wanted }
}

pub(crate) fn wanted(contract: &str, input: Value) -> Wanted {
    Wanted {
        environment: "default".to_owned(),
        units: vec![(contract.parse().expect("a name"), input)],
        listed: false,
        source: Source::Fresh,
        selection: Selection::default(),
        ttl_ms: 60_000,
        holder: String::new(),
        timeout_ms: 300_000,
        priority: Priority::Pipeline,
        channel: None,
        idempotency: None,
    }
}

/// A capability that makes `{"id": text}`.
pub(crate) fn capability(name: &str, operations: &[&str]) -> Value {
    json!({
        "name": name,
        "input": { "type": "object" },
        "output": {
            "type": "object",
            "properties": { "id": { "type": "string", "x-entity": name } },
            "required": ["id"],
        },
        "operations": operations,
        "retry": { "max_attempts": 3, "first_delay_ms": 100, "max_delay_ms": 1000 },
    })
}

/// The same with other settings.
pub(crate) fn with(mut capability: Value, settings: Value) -> Value {
    for (key, value) in settings.as_object().expect("settings are an object") {
        capability[key] = value.clone();
    }
    capability
}

pub(crate) fn made(id: &str) -> Answer {
    Answer::Produced { output: json!({ "id": id }), facts: None }
}

pub(crate) fn refused(retryable: bool) -> Answer {
    Answer::Failed {
        retryable,
        code: "no".to_owned(),
        message: "the domain says no".to_owned(),
        details: None,
    }
}

pub(crate) fn well(task: &Assignment) -> Answer {
    match task.operation.name() {
        "produce" => made(&task.idempotency_key),
        "check" => Answer::Checked { verdict: Verdict::Valid, facts: Some(json!({})), message: None },
        _ => Answer::Undone,
    }
}

pub(crate) const ALL: &[&str] = &["produce", "check", "undo"];

/// Two steps, one after the other.
pub(crate) const PAIR: &str = r#"
scenario: shop/pair
owner: { team: Shop, contact: shop@shop.test }
steps:
  first:  { uses: a/first, with: {} }
  second: { uses: b/second, with: { of: "${{ steps.first.id }}" } }
output:
  first: "${{ steps.first.id }}"
  second: "${{ steps.second.id }}"
"#;

/// A town with both suppliers connected and the pair applied.
pub(crate) async fn with_pair() -> (Town, SessionId, SessionId) {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    let b = town.connect("b", &[capability("second", ALL)]).await;
    town.apply(PAIR).await;
    (town, a, b)
}
