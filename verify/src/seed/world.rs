//! The world that is seeded: domains with capabilities of every manner, and scenarios across them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sixpack::{About, Context, DynamicCapability, Owner, RetryRule, Running, Stop, Supplier, Verdict};

use crate::api::Api;

/// Domains, each of a team of its own; how many of them there are decides how many contracts.
const DOMAINS: [&str; 25] = [
    "customer",
    "billing",
    "delivery",
    "catalog",
    "pricing",
    "payment",
    "invoice",
    "identity",
    "loyalty",
    "inventory",
    "shipping",
    "returns",
    "fraud",
    "ledger",
    "tax",
    "notification",
    "search",
    "subscription",
    "support",
    "claims",
    "wallet",
    "consent",
    "address",
    "partner",
    "reporting",
];

/// What every domain keeps.
const NOUNS: [&str; 4] = ["account", "profile", "agreement", "statement"];

/// The states of a thing, and the manner in which its service behaves.
const STATES: [(&str, Manner); 8] = [
    ("active", Manner::Checked),
    ("open", Manner::Quick),
    ("blocked", Manner::Refuses),
    ("verified", Manner::Stumbles),
    ("migrated", Manner::Waits),
    ("archived", Manner::Sticks),
    ("premium", Manner::Drifts),
    ("closed", Manner::Quick),
];

/// Scenarios of every domain, with the state that their second step asks for.
const SCENARIOS: [(&str, &str); 8] = [
    ("first-purchase", "open"),
    ("returning-buyer", "active"),
    ("cancelled-plan", "closed"),
    ("refunded-purchase", "open"),
    ("disputed-payment", "blocked"),
    ("gift-sent", "open"),
    ("trial-ended", "closed"),
    ("upgraded-plan", "active"),
];

/// Domains that all others build on, the first.
const CORE: usize = 8;

/// Contracts of one domain.
pub(super) const CONTRACTS_EACH: usize = NOUNS.len() * STATES.len() + SCENARIOS.len();

/// What is at least and at most made of a world.
pub(super) const CONTRACTS: std::ops::RangeInclusive<usize> = CONTRACTS_EACH..=CONTRACTS_EACH * DOMAINS.len();

/// Tasks that a supplier performs at one time: all that a claim brings.
const HANDLERS: usize = 256;

/// How a service behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It makes the state at once, and keeps nothing that has to be undone.
    Quick,
    /// It takes a moment, can be asked, and can undo.
    Checked,
    /// It says no to one country.
    Refuses,
    /// It fails twice before it does it.
    Stumbles,
    /// Its external process takes hours.
    Waits,
    /// It cannot undo what it has made.
    Sticks,
    /// Some of what it has made does not hold any more, once it was told to.
    Drifts,
}

/// What has changed in a new build of a supplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// Nothing: it is the first.
    First,
    /// It takes one more property.
    Wider,
    /// Its output has another name.
    Renamed,
}

/// The domains of one world.
pub(super) struct World {
    api: Api,
    domains: usize,
    /// From now on the premium things of some customers are gone.
    drifting: Arc<AtomicBool>,
}

impl World {
    /// As many domains as it takes for so many contracts.
    pub(super) fn new(api: &Api, contracts: usize) -> Self {
        Self { api: api.clone(), domains: contracts.div_ceil(CONTRACTS_EACH), drifting: Arc::default() }
    }

