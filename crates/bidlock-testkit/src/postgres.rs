//! A PostgreSQL server of a test's own.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock, statvfs},
    process::{Pid, Signal, kill_process},
};

/// The server's superuser and database; the password is in its URL.
const USER: &str = "bidlock";
const PASSWORD: &str = "made-up secret/1";
/// Files in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// Bytes that must be free there: for more servers than run side by side.
const MEMORY_NEEDED: u64 = 2 << 30;
/// How often a start is tried: the free port may be somebody else's by then.
const STARTS: usize = 5;
/// How often to look whether the server has come up or ended: up to a minute.
const LOOKS: usize = 6_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often to look whether it has ended in order, before it is killed with all of its processes: ten seconds.
const END_LOOKS: usize = 1_000;

/// What a test wants of its server.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    settings: Vec<(String, String)>,
    folder: Option<PathBuf>,
    on_disk: bool,
}

impl PostgresOptions {
    /// A server that does not sync, for tests that pull no plug; in memory, where that has room.
    pub fn new() -> PostgresOptions {
        PostgresOptions::default().with("fsync", "off")
    }

    /// A server that syncs, for benchmarks.
    pub fn durable() -> PostgresOptions {
        PostgresOptions::default().on_disk()
    }

    /// Its data grow for hours: not in memory.
    #[must_use]
    pub fn on_disk(mut self) -> PostgresOptions {
        self.on_disk = true;
        self
    }

    /// A setting of `postgresql.conf`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> PostgresOptions {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A cluster is a thousand files, and every test has its own: without syncing they may as well be in memory, where
    /// making and deleting them costs no search for free inodes.
    fn new_folder(&self, prefix: &str) -> tempfile::TempDir {
        let has_room = || statvfs(MEMORY).is_ok_and(|found| found.f_bavail * found.f_frsize >= MEMORY_NEEDED);
        let mut builder = tempfile::Builder::new();
        let made = match builder.prefix(prefix) {
            builder if !self.on_disk && has_room() => {
                builder.tempdir_in(MEMORY).or_else(|_| builder.tempdir())
            }
            builder => builder.tempdir(),
        };
        made.unwrap()
    }

    /// Where its data are to be, instead of the temporary folder; it must be empty.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> PostgresOptions {
        self.folder = Some(folder.to_owned());
        self
    }
}

/// A running server. Dropping it stops the server and deletes its data.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    // Holds the data's folder until the server has gone.
    folder: tempfile::TempDir,
    data: PathBuf,
    port: u16,
    options: PostgresOptions,
    child: Option<Child>,
}

impl PostgresServer {
    /// Starts a server, or says that the test is skipped as there is none.
    ///
    /// # Panics
    /// It does not start, or is missing though `REQUIRE_BACKENDS` demands it.
    pub fn start(options: PostgresOptions) -> Option<PostgresServer> {
        let Some(programs) = programs() else {
            crate::missing("postgres", "no PostgreSQL server");
            return None;
        };
        let folder = options.new_folder("bidlock-postgres-");
        let data = options.folder.clone().unwrap_or_else(|| folder.path().join("data"));
        copy_template(&programs, &data);
        Some(run(programs, folder, data, options))
    }

    /// Whether there is a server's program to start.
    pub fn is_installed() -> bool {
        programs().is_some()
    }

    /// As [`start`](PostgresServer::start); where there is no server, ends the process: for suites whose every test
    /// needs one.
    pub fn start_or_exit(options: PostgresOptions) -> PostgresServer {
        PostgresServer::start(options).unwrap_or_else(|| std::process::exit(0))
    }

