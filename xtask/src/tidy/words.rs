//! Words: one word for each thing; the words that `docs/glossary.md` does not use are not used in public names.

use std::sync::LazyLock;

use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

/// A word that would be a second name for a thing that has one.
struct Avoided {
    words: &'static [&'static str],
    instead: &'static str,
    /// Folders and files where the word means something else.
    except: &'static [&'static str],
}

const AVOIDED: &[Avoided] = &[
    Avoided {
        words: &["reserve", "reserves", "reserved", "reservation"],
        instead: "say `lease`, and `grant`",
        except: &[],
    },
    Avoided {
        words: &["lock", "locks", "locked"],
        instead: "say `lease`, or what is kept out",
        // The lock file that keeps a second server away from a data folder.
        except: &["crates/storage/", "crates/cli/"],
    },
    Avoided { words: &["job", "jobs"], instead: "say `task`", except: &[] },
    Avoided { words: &["worker", "workers"], instead: "say `supplier` or `session`", except: &[] },
    Avoided {
        words: &["item", "items"],
        instead: "say `dataset`, or name the thing",
        // A request for several contracts has `items` on the wire.
        except: &["crates/model/src/request", "crates/engine/src/request", "crates/server/src/http/request"],
    },
    Avoided { words: &["generator", "generators"], instead: "say `capability`", except: &[] },
    Avoided {
        words: &["template", "templates"],
        instead: "say `scenario` or `contract`",
        // A value with expressions inside.
        except: &["crates/model/"],
    },
    Avoided {
        words: &["order", "orders"],
        instead: "say `request`",
        // The order in which things come.
        except: &["crates/model/", "crates/storage/"],
    },
    Avoided {
        words: &["pool", "pools"],
        instead: "say `stock`, or `contract and input`",
        // The connections to a database.
        except: &["crates/storage/"],
    },
];

/// Looks through the names of public items in our crates.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    repository.rust_files().filter(|file| file.path.starts_with("crates/")).flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Fault> {
    static PUBLIC_NAME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"^\s*pub(?:\([a-z: ]+\))? (?:async |const |unsafe )*(?:fn|struct|enum|trait|mod|type|const|static) (\w+)",
        )
        .expect("the pattern is well-formed")
    });
    let mut faults = Vec::new();
    for (number, line) in file.product_lines() {
        let Some(name) = PUBLIC_NAME.captures(line).and_then(|found| found.get(1)) else { continue };
        for word in words_of(name.as_str()) {
            let avoided = AVOIDED.iter().find(|avoided| avoided.words.contains(&word.as_str()));
            if let Some(avoided) =
                avoided.filter(|avoided| !avoided.except.iter().any(|e| file.path.starts_with(e)))
            {
                let what = format!("`{}` uses the word \"{word}\"", name.as_str());
                faults.push(Fault::new(&file.path, number, what, avoided.instead));
            }
        }
    }
    faults
}

/// The words inside `snake_case`, `CamelCase` and `SCREAMING_CASE`, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_is_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && previous_is_lower) {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().expect("there is always a word begun").extend(letter.to_lowercase());
        }
        previous_is_lower = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words_of("reserve_next2"), ["reserve", "next2"]);
        assert_eq!(words_of("JobQueue"), ["job", "queue"]);
        assert_eq!(words_of("MAX_JOBS"), ["max", "jobs"]);
    }

    #[test]
    fn an_avoided_word_in_a_public_name_is_a_fault_that_says_the_right_word() {
        for line in [
            "pub fn reserve_dataset() {}",
            "    pub(crate) async fn next_job() {}",
            "pub struct WorkerState;",
        ] {
            let fixture = Fixture::new(&[("crates/engine/src/a.rs", &format!("//! A.\n{line}\n"))]);
            let faults = fixture.faults(check);
            assert_eq!(faults.len(), 1, "{line}");
            assert!(faults[0].starts_with("crates/engine/src/a.rs:2: "));
        }
    }

    #[test]
    fn words_inside_other_words_and_private_names_are_fine() {
        let text = "//! A.\npub fn blocked() {}\npub fn jobless() {}\nfn job() {}\npub struct Preserved;\n";
        assert!(Fixture::new(&[("crates/engine/src/a.rs", text)]).faults(check).is_empty());
    }

    #[test]
    fn an_exception_holds_where_the_table_says() {
        let text = "//! A.\npub struct Template;\n";
        assert!(Fixture::new(&[("crates/model/src/expression.rs", text)]).faults(check).is_empty());
        assert_eq!(Fixture::new(&[("crates/engine/src/a.rs", text)]).faults(check).len(), 1);
    }
}
