//! What each source may say, and what is told of what it may not.

use super::super::DEFAULTS;
use super::*;

/// Reads settings from a file, variables and flags.
fn read(
    file: Option<&str>,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Effective, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sixpack.toml");
    let flags = SettingFlags {
        file: file.map(|text| {
            std::fs::write(&path, text).unwrap();
            path.clone()
        }),
        values: flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect(),
        without_file: file.is_none(),
        ..SettingFlags::default()
    };
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let shorter = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    effective(&flags, variables).map_err(|faults| {
        faults
            .iter()
            .map(|fault| shorter(format!("{} ({}): {}", fault.name, fault.origin, fault.what)))
            .collect()
    })
}

#[test]
fn the_file_of_defaults_says_what_the_code_does() {
    let from_file = read(Some(DEFAULTS), &[], &[]).unwrap();
    let from_code = read(None, &[], &[]).unwrap();
    assert_eq!(from_file.settings, from_code.settings);
    let named: Vec<_> = from_file.rows.iter().map(|(name, ..)| *name).collect();
    assert_eq!(named, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    assert!(from_file.rows.iter().all(|(_, _, origin)| *origin != Origin::Default));
    for key in KEYS {
        if let Kind::Number { min, max } = key.kind {
            assert!(DEFAULTS.contains(&format!("({min} to {max})")), "the range of {}", key.name);
        }
    }
}

#[test]
fn the_stronger_source_wins_and_is_named() {
    let file = "grace_s = 1\ndrain_delay_s = 1\noffline_grace_s = 1\n";
    let variables = [("SIXPACK_GRACE_S", "2"), ("SIXPACK_DRAIN_DELAY_S", "2")];
    let read = read(Some(file), &variables, &[("grace_s", "3")]).unwrap();
    let settings = &read.settings;
    assert_eq!((settings.grace_s, settings.drain_delay_s, settings.offline_grace_s), (3, 2, 1));
    let origin = |wanted| {
        read.rows.iter().find(|(name, ..)| *name == wanted).map(|(_, _, origin)| origin.to_string()).unwrap()
    };
    assert_eq!(origin("grace_s"), "--grace-s");
    assert_eq!(origin("drain_delay_s"), "SIXPACK_DRAIN_DELAY_S");
    assert!(origin("offline_grace_s").ends_with("sixpack.toml:3"));
    assert_eq!(origin("listen"), "default");
}

#[test]
fn every_fault_of_every_source_is_told_by_name_and_source() {
    let file = "lisen = \"x\"\ngrace_s = \"5\"\nmax_connections = 5\n[log]\nlevel = \"loud\"\n[limits]\nmax_connections = 5\n";
    let variables = [("SIXPACK_LSTEN", "1"), ("SIXPACK_ACCESS_LOG", "yes"), ("PATH", "x")];
    let faults = read(Some(file), &variables, &[("listen", "0.0.0.0:80")]).unwrap_err();
    let expected = [
        "access_log (SIXPACK_ACCESS_LOG): must be true or false, not \"yes\"",
        "SIXPACK_LSTEN (environment): there is no such setting (did you mean \"SIXPACK_LISTEN\"?)",
        "grace_s (sixpack.toml:2): must be a whole number from 0 to 600, not \"5\"",
        "limits.max_connections (sixpack.toml:7): must be a whole number from 10 to 100000, not 5",
        "lisen (sixpack.toml:1): there is no such setting (did you mean \"listen\"?)",
        "log.level (sixpack.toml:5): must be one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", not \"loud\"",
        "max_connections (sixpack.toml:3): there is no such setting (did you mean \"limits.max_connections\"?)",
        "listen (--listen): others can reach 0.0.0.0:80, and tokens would travel unencrypted; listen on 127.0.0.1, or put a proxy with TLS before the server and set behind_proxy = true",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for (file, fault) in [
        ("grace_s = -1", "grace_s (sixpack.toml:1): must be a whole number from 0 to 600, not -1"),
        ("grace_s = 1.5", "grace_s (sixpack.toml:1): must be a whole number from 0 to 600, not 1.5"),
        ("access_log = 1", "access_log (sixpack.toml:1): must be true or false, not 1"),
        ("log = 1", "log (sixpack.toml:1): must be a table: write [log]"),
        ("data = \"\"", "data (sixpack.toml:1): must be the path of a folder, not \"\""),
        (
            "listen = \"6776\"",
            "listen (sixpack.toml:1): must be an address and a port like \"127.0.0.1:6776\", not \"6776\"",
        ),
        (
            "public_hosts = [\"http://x\"]",
            "public_hosts (sixpack.toml:1): must be names of hosts like \"sixpack.example.org\" or \"localhost:6776\", not \"http://x\"",
        ),
    ] {
        assert_eq!(read(Some(file), &[], &[]).unwrap_err(), [fault], "{file}");
    }
    let twice = read(Some("grace_s = 1\ngrace_s = 2\n"), &[], &[]).unwrap_err();
    assert!(twice[0].starts_with("settings (sixpack.toml:2): is not TOML: duplicate key"), "{twice:?}");
}

#[test]
fn a_store_is_sqlite_or_an_address_that_is_never_repeated() {
    let pg = "postgres://ann@db/shop?schema=qa";
    for (file, fault) in [
        (
            "store = \"mysql://ann:s3cret@db/x\"",
            "there is no store for \"mysql://\": it must be \"sqlite\", or an address",
        ),
        ("store = \"postgres://ann:s3cret@db:port/x\"", "the address of the store cannot be read"),
        ("store = \"s3cret\"", "must be \"sqlite\", or an address like"),
        ("store_password_file = \"/nowhere/at/all\"", "\"/nowhere/at/all\" cannot be read"),
    ] {
        let faults = read(Some(file), &[], &[]).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].contains(fault) && !faults[0].contains("s3cret"),
            "{faults:?}"
        );
    }
    let chosen = |variables: &[(&str, &str)], store: &str| {
        let settings = read(None, variables, &[("store", store)]).unwrap().settings;
        assert!(!format!("{settings:?}").contains("s3cret"));
        settings.store
    };
    assert_eq!(chosen(&[], "sqlite"), StoreChoice::Sqlite);
    let StoreChoice::Postgres(without) = chosen(&[], pg) else { panic!("an address is one") };
    assert!(!without.has_password());
    let with = StoreChoice::Postgres(Box::new(without.with_password("s3cret")));
    assert_eq!(chosen(&[("PGPASSWORD", "s3cret")], pg), with);
    assert_eq!(chosen(&[("PGPASSWORD", "other")], "postgres://ann:s3cret@db/shop?schema=qa"), with);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "s3cret\n").unwrap();
    let named = [("SIXPACK_STORE_PASSWORD_FILE", path.to_str().unwrap()), ("PGPASSWORD", "other")];
    assert_eq!(chosen(&named, pg), with);
}

