//! Channels: what to call one's own.

/// Longest name of a channel.
const LENGTH: usize = 63;

/// A name for the channel of whoever works on this machine, `ada-laptop`: user and host, as far as either can be told, in
/// the form that names have. It is a proposal; any name of that form will do.
///
/// ```
/// let supplier = sixpack::Supplier::new("billing").dev(sixpack::own_channel());
/// # drop(supplier);
/// ```
pub fn own_channel() -> String {
    let set = |name: &str| std::env::var(name).ok();
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set);
    let host = host().or_else(|| set("COMPUTERNAME"));
    name(&user.unwrap_or_default(), &host.unwrap_or_default())
}

#[cfg(unix)]
fn host() -> Option<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // The machine's own name, without the network that it is in.
    host.split('.').next().filter(|host| !host.is_empty()).map(str::to_owned)
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    None
}

/// Letters and digits of both, everything else as one dash.
fn name(user: &str, host: &str) -> String {
    let words = [user, host].map(str::to_ascii_lowercase);
    let words = words.iter().flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric()));
    let mut name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    name.truncate(LENGTH);
    match name.trim_end_matches('-') {
        "" => "dev".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_host_make_a_name_of_the_form_that_names_have() {
        let long = "a".repeat(62);
        for (user, host, expected) in [
            ("ada", "laptop", "ada-laptop"),
            ("Ada.Byron", "ADA's MacBook Pro", "ada-byron-ada-s-macbook-pro"),
            ("", "laptop", "laptop"),
            ("ada", "", "ada"),
            ("", "", "dev"),
            ("ю", "--", "dev"),
            ("_ada_", "-1-", "ada-1"),
            (&long, "b", &long),
            (&long, "", &long),
        ] {
            assert_eq!(name(user, host), expected, "{user} {host}");
        }
        assert!(name(&"a".repeat(100), "b").len() == LENGTH);
    }

    #[test]
    fn there_is_always_a_name() {
        let name = own_channel();
        assert!(!name.is_empty() && name.len() <= LENGTH, "{name}");
        assert!(
            name.bytes()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
        );
    }
}