    /// The domains by name.
    pub(super) fn domains(&self) -> &'static [&'static str] {
        &DOMAINS[..self.domains]
    }

    /// Has data in stock drift away.
    pub(super) fn drift(&self) {
        self.drifting.store(true, Ordering::Relaxed);
    }

    /// A supplier of one domain, in this build, which is running.
    pub(super) async fn supplier(&self, domain: &str, build: Build) -> anyhow::Result<Running> {
        self.start(self.described(domain, build)).await
    }

    /// The same in a channel, beside the deployed one.
    pub(super) async fn supplier_in(&self, domain: &str, channel: &str) -> anyhow::Result<Running> {
        self.start(self.described(domain, Build::Wider).dev(channel)).await
    }

    async fn start(&self, supplier: Supplier) -> anyhow::Result<Running> {
        let mut running = supplier.start()?;
        running.ready().await?;
        Ok(running)
    }

    fn described(&self, domain: &str, build: Build) -> Supplier {
        let number = DOMAINS.iter().position(|known| *known == domain).unwrap_or_default();
        let mut supplier = Supplier::new(domain)
            .url(format!("http://{}", self.api.address()))
            .token(self.api.token())
            .owner(owner(domain))
            .build(format!("git:{:07x}", 0x1a2_b3c4 + number * 7919 + build as usize))
            .concurrency(HANDLERS);
        for noun in NOUNS {
            for (state, manner) in STATES {
                supplier = supplier.dynamic(self.capability(domain, noun, (state, manner), build));
            }
        }
        supplier
    }

    fn capability(
        &self,
        domain: &str,
        noun: &str,
        (state, manner): (&str, Manner),
        build: Build,
    ) -> DynamicCapability {
        let about = About::new(describe(domain, noun, state, manner))
            .label("tier", if manner == Manner::Quick { "standard" } else { "special" })
            .label("pii", if noun == "profile" { "personal" } else { "none" })
            .fresh_for(Duration::from_secs(if manner == Manner::Drifts { 1 } else { 3_600 }))
            .retry(RetryRule::attempts(4).delays_ms(20, 200));
        let out = if build == Build::Renamed && state == "open" { "key" } else { "id" };
        let prefix = format!("{}-{}", &domain[..2], &noun[..2]);
        let capability = DynamicCapability::new(format!("{state}-{noun}"), move |cx, input| {
            produce(manner, format!("{prefix}-{}", cx.unique()), out, cx, input)
        })
        .about(about)
        .input_schema(input_schema(build))
        .output_schema(output_schema(domain, noun, out));
        let capability = match manner {
            Manner::Checked | Manner::Drifts => {
                let drifting = Arc::clone(&self.drifting);
                capability
                    .facts_schema(
                        json!({ "type": "object", "properties": { "status": { "type": "string" } } }),
                    )
                    .with_check(move |cx, _input, _output| check(manner, Arc::clone(&drifting), cx))
            }
            _ => capability,
        };
        match manner {
            Manner::Quick | Manner::Waits => capability,
            _ => capability.with_undo(move |cx, _input, _output| undo(manner, cx)),
        }
    }

    /// The files of all scenarios.
    pub(super) fn scenarios(&self) -> Vec<Value> {
        let all = self.domains().iter().enumerate();
        let file = |(number, domain): (usize, &&str), place: usize| {
            let (name, second) = SCENARIOS[place];
            // Everybody builds on the few at the core, and those on the ones before them: nobody goes in circles.
            let other = |by: usize| DOMAINS[(number + by * (place + 3)) % number.clamp(1, CORE)];
            let nouns = [0, 1, 2].map(|by| NOUNS[(place + by) % NOUNS.len()]);
            let (one, two, three) = (domain, other(1), other(2));
            let text = format!(
                "scenario: {domain}/{name}\n\
                 owner: {{ team: {team}, contact: {domain}@shop.test }}\n\
                 description: {title} across {one}, {two} and {three}, as {domain} needs it for its tests.\n\
                 input:\n  type: object\n  properties:\n    country: {{ type: string, enum: [CZ, FR, DE], default: FR }}\n\
                 steps:\n  first: {{ uses: {one}/active-{first}, with: {{ country: \"${{{{ input.country }}}}\" }} }}\n  \
                 second: {{ uses: {two}/{second}-{middle}, with: {{ country: \"${{{{ input.country }}}}\", after: \"${{{{ steps.first.id }}}}\" }} }}\n  \
                 third: {{ uses: {three}/closed-{last}, with: {{ after: \"${{{{ steps.second.id }}}}\" }} }}\n\
                 output:\n  id: \"${{{{ steps.third.id }}}}\"\n  first_id: \"${{{{ steps.first.id }}}}\"\n",
                team = team(domain),
                title = capitalised(&name.replace('-', " ")),
                first = nouns[0],
                middle = nouns[1],
                last = nouns[2],
            );
            json!({ "path": format!("{domain}-{name}.yaml"), "text": text })
        };
        all.flat_map(|at| (0..SCENARIOS.len()).map(move |place| file(at, place))).collect()
    }
}