#[test]
fn a_proxy_allows_other_addresses() {
    let file = "listen = \"0.0.0.0:6776\"\nbehind_proxy = true\npublic_hosts = [\"Sixpack.Example.org\"]\n";
    let settings = read(Some(file), &[], &[]).unwrap().settings;
    assert_eq!(settings.public_hosts, ["sixpack.example.org"]);
    assert!(!settings.listen.ip().is_loopback());
}

#[test]
fn variables_of_a_cluster_and_of_clients_are_no_settings() {
    let variables = [
        ("SIXPACK_SERVICE_HOST", "10.0.0.1"),
        ("SIXPACK_SERVICE_PORT_HTTP", "6776"),
        ("SIXPACK_PORT", "tcp://10.0.0.1:6776"),
        ("SIXPACK_PORT_6776_TCP_ADDR", "10.0.0.1"),
        ("SIXPACK_TOKEN", "sxp_x"),
        ("SIXPACK_LISTEN", ""),
    ];
    assert_eq!(read(None, &variables, &[]).unwrap().settings.listen.port(), 6776);
}

#[test]
fn a_named_file_must_be_there() {
    let flags = SettingFlags { file: Some("/nowhere/at/all.toml".into()), ..SettingFlags::default() };
    let faults = effective(&flags, []).unwrap_err();
    assert!(faults[0].origin.contains("/nowhere/at/all.toml"), "{faults:?}");
}
