//! A Redis server of a test's own.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often another port is tried, where somebody else was faster.
const MAX_STARTS: usize = 10;
/// How often a server that has started is asked whether it is ready, every 5 ms.
const MAX_LOOKS: usize = 2_000;

/// Names another program than `redis-server`: another version, or a Valkey.
const PROGRAM: &str = "BIDLOCK_REDIS_SERVER";

/// A running server, killed on drop.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    child: Child,
    port: u16,
    args: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    folder: tempfile::TempDir,
}

impl RedisServer {
    /// Starts a server on a free port of the loopback interface with these further arguments, such as
    /// `["--requirepass", "secret"]`; `None` where there is no `redis-server`, see [`missing`](crate::missing).
    ///
    /// The variable `BIDLOCK_REDIS_SERVER` names another program. The server dies with the thread that calls this.
    pub fn start(args: &[&str]) -> Option<RedisServer> {
        RedisServer::start_program(&program(), args)
    }

    /// The same with these variables in its environment, also when it is started again.
    pub fn start_with(args: &[&str], variables: Vec<(OsString, OsString)>) -> Option<RedisServer> {
        RedisServer::begin(&program(), args, variables)
    }

    /// Whether there is a program to start.
    pub fn is_installed() -> bool {
        runs(&program())
    }

    /// The same with this program.
    pub fn start_program(program: &Path, args: &[&str]) -> Option<RedisServer> {
        RedisServer::begin(program, args, Vec::new())
    }

    fn begin(program: &Path, args: &[&str], variables: Vec<(OsString, OsString)>) -> Option<RedisServer> {
        if !runs(program) {
            crate::missing("redis", &format!("no {}", program.display()));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        for _ in 0..MAX_STARTS {
            let port = free_port();
            if let Some(child) = spawn(program, port, &args, &variables, folder.path()) {
                return Some(RedisServer {
                    program: program.to_owned(),
                    child,
                    port,
                    args,
                    variables,
                    folder,
                });
            }
        }
        panic!("redis-server does not start: {}", last_words(folder.path()));
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without user and password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The id of its process: another one after each start.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it, as a power failure would.
    pub fn kill(&mut self) {
        let _ = self.child.kill(); // it may be gone already
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, after [`RedisServer::kill`]; empty, since nothing was saved.
    pub fn start_again(&mut self) {
        let started = spawn(&self.program, self.port, &self.args, &self.variables, self.folder.path());
        self.child = started.expect("the port was ours");
    }

    /// Stops its process in the middle of whatever it does: connections stay, answers don't come.
    pub fn pause(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets a paused server go on.
    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: the process is our child and has not been waited for.
        #[allow(unsafe_code, reason = "there is no safe call for it in what this crate depends on")]
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> PathBuf {
    std::env::var_os(PROGRAM).map_or_else(|| "redis-server".into(), PathBuf::from)
}

fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that is ready, or `None` if it ended at once, as it does when its port is taken.
fn spawn(
    program: &Path,
    port: u16,
    args: &[String],
    variables: &[(OsString, OsString)],
    folder: &Path,
) -> Option<Child> {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder)
        .args(args)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null());
    // SAFETY: between fork and exec only one system call is made.
    #[allow(unsafe_code, reason = "the server is to end with us, also when we are killed")]
    unsafe {
        command.pre_exec(|| {
            #[cfg(target_os = "linux")]
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    for _ in 0..MAX_LOOKS {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if answers(port) {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("redis-server is not ready after a long time: {}", last_words(folder));
}

/// Whether something answers a PING there, be it with an error.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut first = [0];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut first).is_ok()
        && matches!(&first, b"+" | b"-")
}

fn last_words(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
