//! FoundationDB clusters of the tests' own: server processes on free ports of the loopback interface, with their data in
//! a scratch folder, gone when the test process ends, however it ends.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a cluster may take to start on a busy machine, in seconds.
const PATIENCE_S: &str = "90";

/// Runs its arguments after the first, a folder, until standard input ends, which it does with the test process. Then
/// kills them. What interrupts the test process does not interrupt this.
const WATCH: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
"$@" >>"$folder/output" 2>&1 &
echo $! >"$folder/pid.new"
mv "$folder/pid.new" "$folder/pid"
cat >/dev/null
kill -KILL $!
wait $!
"#;

/// Removes a folder once standard input ends. Servers that end at the same time may still write to it.
const GUARD: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
for pause in 0 0.2 1 3; do sleep $pause; rm -rf "$1" && [ ! -e "$1" ] && exit; done
"#;

/// How a cluster keeps its data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// One process that keeps everything in memory, and a log of it on the disk.
    Memory,
    /// One process with files.
    Ssd,
    /// Three processes, each row in two of them.
    Double,
}

/// A cluster, and the folder with its data.
pub(crate) struct Cluster {
    folder: PathBuf,
    servers: Vec<Server>,
    guard: Child,
}

struct Server {
    port: u16,
    folder: PathBuf,
    watch: Option<Child>,
}

impl Cluster {
    /// Makes one, and waits until it can be used.
    pub(crate) fn start(layout: Layout) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("conclave-foundationdb-")
            .tempdir()
            .unwrap()
            .keep();
        let guard = script(GUARD).arg(&folder).spawn().unwrap();
        let (processes, configuration) = match layout {
            Layout::Memory => (1, "new single memory"),
            Layout::Ssd => (1, "new single ssd"),
            Layout::Double => (3, "new double memory"),
        };
        // Held together, so that they are different ones.
        let ports: Vec<TcpListener> = (0..processes)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = ports.iter().map(|port| port.local_addr().unwrap().port());
        let servers = ports.map(|port| {
            let folder = folder.join(port.to_string());
            std::fs::create_dir(&folder).unwrap();
            Server {
                port,
                folder,
                watch: None,
            }
        });
        let servers: Vec<Server> = servers.collect();
        let mut cluster = Self {
            folder,
            servers,
            guard,
        };
        let addresses: Vec<String> = cluster.servers.iter().map(Server::address).collect();
        let text = format!("test:test@{}\n", addresses.join(","));
        std::fs::write(cluster.cluster_file(), text).unwrap();
        cluster.run();
        cluster.tell(&format!("configure {configuration}"));
        cluster
    }

    /// Names the cluster to clients.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.folder.join("fdb.cluster")
    }

    /// Starts all processes that do not run.
    pub(crate) fn run(&mut self) {
        let file = self.cluster_file();
        for server in &mut self.servers {
            server.run(&file);
        }
    }

    /// Kills all processes, as if the machine had stopped.
    pub(crate) fn kill(&mut self) {
        self.servers.iter_mut().for_each(Server::kill);
    }

    /// Kills one process.
    pub(crate) fn kill_one(&mut self, index: usize) {
        self.servers[index].kill();
    }

    /// Sends a signal to each process.
    pub(crate) fn signal(&self, signal: Signal) {
        for server in &self.servers {
            kill_process(server.process(), signal).unwrap();
        }
    }

    /// Has `fdbcli` do something, and returns what it prints.
    pub(crate) fn tell(&self, command: &str) -> String {
        let output = Command::new(program("fdbcli"))
            .arg("-C")
            .arg(self.cluster_file())
            .args(["--exec", command, "--timeout", PATIENCE_S])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "fdbcli {command}: {text}");
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl Server {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn run(&mut self, cluster_file: &Path) {
        if self.watch.is_some() {
            return;
        }
        // Each is a machine of its own in the eyes of the cluster, so that it keeps copies in several.
        let machine = self.port.to_string();
        let watch = script(WATCH)
            .arg(&self.folder)
            .arg(program("fdbserver"))
            .args(["--public-address", &self.address(), "--cluster-file"])
            .arg(cluster_file)
            .arg("--datadir")
            .arg(&self.folder)
            .arg("--logdir")
            .arg(&self.folder)
            .args(["--locality-zoneid", &machine])
            .args(["--locality-machineid", &machine])
            .args(["--memory", "2GiB"])
            .spawn();
        self.watch = Some(watch.unwrap());
        while !self.folder.join("pid").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn process(&self) -> Pid {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
    }

    fn kill(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            drop(watch.stdin.take());
            watch.wait().unwrap();
            std::fs::remove_file(self.folder.join("pid")).unwrap();
        }
    }
}

/// The folder with `bin` and `lib`, where the environment names one; else the system knows where they are.
fn home() -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "where the tests find servers")]
    std::env::var_os("FDB_HOME").map(PathBuf::from)
}

/// FoundationDB's client library.
pub(crate) fn library() -> PathBuf {
    home().map_or("libfdb_c.so".into(), |home| home.join("lib/libfdb_c.so"))
}

/// One of FoundationDB's programs.
pub(crate) fn program(name: &str) -> OsString {
    home().map_or(name.into(), |home| home.join("bin").join(name).into())
}

fn script(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text, "watch"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command
}
