//! Fences: what only one place may touch, so that it can be replaced there, and trusted to be absent elsewhere.

use regex::Regex;

use super::Fault;
use super::arrows::path_into;
use super::manifests;
use super::repository::{Repository, code_of};

/// Third-party crates that stand behind one of our packages.
struct CrateFence {
    crates: &'static [&'static str],
    only_in: &'static [&'static str],
    why: &'static str,
}

const CRATE_FENCES: &[CrateFence] = &[
    CrateFence {
        crates: &["axum", "axum-extra", "hyper", "hyper-util", "tower-http", "utoipa", "utoipa-axum"],
        only_in: &["crates/server/", "examples/shop/", "verify/"],
        why: "only the server knows HTTP",
    },
    CrateFence {
        crates: &[
            "rusqlite",
            "refinery",
            "refinery-core",
            "tokio-postgres",
            "deadpool",
            "deadpool-postgres",
            "tokio-postgres-rustls",
            "rustls-native-certs",
        ],
        only_in: &["crates/storage/", "examples/shop/", "verify/power/"],
        why: "only the storage knows SQL",
    },
    CrateFence {
        crates: &["cel", "granit-parser", "jsonschema", "serde-saphyr"],
        only_in: &["crates/model/"],
        why: "only the model knows how expressions, schemas and scenario files are read",
    },
    CrateFence {
        crates: &["prometheus-client"],
        only_in: &["crates/server/"],
        why: "layers count by themselves, and the server writes it down",
    },
    CrateFence {
        crates: &["croner"],
        only_in: &["crates/model/"],
        why: "only the model knows when a window opens",
    },
    CrateFence {
        crates: &["clap", "comfy-table", "confique", "indicatif", "miette"],
        only_in: &["crates/cli/", "examples/shop/", "verify/", "xtask/"],
        why: "only the command line talks to people and reads settings",
    },
    CrateFence {
        crates: &["anyhow"],
        only_in: &["crates/cli/", "examples/shop/", "verify/", "xtask/"],
        why: "errors of the other layers have types of their own",
    },
];

/// Calls that only some places may make.
struct CallFence {
    pattern: &'static str,
    /// Where it is looked for.
    inside: &'static [&'static str],
    except: &'static [&'static str],
    why: &'static str,
    fix: &'static str,
}

const CALL_FENCES: &[CallFence] = &[
    CallFence {
        pattern: r"\be?print(?:ln)?!",
        inside: &["crates/", "sdks/rust/src/"],
        // A build script speaks to cargo.
        except: &["crates/cli/", "crates/server/build.rs"],
        why: "only the command line prints",
        fix: "return the text, or log it with `tracing`",
    },
    CallFence {
        pattern: r"\bprocess::(?:exit|abort)\b",
        inside: &["crates/", "sdks/rust/src/"],
        except: &["crates/cli/"],
        why: "only the command line ends the process",
        fix: "return an error",
    },
    CallFence {
        pattern: r"\benv::(?:vars?|vars?_os|set_var|args|args_os)\b",
        inside: &["crates/"],
        // A program of the benchmark has a command line of its own.
        // A build script is told by cargo where to write.
        // Which mistake a build for tests makes is chosen from outside, whatever program it is.
        except: &[
            "crates/cli/",
            "crates/server/build.rs",
            "crates/storage/examples/",
            "crates/storage/src/mutants.rs",
        ],
        why: "only the command line reads the environment",
        fix: "take the value as an argument",
    },
    CallFence {
        pattern: r"\b(?:Timestamp|SystemTime|Instant|Zoned)::now\b|\bnow_v7\b|\bthread_rng\b|\bfastrand::|\bgetrandom::",
        inside: &["crates/model/"],
        except: &[],
        why: "the rules have no clock and no chance of their own",
        fix: "take time and random numbers as arguments",
    },
    CallFence {
        pattern: r"\b(?:Timestamp|SystemTime|Zoned)::now\b",
        inside: &["sdks/rust/src/", "crates/cli/src/"],
        // A line of the log says when it was written.
        except: &["crates/cli/src/logging.rs"],
        why: "clients work whatever their wall clock says",
        fix: "count from a moment that you took yourself; spans come from the server",
    },
    CallFence {
        pattern: r"\bcroner::|\bTimeZoneDatabase\b",
        inside: &["crates/model/"],
        except: &["crates/model/src/stock/window.rs"],
        why: "only windows know cron expressions and the calendars of time zones",
        fix: "ask a `Window` whether it is open",
    },
    CallFence {
        pattern: r"\bprometheus_client::",
        inside: &["crates/server/"],
        except: &["crates/server/src/metrics/page.rs"],
        why: "only the page of metrics knows the format",
        fix: "add the number to the page",
    },
    CallFence {
        pattern: r"\bstd::(?:fs|net|process|thread)\b|\btokio::|\basync fn\b|\basync move\b|\.await\b",
        inside: &["crates/model/"],
        except: &[],
        why: "the rules do no input, no output and wait for nothing",
        fix: "move it to the engine or to the storage",
    },
];

