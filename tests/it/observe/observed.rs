//! The built program as a process that is watched: over HTTP, and by what it prints.

use crate::harness::kafka::PATIENCE;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidewheel::http::StatusReport;

/// Lines of standard error, as they come.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// A live run going on, with its HTTP server on a port of its own choice. Killed when dropped before its end.
pub struct Observed {
    child: Option<Child>,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    address: String,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// Its code.
    pub code: u16,
    /// Its type.
    pub content_type: String,
    /// Its text.
    pub body: String,
}

/// What a run printed, and how it ended.
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, line by line.
    pub log: Vec<String>,
}

impl Observed {
    /// Starts a run and waits until its server listens.
    pub fn start(mut command: Command) -> Self {
        command.env("TIDEWHEEL_HTTP__LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Log::default());
        let (stderr, kept) = (child.stderr.take().expect("it is piped"), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = String::from_utf8_lossy(&line.expect("a pipe can be read")).into_owned();
                kept.lines.lock().expect("no reader panics").0.push(line);
                kept.more.notify_all();
            }
            kept.lines.lock().expect("no reader panics").1 = true;
            kept.more.notify_all();
        });
        let mut run = Self { child: Some(child), log, reader: Some(reader), address: String::new() };
        let line = run.wait_for_line("http server listening");
        let address = line.split("127.0.0.1:").nth(1).expect("it names the address");
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        run.address = format!("127.0.0.1:{port}");
        run
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The first line of the log that holds a text.
    pub fn wait_for_line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no reader panics");
        loop {
            if let Some(line) = lines.0.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(!lines.1 && Instant::now() < deadline, "{part:?} was never logged:\n{}", lines.0.join("\n"));
            lines = self.log.more.wait_timeout(lines, Duration::from_millis(100)).expect("no reader panics").0;
        }
    }

    /// Asks for a path.
    pub fn get(&self, path: &str) -> Answer {
        let settings = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = settings.timeout_global(Some(Duration::from_secs(10))).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.address)).call().expect("the server answers");
        let content_type = answer.headers().get("content-type").map(|value| value.to_str().expect("ASCII").to_owned());
        let body = answer.body_mut().read_to_string().expect("text");
        Answer { code: answer.status().as_u16(), content_type: content_type.unwrap_or_default(), body }
    }

    /// Its state.
    pub fn status(&self) -> StatusReport {
        let answer = self.get("/api/v1/status");
        assert_eq!((answer.code, answer.content_type.as_str()), (200, "application/json"));
        serde_json::from_str(&answer.body).expect("the form of a status")
    }

    /// Asks until an answer is as wanted.
    pub fn wait_until<T: std::fmt::Debug>(&self, ask: impl Fn(&Self) -> T, is_wanted: impl Fn(&T) -> bool) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = ask(self);
            if is_wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "still {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to end as an operator would.
    pub fn stop(mut self) -> Ended {
        let child = self.child.take().expect("taken only at its end");
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success());
        let mut child = child;
        let mut stdout = String::new();
        child.stdout.take().expect("it is piped").read_to_string(&mut stdout).expect("text");
        let code = child.wait().expect("a child can be waited for").code();
        self.reader.take().expect("taken only at its end").join().expect("the reader does not panic");
        let log = std::mem::take(&mut self.log.lines.lock().expect("no reader panics").0);
        Ended { code, stdout, log }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