/// A scenario of a domain; any number names one.
pub(super) fn scenario(domain: &str, number: usize) -> String {
    format!("{domain}/{}", SCENARIOS[number % SCENARIOS.len()].0)
}

/// The noun of a number.
pub(super) fn noun(number: usize) -> &'static str {
    NOUNS[number % NOUNS.len()]
}

async fn produce(
    manner: Manner,
    key: String,
    out: &'static str,
    cx: Context,
    input: Value,
) -> Result<Value, Stop> {
    match manner {
        Manner::Refuses if input["country"] == "DE" => {
            return Err(cx.reject(
                "country_closed",
                "nothing can be blocked in DE until Monday: the regulator is asked first",
            ));
        }
        Manner::Stumbles if cx.attempt() < 3 => {
            return Err(cx.retry("busy", format!("the service is busy, attempt {}", cx.attempt())));
        }
        Manner::Waits => {
            return Err(cx.again_after(
                Duration::from_secs(3_600),
                1,
                "the nightly migration has not run yet",
            ));
        }
        Manner::Checked => tokio::time::sleep(Duration::from_millis(cx.seed() % 60)).await,
        _ => {}
    }
    Ok(json!({ out: key, "secret": format!("pin-{}", cx.seed() % 10_000) }))
}

async fn check(manner: Manner, drifting: Arc<AtomicBool>, cx: Context) -> Result<Verdict<Value>, Stop> {
    // One in four, so that what is asked about is not doubted.
    let is_gone = manner == Manner::Drifts && drifting.load(Ordering::Relaxed) && cx.seed().is_multiple_of(4);
    Ok(match is_gone {
        true => Verdict::invalid(json!({ "status": "ENDED" }), "it was ended by a nightly run"),
        false => Verdict::valid(json!({ "status": "ACTIVE" })),
    })
}

async fn undo(manner: Manner, cx: Context) -> Result<(), Stop> {
    match manner {
        Manner::Sticks => {
            Err(cx.reject("in_archive", "what is archived is removed by a person: open a ticket"))
        }
        _ => Ok(()),
    }
}

fn input_schema(build: Build) -> Value {
    let mut properties = json!({
        "country": { "type": "string", "enum": ["CZ", "FR", "DE"], "default": "FR", "description": "Where it is kept" },
        "after": { "type": "string", "description": "What it follows" },
    });
    if build == Build::Wider {
        properties["language"] = json!({ "type": "string", "description": "In which it is written" });
    }
    json!({ "type": "object", "properties": properties })
}

fn output_schema(domain: &str, noun: &str, out: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            out: { "type": "string", "x-entity": format!("{domain}-{noun}") },
            "secret": { "type": "string", "x-secret": true },
        },
        "required": [out],
    })
}

fn describe(domain: &str, noun: &str, state: &str, manner: Manner) -> String {
    let how = match manner {
        Manner::Quick => "made at once, and forgotten when the lease ends",
        Manner::Checked => "checked at hand-over, and undone when the lease ends",
        Manner::Refuses => "not in DE",
        Manner::Stumbles => "takes some attempts",
        Manner::Waits => "there once the nightly migration has run",
        Manner::Sticks => "removed by a person in the end",
        Manner::Drifts => "checked each time, because nightly runs end some",
    };
    let article = if "aeiou".contains(&state[..1]) { "An" } else { "A" };
    format!("{article} {state} {noun} of {domain}: {how}")
}

fn owner(domain: &str) -> Owner {
    Owner::new(team(domain))
        .contact(format!("{domain}@shop.test"))
        .issues(format!("https://issues.shop.test/{domain}"))
}

fn team(domain: &str) -> String {
    capitalised(domain)
}

fn capitalised(text: &str) -> String {
    format!("{}{}", text[..1].to_uppercase(), &text[1..])
}
