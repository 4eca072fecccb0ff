//! The manifest as the API description shows it; what is sent is read by the model, which tells every fault.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// What a supplier says about itself and its capabilities.
#[derive(ToSchema)]
#[schema(as = Manifest)]
#[expect(dead_code, reason = "it describes what the model reads")]
pub(super) struct ManifestJson {
    /// The revision of the supplier protocol; 1 when absent. One that the server does not speak is 409 `protocol`.
    #[schema(minimum = 1, maximum = 1)]
    protocol: Option<u32>,
    /// Created when it is new.
    #[schema(max_length = 63)]
    environment: String,
    #[schema(max_length = 63)]
    domain: String,
    /// Its own name: a second live deployed session with the same environment, domain and instance ends the first.
    #[schema(max_length = 63)]
    instance: String,
    /// `deployment`, also when absent, or `dev`: beside the deployed suppliers, for requests that name its channel.
    mode: Option<String>,
    /// Of a supplier under development, and required there: a second live session with the same environment, domain and
    /// channel ends the first.
    #[schema(max_length = 63)]
    channel: Option<String>,
    #[schema(max_length = 200)]
    build: Option<String>,
    owner: ManifestOwnerJson,
    sdk: Option<ManifestSdkJson>,
    /// Names are unique.
    #[schema(min_items = 1, max_items = 1000)]
    capabilities: Vec<CapabilityJson>,
}

/// The team that is responsible for the domain.
#[derive(ToSchema)]
#[schema(as = ManifestOwner)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct ManifestOwnerJson {
    #[schema(min_length = 1, max_length = 200)]
    team: String,
    /// Where to ask.
    #[schema(max_length = 200)]
    contact: Option<String>,
    /// Where to report: http or https.
    #[schema(max_length = 2000)]
    issues: Option<String>,
}

/// The library that a supplier speaks through.
#[derive(ToSchema)]
#[schema(as = ManifestSdk)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct ManifestSdkJson {
    #[schema(max_length = 200)]
    name: String,
    #[schema(max_length = 200)]
    version: String,
}

/// One state that the domain can make.
#[derive(ToSchema)]
#[schema(as = Capability)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct CapabilityJson {
    /// The contract is `domain/name`.
    #[schema(max_length = 63)]
    name: String,
    #[schema(max_length = 4000)]
    description: Option<String>,
    /// JSON Schema 2020-12 with references inside only.
    #[schema(value_type = Value)]
    input: serde_json::Value,
    /// JSON Schema 2020-12 with references inside only.
    #[schema(value_type = Value)]
    output: serde_json::Value,
    /// JSON Schema 2020-12 with references inside only.
    #[schema(value_type = Option<Value>)]
    facts: Option<serde_json::Value>,
    /// Of `produce`, `check`, `undo`; with `produce`. Only `produce` when absent.
    operations: Option<Vec<String>>,
    /// Whether a dataset may be handed out again after its lease.
    reusable: Option<bool>,
    /// Of one attempt; 60 when absent.
    #[schema(minimum = 1, maximum = 86400)]
    timeout_s: Option<u64>,
    /// Tasks at once over all sessions.
    #[schema(minimum = 1, maximum = 10000)]
    concurrency: Option<u64>,
    rate: Option<CapabilityRateJson>,
    /// How old evidence may be at hand-over; 300 when absent.
    #[schema(minimum = 0, maximum = 604800)]
    fresh_for_s: Option<u64>,
    /// How long checks may take to agree; 30 when absent.
    #[schema(minimum = 0, maximum = 3600)]
    settle_s: Option<u64>,
    retry: Option<CapabilityRetryJson>,
    /// At most 32, values of at most 200 bytes.
    labels: Option<BTreeMap<String, String>>,
}

/// How often tasks may begin, over all sessions.
#[derive(ToSchema)]
#[schema(as = CapabilityRate)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct CapabilityRateJson {
    #[schema(minimum = 0.001, maximum = 10000)]
    per_s: f64,
}

/// When an attempt that failed is made again.
#[derive(ToSchema)]
#[schema(as = CapabilityRetry)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct CapabilityRetryJson {
    /// 5 when absent.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<u64>,
    /// 500 when absent.
    #[schema(minimum = 1, maximum = 86400000)]
    first_delay_ms: Option<u64>,
    /// 30000 when absent.
    #[schema(minimum = 1, maximum = 86400000)]
    max_delay_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sixpack_model::limits::{
        ATTEMPTS, CONCURRENCY, DESCRIPTION_BYTES, FRESH_FOR_S, LINE_BYTES, LINK_BYTES, MANIFEST_CAPABILITIES,
        RATE_MAX_PER_S, RATE_MIN_PER_S, RETRY_DELAY_MS, SEGMENT_LENGTH, SETTLE_S, TIMEOUT_S,
    };
    use sixpack_model::protocol::PROTOCOLS;

    #[test]
    fn documented_limits_are_those_of_the_model() {
        let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        for (pointer, limit) in [
            ("/Manifest/properties/protocol/minimum", *PROTOCOLS.start() as usize),
            ("/Manifest/properties/protocol/maximum", *PROTOCOLS.end() as usize),
            ("/Manifest/properties/environment/maxLength", SEGMENT_LENGTH),
            ("/Manifest/properties/domain/maxLength", SEGMENT_LENGTH),
            ("/Manifest/properties/instance/maxLength", SEGMENT_LENGTH),
            ("/Manifest/properties/channel/maxLength", SEGMENT_LENGTH),
            ("/Manifest/properties/build/maxLength", LINE_BYTES),
            ("/Manifest/properties/capabilities/maxItems", MANIFEST_CAPABILITIES),
            ("/ManifestOwner/properties/team/maxLength", LINE_BYTES),
            ("/ManifestOwner/properties/issues/maxLength", LINK_BYTES),
            ("/Capability/properties/name/maxLength", SEGMENT_LENGTH),
            ("/Capability/properties/description/maxLength", DESCRIPTION_BYTES),
            ("/Capability/properties/timeout_s/maximum", TIMEOUT_S as usize),
            ("/Capability/properties/concurrency/maximum", CONCURRENCY as usize),
            ("/Capability/properties/fresh_for_s/maximum", FRESH_FOR_S as usize),
            ("/Capability/properties/settle_s/maximum", SETTLE_S as usize),
            ("/CapabilityRetry/properties/max_attempts/maximum", ATTEMPTS as usize),
            ("/CapabilityRetry/properties/first_delay_ms/maximum", RETRY_DELAY_MS as usize),
            ("/CapabilityRetry/properties/max_delay_ms/maximum", RETRY_DELAY_MS as usize),
        ] {
            assert_eq!(schemas.pointer(pointer), Some(&json!(limit)), "{pointer}");
        }
        let rate = &schemas["CapabilityRate"]["properties"]["per_s"];
        let bounds = (rate["minimum"].as_f64(), rate["maximum"].as_f64());
        assert_eq!(bounds, (Some(RATE_MIN_PER_S), Some(RATE_MAX_PER_S)));
    }
}
