//! A raw HTTP client: sends exactly what a test says, so odd methods, headers and bodies are possible.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes, so that a node that hangs fails its test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One request to be.
#[must_use]
pub struct Request {
    address: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// `target` is the path with its query, as it goes over the wire.
    pub fn new(address: &str, method: &str, target: &str) -> Self {
        Self {
            address: address.into(),
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("X-Vault-Token", token)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// Sends it and reads the whole answer.
    pub fn send(self) -> Answer {
        let shown = format!("{} {}", self.method, self.target);
        self.try_send()
            .unwrap_or_else(|error| panic!("{shown}: {error}"))
    }

    /// The same, when the node may be gone.
    pub fn try_send(self) -> std::io::Result<Answer> {
        let stream = self.begin()?;
        read_answer(stream, self.method == "HEAD")
    }

    /// Sends it and hands over the connection.
    pub fn begin(&self) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(self.head().as_bytes())?;
        // A node may answer and close before it has read all of a body that is too long.
        let _ = stream.write_all(&self.body);
        Ok(stream)
    }

    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut header = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            header("Host", &self.address);
        }
        header("Connection", "close");
        if !self.body.is_empty() {
            header("Content-Length", &self.body.len().to_string());
        }
        for (name, value) in &self.headers {
            header(name, value);
        }
        head + "\r\n"
    }
}

/// Reads one answer to the end.
pub fn read_answer(stream: TcpStream, is_head: bool) -> std::io::Result<Answer> {
    let broken = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let mut body = Vec::new();
    if is_head {
    } else if header("transfer-encoding") == Some("chunked") {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let bytes = usize::from_str_radix(line.trim(), 16).map_err(|_| broken("chunk"))?;
            let mut chunk = vec![0; bytes + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..bytes]);
            if bytes == 0 {
                break;
            }
        }
    } else if let Some(length) = header("content-length") {
        body = vec![0; length.parse().map_err(|_| broken("length"))?];
        reader.read_exact(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    let body = String::from_utf8(body).map_err(|_| broken("not UTF-8"))?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {} {:?}", self.status, self.body))
    }

    /// The envelope's `data`.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Fails the test unless it is `status` with exactly these error texts.
    #[track_caller]
    pub fn expect_errors(self, status: u16, errors: &[&str]) -> Self {
        let expected = serde_json::json!({ "errors": errors });
        assert_eq!((self.status, self.json()), (status, expected));
        self
    }

    /// Fails the test unless it is `status` with an error that contains `text`.
    #[track_caller]
    pub fn expect_error_with(self, status: u16, text: &str) -> Self {
        let answer = self.expect(status);
        let json = answer.json();
        let errors = json["errors"].as_array().expect("an error list");
        let found = errors
            .iter()
            .filter_map(Value::as_str)
            .any(|error| error.contains(text));
        assert!(found, "no {text:?} in {json}");
        answer
    }
}
