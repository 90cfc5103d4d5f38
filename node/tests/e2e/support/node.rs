//! Nodes under test: the real binary in a scratch folder, on a port of its own.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bao::{self, Outcome};
use super::http::Request;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conclave");
/// A loaded machine starts a debug build slowly.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Another process may take the port between its choice and its use.
const START_TRIES: usize = 5;

/// A node, running or not, and its folder.
pub struct TestNode {
    folder: TempDir,
    port: u16,
    /// The port of what stands before it.
    front: Option<u16>,
    child: Option<Child>,
    storage: String,
    settings: String,
    listener_settings: String,
}

/// The storage of a node on its own.
pub const EMBEDDED: &str = "storage \"embedded\" {\n  path = \"./data\"\n}";

/// An add-on as `conclave addon` printed it.
pub struct AddOn {
    pub id: String,
    pub root_token: String,
    pub user_token: String,
}

/// A node whose default add-on is initialised and unsealed.
pub struct Opened {
    pub node: TestNode,
    pub addon: AddOn,
    pub shares: Vec<String>,
    /// The opaque initial root token.
    pub root: String,
}

impl TestNode {
    /// A running node with the smallest configuration.
    pub fn start() -> Self {
        Self::start_with("", "")
    }

    /// A running node with more lines in the configuration: at the top, and in the listener.
    pub fn start_with(settings: &str, listener_settings: &str) -> Self {
        let mut node = Self::stopped(EMBEDDED, settings, listener_settings);
        node.run();
        node
    }

    /// A node that has not been started, with this `storage` block.
    pub fn stopped(storage: &str, settings: &str, listener_settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        std::fs::create_dir(folder.path().join("home")).expect("a folder");
        Self {
            folder,
            port: 0,
            front: None,
            child: None,
            storage: storage.into(),
            settings: settings.into(),
            listener_settings: listener_settings.into(),
        }
    }

