//! TLS to PostgreSQL: what is accepted in each mode.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use sixpack_storage::Durability;
use sixpack_storage::StoreError;
use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, create};

/// Certificates for a name of a host, and for who signs them.
const EXTENSIONS: &str = "[req]\ndistinguished_name = name\n[name]\n[signer]\nbasicConstraints = critical, CA:TRUE\n\
                          [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:db.example\n";

/// Makes a key and a certificate in a folder.
fn certificate(folder: &Path, name: &str, more: &[&str]) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-config", "extensions", "-extensions", name, "-subj", &format!("/CN={name}")])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|cause| {
            panic!("openssl cannot be started ({cause}): on Debian `apt-get install openssl`")
        });
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_certificate_is_looked_at_as_the_mode_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("extensions"), EXTENSIONS).unwrap();
    certificate(folder.path(), "signer", &[]);
    certificate(folder.path(), "server", &["-CA", "signer.crt", "-CAkey", "signer.key"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = |name: &str| folder.path().join(name);
    let _server = PostgresServer::start_with_tls(port, &file("server.crt"), &file("server.key"));
    let (signer, other) = (file("signer.crt"), file("server.crt"));
    let (signer, other) = (signer.display(), other.display());
    for (host, mode, accepted) in [
        ("db.example", "disable".to_owned(), true),
        ("db.example", "require".to_owned(), true),
        ("other.example", "require".to_owned(), true),
        ("db.example", format!("verify-full&sslrootcert={signer}"), true),
        ("db.example", format!("require&sslrootcert={signer}"), true),
        ("other.example", format!("verify-full&sslrootcert={signer}"), false),
        ("db.example", format!("verify-full&sslrootcert={other}"), false),
        ("db.example", "verify-full".to_owned(), false),
    ] {
        let text = format!("postgres://sixpack@{host}:{port}/postgres?hostaddr=127.0.0.1&sslmode={mode}");
        let address: Address = text.parse().unwrap();
        match create(&address, Durability::TestsOnly).await {
            Ok(()) => assert!(accepted, "{text}"),
            Err(error) => {
                assert!(!accepted && matches!(error, StoreError::Unavailable { .. }), "{text}: {error:?}");
            }
        }
    }
}