/// Compares manifests and sources with both tables. Tests are free in what they call, not in what they depend on.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_crates(repository, &mut faults);
    check_calls(repository, &mut faults);
    faults
}

fn check_crates(repository: &Repository, faults: &mut Vec<Fault>) {
    for fence in CRATE_FENCES {
        let outside = |path: &str| !fence.only_in.iter().any(|folder| path.starts_with(folder));
        let fault = |path: &str, line: usize, name: &str| {
            Fault::new(
                path,
                line,
                format!("`{name}` stays in {}, because {}", fence.only_in.join(", "), fence.why),
                "ask for what you need in our own words there",
            )
        };
        for package in manifests::packages(repository).iter().filter(|package| outside(package.folder())) {
            for dependency in
                package.dependencies.iter().filter(|used| fence.crates.contains(&used.name.as_str()))
            {
                faults.push(fault(&package.manifest.path, dependency.line, &dependency.name));
            }
        }
        for name in fence.crates {
            let pattern = path_into(&manifests::crate_name(name));
            for file in repository.rust_files().filter(|file| outside(&file.path)) {
                for (number, _) in file.lines().filter(|(_, line)| pattern.is_match(&code_of(line))) {
                    faults.push(fault(&file.path, number, name));
                }
            }
        }
    }
}

fn check_calls(repository: &Repository, faults: &mut Vec<Fault>) {
    for fence in CALL_FENCES {
        let pattern = Regex::new(fence.pattern).expect("the patterns of the table are well-formed");
        for file in repository.rust_files() {
            let within = |folders: &[&str]| folders.iter().any(|folder| file.path.starts_with(folder));
            if !within(fence.inside) || within(fence.except) {
                continue;
            }
            for (number, line) in file.product_lines() {
                if let Some(found) = pattern.find(&code_of(line)) {
                    let what = format!("`{}` does not belong here, because {}", found.as_str(), fence.why);
                    faults.push(Fault::new(&file.path, number, what, fence.fix));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn a_fenced_crate_is_refused_outside_and_welcome_inside() {
        let manifest =
            |name: &str| format!("[package]\nname = \"{name}\"\n[dependencies]\nrusqlite = \"1\"\n");
        let fixture = Fixture::new(&[
            ("crates/engine/Cargo.toml", &manifest("sixpack-engine")),
            ("crates/engine/src/lib.rs", "use rusqlite::Connection;\n"),
            ("crates/storage/Cargo.toml", &manifest("sixpack-storage")),
            ("crates/storage/src/lib.rs", "use rusqlite::Connection;\n"),
        ]);
        let faults = fixture.faults(check);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("crates/engine/Cargo.toml:4: `rusqlite` stays in crates/storage/"));
        assert!(faults[1].starts_with("crates/engine/src/lib.rs:1: "));
    }

    #[test]
    fn every_fenced_call_is_found_in_the_product_only() {
        for (path, call) in [
            ("crates/engine/src/a.rs", "    println!(\"x\");"),
            ("crates/server/src/a.rs", "    eprint!(\"x\");"),
            ("sdks/rust/src/a.rs", "    std::process::exit(1);"),
            ("crates/storage/src/a.rs", "    let x = std::env::var(\"X\");"),
            ("crates/model/src/a.rs", "    let now = Timestamp::now();"),
            ("sdks/rust/src/a.rs", "    let now = SystemTime::now();"),
            ("crates/cli/src/a.rs", "    let now = Timestamp::now();"),
            ("crates/model/src/a.rs", "async fn plan() {}"),
            ("crates/model/src/a.rs", "use std::fs;"),
            ("crates/model/src/a.rs", "use croner::Cron;"),
        ] {
            let product = Fixture::new(&[(path, &format!("//! A.\n{call}\n"))]);
            let faults = product.faults(check);
            assert_eq!(faults.len(), 1, "{path} {call}: {faults:?}");
            assert!(faults[0].starts_with(&format!("{path}:2: ")), "{faults:?}");
            let tests = Fixture::new(&[(path, &format!("//! A.\n#[cfg(test)]\nmod tests {{\n{call}\n}}\n"))]);
            assert!(tests.faults(check).is_empty(), "{path} {call}");
        }
    }

    #[test]
    fn the_command_line_and_the_examples_are_free_to_print() {
        let call = "//! A.\nfn main() { println!(\"{:?}\", std::env::var(\"X\")); std::process::exit(1) }\n";
        let paths = [
            "crates/cli/src/main.rs",
            "examples/shop/src/main.rs",
            "sdks/rust/examples/a.rs",
            "xtask/src/a.rs",
        ];
        let fixture = Fixture::new(&paths.map(|path| (path, call)));
        assert!(fixture.faults(check).is_empty());
    }
}
