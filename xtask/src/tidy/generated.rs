//! Generated files: committed, and equal to what their generator writes today.

use std::process::{Command, Stdio};

use super::Fault;
use super::repository::Repository;

/// A file and the command that writes it to standard output, called in the top folder.
type Generated = (&'static str, &'static [&'static str]);

/// All files that a program wrote and a person must not.
const GENERATED: &[Generated] = &[];

/// Runs every generator and compares.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    check_table(repository, GENERATED)
}

fn check_table(repository: &Repository, table: &[Generated]) -> Vec<Fault> {
    table.iter().filter_map(|(path, command)| check_one(repository, path, command)).collect()
}

fn check_one(repository: &Repository, path: &str, command: &[&str]) -> Option<Fault> {
    let (program, arguments) = command.split_first().expect("every generator has a command");
    let shown = command.join(" ");
    let output = Command::new(program)
        .args(arguments)
        .current_dir(repository.root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let written = match output {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => {
            return Some(Fault::new(path, 1, format!("its generator failed ({})", output.status), shown));
        }
        Err(error) => {
            return Some(Fault::new(path, 1, format!("its generator cannot be run ({error})"), shown));
        }
    };
    let committed = repository.file(path).map_or("", |file| &file.text);
    if committed.as_bytes() == written {
        return None;
    }
    let written = String::from_utf8_lossy(&written);
    let same = committed
        .lines()
        .zip(written.lines())
        .take_while(|(committed, written)| committed == written)
        .count();
    Some(Fault::new(path, same + 1, "not what its generator writes", format!("run `{shown} > {path}`")))
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    fn faults(text: &str, command: &'static [&'static str]) -> Vec<String> {
        let fixture = Fixture::new(&[("api/openapi.json", text)]);
        let repository = Repository::read(fixture.root()).unwrap();
        let faults = check_table(&repository, &[("api/openapi.json", command)]);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_fresh_file_passes() {
        assert!(faults("a\nb\n", &["printf", "a\\nb\\n"]).is_empty());
    }

    #[test]
    fn a_stale_or_missing_file_names_the_first_line_and_the_command() {
        let stale = faults("a\nold\n", &["printf", "a\\nb\\n"]);
        assert!(
            stale[0].starts_with("api/openapi.json:2: not what its generator writes: run `printf"),
            "{stale:?}"
        );
    }

    #[test]
    fn a_generator_that_fails_is_a_fault() {
        assert!(faults("a\n", &["false"])[0].contains("failed"));
        assert!(faults("a\n", &["no-such-program-here"])[0].contains("cannot be run"));
    }
}
