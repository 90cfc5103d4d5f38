//! A real HAProxy before some nodes, which gives each request to the next of them.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::node::free_port;

const INSTALL: &str = "these tests need HAProxy; on Debian: apt-get install haproxy";

/// The balancer, which ends with this.
pub struct Balancer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Balancer {
    /// Starts one before the nodes at these addresses, and waits until it takes requests. It looks at `/readyz`.
    #[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
    pub fn before<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let port = free_port();
        let mut configuration = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend all\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  option httpchk GET /readyz\n"
        );
        for (number, address) in addresses.into_iter().enumerate() {
            configuration += &format!("  server n{number} {address} check inter 200ms\n");
        }
        let file = folder.path().join("haproxy.cfg");
        let mut written = std::fs::File::create(&file).expect("a file");
        written
            .write_all(configuration.as_bytes())
            .expect("written");
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(INSTALL);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