    /// Starts it again, on another port, on what the folder holds.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        for _ in 0..START_TRIES {
            self.port = free_port();
            self.write_config();
            let child = self.spawn(&["server", "--config", "node.hcl"]);
            if self.came_up(child) {
                return;
            }
        }
        panic!("the node does not start:\n{}", self.log());
    }

    /// What a start says that is refused.
    pub fn refused_start(&mut self) -> Outcome {
        self.port = free_port();
        self.write_config();
        self.conclave(None, &["server", "--config", "node.hcl"])
            .expect(1)
    }

    /// Writes its configuration, `node.hcl`, as a start does.
    pub fn write_config(&self) {
        let text = format!(
            "{}\n{}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{}\"\n  {}\n  {}\n}}\n",
            self.settings,
            self.storage,
            self.port,
            if self.listener_settings.contains("tls_") {
                ""
            } else {
                "tls_disable = true"
            },
            self.listener_settings,
        );
        std::fs::write(self.folder.path().join("node.hcl"), text).expect("a file");
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("node.log"))
            .expect("a log file");
        let output = File::create(self.folder.path().join("node.out")).expect("a file");
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .spawn()
            .expect("the node starts")
    }

    /// Waits until the child listens; false when it ended.
    #[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
    fn came_up(&mut self, mut child: Child) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(self.address()).is_ok() {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        false
    }

    /// What it logged, for a look at what went wrong.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("node.log")).unwrap_or_default()
    }

    /// What it printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("node.out")).unwrap_or_default()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it is spoken to.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.front.unwrap_or(self.port))
    }

    /// From now on it is spoken to through what listens on this port.
    pub fn speak_through(&mut self, port: u16) {
        self.front = Some(port);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks it to stop, without waiting.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Has it read its certificates and open its audit files again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Kills it without waiting for its end.
    pub fn kill_by_id(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("a signal");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().expect("it ends")
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    /// A request to it; `path` is below `/v1/`.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(&self.address(), method, &format!("/v1/{path}"))
    }

    /// `conclave` in the node's folder.
    pub fn conclave(&self, token: Option<&str>, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env("VAULT_ADDR", self.url())
            .stdin(Stdio::null());
        if let Some(token) = token {
            command.env("VAULT_TOKEN", token);
        }
        command.output().expect("conclave runs").into()
    }

    /// `conclave` in the node's folder, with something on standard input.
    pub fn conclave_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let file = self.folder.path().join("input");
        std::fs::write(&file, input).expect("a file");
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(File::open(&file).expect("a file"));
        command.output().expect("conclave runs").into()
    }

    /// The `bao` CLI with the token of the last `bao login`, or `token`.
    pub fn bao(&self, token: Option<&str>, arguments: &[&str]) -> Outcome {
        self.bao_with_input(token, arguments, "")
    }

    /// The same with something on standard input.
    pub fn bao_with_input(&self, token: Option<&str>, arguments: &[&str], input: &str) -> Outcome {
        let home = self.folder.path().join("home");
        bao::bao(&home, &self.url(), token, arguments, input)
    }

    /// `conclave addon ...`, which must succeed, as JSON.
    pub fn addon_command(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["addon"];
        all.extend(arguments);
        all.extend(["--config", "node.hcl", "--format", "json"]);
        let outcome = self.conclave(None, &all).expect(0);
        serde_json::from_str(&outcome.output).expect("JSON")
    }

    /// Makes an add-on.
    pub fn create_addon(&self, name: &str) -> AddOn {
        AddOn::from_json(&self.addon_command(&["create", name, "--org", "orga_1"]))
    }

    /// The add-on that the first start made.
    pub fn default_addon(&self) -> AddOn {
        AddOn::from_json(&self.addon_command(&["show", "default", "--tokens"]))
    }

    /// Initialises an add-on; gives its shares and its initial root token.
    pub fn init(&self, addon: &AddOn, shares: u8, threshold: u8) -> (Vec<String>, String) {
        let body = json!({ "secret_shares": shares, "secret_threshold": threshold });
        let request = self.request("PUT", "sys/init").token(&addon.root_token);
        let made = request.json(&body).send().expect(200).json();
        let shares = made["keys_base64"].as_array().expect("shares").iter();
        let shares = shares
            .map(|share| share.as_str().expect("text").to_owned())
            .collect();
        (
            shares,
            made["root_token"].as_str().expect("a token").to_owned(),
        )
    }

    /// Hands in shares of an add-on, the last of which must open it.
    pub fn unseal(&self, addon: &AddOn, shares: &[String]) {
        let mut status = Value::Null;
        for share in shares {
            let request = self.request("PUT", "sys/unseal").token(&addon.root_token);
            status = request
                .json(&json!({ "key": share }))
                .send()
                .expect(200)
                .json();
        }
        assert_eq!(status["sealed"], false, "{status}");
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
    }
}

impl AddOn {
    fn from_json(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().expect("text").to_owned();
        Self {
            id: text("id"),
            root_token: text("root_token"),
            user_token: text("user_token"),
        }
    }
}

/// What `conclave` prints, given some input; it must succeed.
pub fn program(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("conclave starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("conclave ends");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A running node whose default add-on is initialised with 3 shares, 2 needed, and unsealed.
pub fn opened_node() -> Opened {
    open(TestNode::start())
}

/// Initialises and unseals the default add-on of a node.
pub fn open(node: TestNode) -> Opened {
    let addon = node.default_addon();
    let (shares, root) = node.init(&addon, 3, 2);
    node.unseal(&addon, &shares[..2]);
    Opened {
        node,
        addon,
        shares,
        root,
    }
}

/// A node started with `--dev` and these arguments, unsealed, with the root token "root".
pub fn dev_node() -> TestNode {
    let mut node = TestNode::stopped("", "", "");
    for _ in 0..START_TRIES {
        node.port = free_port();
        let address = node.address();
        let arguments = [
            "server",
            "--dev",
            "--dev-root-token-id",
            "root",
            "--dev-listen-address",
            &address,
        ];
        let child = node.spawn(&arguments);
        if node.came_up(child) {
            return node;
        }
    }
    panic!("the dev node does not start:\n{}", node.log());
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Opened {
    /// A request with the initial root token.
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.node.request(method, path).token(&self.root)
    }

    /// Writes with the initial root token; the answer must be `status`.
    #[track_caller]
    pub fn write(&self, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.request("POST", path).json(body).send().expect(status);
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// Reads with the initial root token; the answer must be `status`.
    #[track_caller]
    pub fn read(&self, path: &str, status: u16) -> Value {
        self.request("GET", path).send().expect(status).json()
    }
}
