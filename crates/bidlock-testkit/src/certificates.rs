//! Certificates of made-up authorities, for tests of TLS.

use std::{path::PathBuf, process::Command};

use crate::{PostgresServer, RedisServer};

/// What `openssl` is asked for, in this order.
const MADE_BY: [&str; 4] = [
    "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=made-up -days 30",
    "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -subj /CN=other -days 30",
    "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
    "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
];

/// An authority (`ca.crt`), a certificate of it for 127.0.0.1 and no other name (`server.crt`, `server.key`), and an
/// authority that has nothing to do with it (`other.crt`). Deleted when dropped.
#[derive(Debug)]
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// Makes them, or says that the test is skipped as there is no `openssl`.
    ///
    /// # Panics
    /// It is missing though `REQUIRE_BACKENDS` demands `openssl`.
    pub fn make() -> Option<Certificates> {
        let made = Certificates(tempfile::Builder::new().prefix("bidlock-certificates-").tempdir().unwrap());
        let names = "subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n";
        std::fs::write(made.path("names"), names).unwrap();
        let works = |arguments: &&str| {
            let mut command = Command::new("openssl");
            command.current_dir(made.0.path()).args(arguments.split(' '));
            command.output().is_ok_and(|output| output.status.success())
        };
        if !MADE_BY.iter().all(works) {
            crate::missing("openssl", "no openssl");
            return None;
        }
        Some(made)
    }

    /// Where one of them is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A Redis that speaks TLS on the port in the answer, beside its own without; `clients` is its `tls-auth-clients`.
    /// `None`, and the test is skipped, where there is none that knows TLS.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub fn redis(&self, clients: &str) -> Option<(RedisServer, u16)> {
        if !self.redis_knows_tls() {
            crate::missing("redis with TLS", "the server was built without TLS");
            return None;
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = free.to_string();
        let path = |name: &str| self.path(name).display().to_string();
        let server = RedisServer::start(&[
            "--tls-port",
            &port,
            "--tls-ca-cert-file",
            &path("ca.crt"),
            "--tls-cert-file",
            &path("server.crt"),
            "--tls-key-file",
            &path("server.key"),
            "--tls-auth-clients",
            clients,
            "--maxmemory-policy",
            "noeviction",
        ])?;
        Some((server, free))
    }

    /// Whether this program was built with TLS: the packages of distributions are, some others are not.
    fn redis_knows_tls(&self) -> bool {
        let program = std::env::var("BIDLOCK_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        // With a certificate that is not there it ends at once, and says what it does not know.
        let mut command = Command::new(program);
        command.current_dir(self.0.path());
        command.args(["--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere"]);
        command.output().is_ok_and(|output| {
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            !["FATAL CONFIG FILE ERROR", "Bad directive", "Failed finding TLS"]
                .iter()
                .any(|sign| said.contains(sign))
        })
    }

    /// Lets a server that has begun without TLS show its certificate from now on.
    ///
    /// # Panics
    /// It does not start again.
    pub fn give_to(&self, server: &mut PostgresServer) {
        for name in ["server.key", "server.crt"] {
            server.put_file(name, &std::fs::read(self.path(name)).unwrap());
        }
        server.sql("ALTER SYSTEM SET ssl = on");
        server.stop();
        server.start_again();
    }
}
