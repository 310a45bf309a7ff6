//! A transaction pooler in front of a test's PostgreSQL.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::PostgresServer;

const LOOKS: usize = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running pgbouncer in transaction mode, with fewer server connections than its clients have.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    port: u16,
    url: String,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts a pooler for the server's own database, or says that the test is skipped as there is none.
    ///
    /// # Panics
    /// It does not start, or is missing though `REQUIRE_BACKENDS` demands `pgbouncer`.
    pub fn start(server: &PostgresServer) -> Option<PgBouncer> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(PathBuf::from);
        let Some(program) = program.into_iter().find(|path| path.is_file()) else {
            crate::missing("pgbouncer", "no pgbouncer");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("bidlock-pgbouncer-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = write_config(folder.path(), server, port);
        let mut command = crate::postgres::as_server_user(&program);
        command.arg("-q").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = start(command);
        let url = server.url().replacen(&format!(":{}/", server.port()), &format!(":{port}/"), 1);
        let bouncer = PgBouncer { child, port, url, _folder: folder };
        bouncer.wait();
        Some(bouncer)
    }

    /// The server's database through the pooler.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    fn wait(&self) {
        for _ in 0..LOOKS {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("pgbouncer does not come up");
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(mut command: Command) -> Child {
    command.spawn().unwrap()
}

fn write_config(folder: &Path, server: &PostgresServer, port: u16) -> PathBuf {
    let users = folder.join("users");
    let (user, password) = ("bidlock", server.password());
    fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
    let config = folder.join("pgbouncer.ini");
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
         default_pool_size = 2\nlogfile = {}\npidfile = {}\n",
        server.port(),
        users.display(),
        folder.join("log").display(),
        folder.join("pid").display(),
    );
    fs::write(&config, text).unwrap();
    for path in [folder, &users, &config] {
        crate::postgres::own(path);
    }
    config
}
