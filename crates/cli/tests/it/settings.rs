//! Settings: shown with where they come from, and refused all at once.

use crate::program::Place;

#[test]
fn all_faults_of_all_sources_are_told_at_once() {
    let mut place = Place::new();
    place.put("sixpack.toml", "lisen = \"127.0.0.1:1\"\ngrace_s = \"soon\"\n");
    place.set("SIXPACK_LSTEN", "127.0.0.1:1");
    for command in ["serve", "settings"] {
        let refused = place.run(&[command, "--log-level", "loud"]).expect(78);
        for part in [
            "the settings have 4 faults; nothing was started",
            "SIXPACK_LSTEN (environment): there is no such setting (did you mean \"SIXPACK_LISTEN\"?)",
            "lisen (sixpack.toml:1): there is no such setting (did you mean \"listen\"?)",
            "grace_s (sixpack.toml:2): must be a whole number from 0 to 600, not \"soon\"",
            "log.level (--log-level): must be one of",
        ] {
            assert!(refused.stderr.contains(part), "{part} in\n{}", refused.stderr);
        }
        assert!(!place.path(".sixpack").exists(), "nothing was started");
    }
}

#[test]
fn settings_say_where_they_come_from_and_keep_the_token_to_themselves() {
    let mut place = Place::new();
    place.put("sixpack.toml", "grace_s = 7\n");
    place.set("SIXPACK_DRAIN_DELAY_S", "8");
    place.set("SIXPACK_TOKEN", "sxp_secret");
    place.set("SIXPACK_CHANNEL", "ada-laptop");
    let shown = place.run(&["settings", "--listen", "127.0.0.1:9", "--json"]).expect(0);
    assert!(!shown.stdout.contains("sxp_secret"));
    let shown = shown.json();
    for (name, value, from) in [
        ("listen", "127.0.0.1:9", "--listen"),
        ("drain_delay_s", "8", "SIXPACK_DRAIN_DELAY_S"),
        ("grace_s", "7", "sixpack.toml:1"),
        ("data", ".sixpack", "default"),
        ("token", "***", "SIXPACK_TOKEN"),
        ("channel", "ada-laptop", "SIXPACK_CHANNEL"),
    ] {
        assert_eq!(
            (shown[name]["value"].as_str(), shown[name]["from"].as_str()),
            (Some(value), Some(from)),
            "{name}"
        );
    }
}

#[test]
fn the_file_of_defaults_can_be_used_as_it_is() {
    let place = Place::new();
    let defaults = place.run(&["settings", "--defaults"]).expect(0).stdout;
    place.put("sixpack.toml", &defaults);
    let shown = place.run(&["settings", "--json"]).expect(0).json();
    assert_eq!(shown["limits.max_connections"]["value"], "8192");
    assert_eq!(shown["limits.leases_per_token"]["value"], "1000");
    let none = place.run(&["settings", "--limits-leases-per-token", "0"]).expect(78);
    assert!(none.stderr.contains("must be a whole number from 1 to 1000000, not 0"), "{}", none.stderr);
}

#[test]
fn wrong_usage_is_told_from_everything_else() {
    let place = Place::new();
    place.run(&[]).expect(64);
    place.run(&["dance"]).expect(64);
    place.run(&["apply"]).expect(64);
    place.run(&["request", "a/b", "--count", "0"]).expect(64);
    let help = place.run(&["help"]).expect(0).stdout;
    assert!(help.contains("20  request failed: rejected"), "{help}");
    place.run(&["request", "--help"]).expect(0);
    place.run(&["--version"]).expect(0);
    assert!(place.run(&["completions", "bash"]).expect(0).stdout.contains("complete -F _sixpack"));
    let document = place.run(&["openapi"]).expect(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(document["paths"]["/v1/requests"].is_object());
}

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_sixpack"))
        .args(["settings", "--defaults"])
        .current_dir(place.path("."))
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(74), "{ended:?}");
}