    /// A read-only standby of this server, which streams from it.
    pub fn standby(&self) -> PostgresServer {
        let folder = self.options.new_folder("bidlock-standby-");
        let data = folder.path().join("data");
        own(folder.path());
        let mut command = as_server_user(&self.programs.join("pg_basebackup"));
        command.env("PGPASSWORD", PASSWORD).arg("-D").arg(&data).args(["-R", "-c", "fast", "--no-sync"]);
        command.args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string()]);
        succeed(command);
        run(self.programs.clone(), folder, data, self.options.clone())
    }

    /// The URL of its superuser.
    pub fn url(&self) -> String {
        self.url_of(USER, PASSWORD, USER)
    }

    /// A URL of this server for other users, passwords, databases.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        let escaped = password.replace(' ', "%20").replace('/', "%2F");
        format!("postgres://{user}:{escaped}@127.0.0.1:{}/{database}", self.port)
    }

    /// The superuser's password, to look for it where it must not be.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Runs statements as the superuser, with `psql`, and returns what it prints.
    pub fn sql(&self, statements: &str) -> String {
        succeed(self.psql(statements))
    }

    /// The same where the server may be away: what `psql` says then.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub fn try_sql(&self, statements: &str) -> Result<String, String> {
        outcome(self.psql(statements))
    }

    /// Waits until so many sessions of bidlock wait for a lock.
    pub fn wait_for_waiting(&self, sessions: usize) {
        let count = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'bidlock' AND wait_event_type = 'Lock'";
        let waits = (0..LOOKS).any(|_| {
            std::thread::sleep(LOOK_EVERY);
            self.sql(count) == sessions.to_string()
        });
        assert!(waits, "too few wait for a lock");
    }

    fn psql(&self, statements: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-U", USER, "-d", USER, "-XqAt"]);
        command.args(["-v", "ON_ERROR_STOP=1", "-p", &self.port.to_string(), "-c", statements]);
        command
    }

    /// Puts a private file into its data folder; settings may name it without a path.
    pub fn put_file(&self, name: &str, contents: &[u8]) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.data.join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
    }

    /// Ends it at once, as a crash does: without a checkpoint, all connections cut.
    pub fn kill(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Ends it in order, all connections cut.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Stops all of its processes in the middle of whatever they do: connections stay, answers don't come.
    pub fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn go_on(&self) {
        self.signal_all(Signal::CONT);
    }

    /// The server's first process makes and reaps all others: stopped first, it lets none come or go meanwhile.
    fn signal_all(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let first = Pid::from_child(child);
        // It may have ended by itself.
        let _ = kill_process(first, signal);
        for pid in crate::processes::children_of(child.id()) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Starts it again, on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        assert!(self.try_to_run(), "PostgreSQL did not start again: {}", self.log());
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&child), signal);
        for _ in 0..END_LOOKS {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // It waits for one of its own, such as one that was asked to end before it had begun.
        for pid in crate::processes::children_of(child.id()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    fn try_to_run(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = as_server_user(&self.programs.join("postgres"));
        command.arg("-D").arg(&self.data).args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        let set = |name: &str, value: &str| format!("{name}={value}");
        for setting in [
            set("unix_socket_directories", ""),
            set("shared_buffers", "64MB"),
            set("log_line_prefix", "%m [%p] "),
        ] {
            command.args(["-c", &setting]);
        }
        for (name, value) in &self.options.settings {
            command.args(["-c", &set(name, value)]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        for _ in 0..LOOKS {
            let ready = fs::read_to_string(self.data.join("postmaster.pid"))
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"));
            if ready {
                return true;
            }
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("PostgreSQL does not come up: {}", self.log());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
    }
}

fn run(
    programs: PathBuf,
    folder: tempfile::TempDir,
    data: PathBuf,
    options: PostgresOptions,
) -> PostgresServer {
    let mut server = PostgresServer { programs, folder, data, port: 0, options, child: None };
    for _ in 0..STARTS {
        server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if server.try_to_run() {
            return server;
        }
    }
    panic!("PostgreSQL does not start: {}", server.log());
}

/// Where the server's programs are: `BIDLOCK_POSTGRES_BIN`, or the newest version that is installed.
fn programs() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("BIDLOCK_POSTGRES_BIN") {
        return Some(folder.into());
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = installed
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut candidates = folders.into_iter().rev().map(|(_, folder)| folder).chain(on_path);
    candidates.find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
}

/// The user that the server runs as, where the tests run as root: PostgreSQL refuses to.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let fields: Vec<&str> =
            users.lines().find(|l| l.starts_with(&format!("{name}:")))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

/// The program under the server's user, ended by the kernel when the test's thread dies without a word.
pub(crate) fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = server_user() {
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/");
    command
}

fn succeed(command: Command) -> String {
    outcome(command).unwrap()
}

fn outcome(mut command: Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        Ok(out.trim_end().to_owned())
    } else {
        Err(format!("{command:?}: {out}{err}"))
    }
}

/// Gives a folder to the server's user.
pub(crate) fn own(folder: &Path) {
    if let Some((user, group)) = server_user() {
        chown(folder, Some(user), Some(group)).unwrap();
    }
}

/// Copies a fresh cluster to `data`. It is made once per version and kept, as making one takes seconds.
fn copy_template(programs: &Path, data: &Path) {
    let made = fs::metadata(programs.join("postgres")).unwrap();
    let user = rustix::process::geteuid().as_raw();
    let place = std::env::temp_dir().join(format!("bidlock-testkit-{user}"));
    fs::create_dir_all(&place).unwrap();
    let lock = fs::File::create(place.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let template = place.join(format!("postgres-{}-{}-1", made.size(), made.mtime()));
    if !template.exists() {
        make_template(programs, &place, &template);
    }
    drop(lock);
    if let Some(parent) = data.parent() {
        own(parent);
    }
    let mut copy = as_server_user(Path::new("cp"));
    copy.arg("-r").arg(template.join(".")).arg(data);
    // A folder that was named may be there already, and another user's.
    fs::create_dir_all(data).unwrap();
    own(data);
    succeed(copy);
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).unwrap();
}

fn make_template(programs: &Path, place: &Path, template: &Path) {
    let making = tempfile::Builder::new().prefix("making-").tempdir_in(place).unwrap();
    own(making.path());
    let secret = making.path().join("password");
    fs::File::create(&secret).unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    own(&secret);
    let data = making.path().join("data");
    let mut initdb = as_server_user(&programs.join("initdb"));
    initdb.arg("-D").arg(&data).arg("--pwfile").arg(&secret).args(["-U", USER, "--no-sync", "-E", "UTF8"]);
    // A collation under which texts do not sort by bytes, as many databases have one.
    initdb.args(["--locale=C", "--locale-provider=icu", "--icu-locale=en-US", "-A", "scram-sha-256"]);
    succeed(initdb);
    let mut single = as_server_user(&programs.join("postgres"));
    single.args(["--single", "-D"]).arg(&data).arg("template1");
    let mut child = single.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Every test copies it: no database more than it needs.
    let rename = format!("ALTER DATABASE postgres RENAME TO {USER};\n");
    child.stdin.take().unwrap().write_all(rename.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    fs::rename(data, template).unwrap();
}
