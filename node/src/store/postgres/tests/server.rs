//! A PostgreSQL server of the test's own: a fresh cluster in a scratch folder, reached by a socket in that folder, run
//! by an unprivileged user, gone when the test process ends, however it ends. The end-to-end tests use this file too.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(20);

/// Runs its arguments after the first, a folder, until standard input ends, which it does with the test process. Then
/// ends them, and removes the folder unless it is kept. What interrupts the test process does not interrupt this.
const WATCH: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
if [ $# -gt 0 ]; then "$@" >>"$folder/log" 2>&1 & fi
cat >/dev/null
if [ -n "$!" ]; then kill -QUIT "$!"; kill -CONT "$!"; wait "$!"; fi 2>/dev/null
[ -e "$folder/keep" ] || rm -rf "$folder"
"#;

/// A server, and the folder with its data and its socket.
pub struct Server {
    pub folder: PathBuf,
    watch: Option<Child>,
}

impl Server {
    /// Starts one.
    pub fn start() -> Self {
        let mut server = Self::stopped();
        server.run();
        server
    }

    /// One that has not been started.
    pub fn stopped() -> Self {
        let folder = scratch_folder();
        let template = template();
        let copied = as_user("cp")
            .arg("-a")
            .args([template, &folder.join("data")])
            .status();
        assert!(copied.unwrap().success());
        Self {
            folder,
            watch: None,
        }
    }

    /// Starts it, and waits until it is ready.
    pub fn run(&mut self) {
        self.run_with(&["listen_addresses="]);
    }

    /// The same with other settings than the usual ones.
    pub fn run_with(&mut self, settings: &[&str]) {
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
        let mut command = watched(&self.folder, &program("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder);
        let usual = [
            // Nobody pulls the plug in these tests; what a killed process wrote, the system keeps.
            "fsync=off",
            // Its transactions would come between those that a test counts on being alone.
            "autovacuum=off",
            "shared_buffers=16MB",
        ];
        for setting in usual.iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        self.watch = Some(command.spawn().unwrap());
        let mut waited = Duration::ZERO;
        while !self.is_ready() {
            std::thread::sleep(GLANCE);
            waited += GLANCE;
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(waited < PATIENCE, "the server does not start: {}", log());
        }
    }

    /// The last line of the server's own note says how it is.
    fn is_ready(&self) -> bool {
        let note = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        note.lines()
            .last()
            .is_some_and(|line| ["ready", "standby"].contains(&line.trim()))
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Kills all of the server's processes, as if the machine had stopped.
    pub fn kill(&mut self) {
        let server = self.process();
        // Held first, so that it neither starts more of them nor sees them end.
        kill_process(server, Signal::STOP).unwrap();
        let processes: Vec<Pid> = children(server).into_iter().chain([server]).collect();
        for process in &processes {
            let _ = kill_process(*process, Signal::KILL);
        }
        // Their shared memory is in the way of the next start while any of them is there.
        while processes.iter().any(|process| is_alive(*process)) {
            std::thread::sleep(GLANCE);
        }
        self.end(false);
    }

    /// Sends a signal to the server and to each of its sessions.
    pub fn signal(&self, signal: Signal) {
        let server = self.process();
        for process in [server].into_iter().chain(children(server)) {
            let _ = kill_process(process, signal);
        }
    }

    fn process(&self) -> Pid {
        let note = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        Pid::from_raw(note.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// Lets the watch end what still runs.
    fn end(&mut self, remove: bool) {
        let keep = self.folder.join("keep");
        if remove {
            let _ = std::fs::remove_file(keep);
        } else {
            std::fs::write(keep, "").unwrap();
        }
        if let Some(mut watch) = self.watch.take() {
            drop(watch.stdin.take());
            let _ = watch.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.watch.is_none() {
            self.watch = Some(watched(&self.folder, OsStr::new("true")).spawn().unwrap());
        }
        self.end(true);
    }
}

/// The processes that a process has started.
fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    list.unwrap()
        .split_whitespace()
        .filter_map(|process| Pid::from_raw(process.parse().ok()?))
        .collect()
}

/// Whether a process runs; one that has ended may still be listed until its parent takes notice.
fn is_alive(process: Pid) -> bool {
    let status = format!("/proc/{}/status", process.as_raw_nonzero());
    std::fs::read_to_string(status).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// A cluster that was made once, for others to be copied from.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (path, _) = TEMPLATE.get_or_init(|| {
        let folder = scratch_folder();
        let made = as_user(program("initdb"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["--username=conclave", "--auth=trust", "--no-sync"])
            .args(["--no-locale", "--encoding=UTF8", "--no-instructions"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb failed: {error}");
        let watch = watched(&folder, OsStr::new("")).spawn().unwrap();
        (folder.join("data"), watch)
    });
    path
}

/// A folder that the unprivileged user owns.
fn scratch_folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("conclave-postgres-")
        .tempdir()
        .unwrap()
        .keep();
    if let Some((user, group)) = unprivileged() {
        chown(&folder, Some(user), Some(group)).unwrap();
    }
    folder
}

/// A command that lives as long as this process; an empty one only guards the folder.
fn watched(folder: &Path, program: &OsStr) -> Command {
    let mut command = as_user("sh");
    command.args(["-c", WATCH, "watch"]).arg(folder);
    if !program.is_empty() {
        command.arg(program);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

/// PostgreSQL refuses to be run by root.
pub fn as_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// For root, the user and group that the Debian package makes.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let entry = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = entry
        .unwrap_or_else(|| panic!("no user postgres; {INSTALL}"))
        .split(':')
        .collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

const INSTALL: &str = "on Debian: apt-get install postgresql";

/// One of PostgreSQL's programs: the newest that Debian's packages have installed, else whatever is on the path.
fn program(name: &str) -> std::ffi::OsString {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut installed: Vec<(u32, PathBuf)> = versions
        .into_iter()
        .flatten()
        .filter_map(|version| {
            let version = version.ok()?;
            let number = version.file_name().to_str()?.parse().ok()?;
            let program = version.path().join("bin").join(name);
            program.exists().then_some((number, program))
        })
        .collect();
    installed.sort();
    if let Some((_, program)) = installed.pop() {
        return program.into();
    }
    let found = Command::new(name).arg("--version").output().is_ok();
    assert!(found, "{name} is missing; {INSTALL}");
    name.into()
}
