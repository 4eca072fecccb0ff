//! Reach: addresses that others than this machine can reach are listened on only when a proxy is said to stand before them.

use std::net::SocketAddr;

use super::super::{SettingFault, Settings};

/// What may not be listened on like this; `origin` says where a setting was found.
pub(super) fn faults(settings: &Settings, origin: impl Fn(&str) -> Option<String>) -> Vec<SettingFault> {
    if settings.behind_proxy {
        return Vec::new();
    }
    let listened_on =
        [("listen", Some(settings.listen), TOKENS), ("metrics_listen", settings.metrics_listen, NAMES)];
    let reachable = listened_on.into_iter().filter_map(|(name, address, why)| {
        let address: SocketAddr = address.filter(|address| !address.ip().is_loopback())?;
        let what = format!("others can reach {address}, and {why}");
        Some(SettingFault { name: name.to_owned(), origin: origin(name)?, what })
    });
    reachable.collect()
}

const TOKENS: &str = "tokens would travel unencrypted; listen on 127.0.0.1, or put a proxy with TLS before the server and set behind_proxy = true";

const NAMES: &str = "metrics tell everybody who asks the names of environments, domains and capabilities; listen on 127.0.0.1, or see to it that only those who watch reach that port and set behind_proxy = true";
