//! The program itself: what it prints, and how it ends.

use std::process::Stdio;
use std::time::Duration;

use shop::client::{AdminClient, http_client};
use shop::service::ServiceName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn every_service_prints_one_line_when_it_answers_and_ends_well_on_sigterm() {
    let data = tempfile::tempdir().unwrap();
    for service in ServiceName::ALL {
        let mut process = Command::new(env!("CARGO_BIN_EXE_shop"))
            .args([service.as_str(), "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        let admin = AdminClient::new(http_client().unwrap(), service, url);
        admin.health().await.unwrap();

        let id = process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(30), process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{service} ended with {ended}");
        assert_eq!(lines.next_line().await.unwrap(), None);
        assert!(data.path().join(format!("{service}.db")).exists());
    }
}
