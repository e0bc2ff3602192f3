//! The built program as a process: its config file, its start, its end.

use super::readers::last_progress;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tidewheel_schemas::Counters;

/// The program with arguments, away from the environment of whoever runs the tests.
pub fn tidewheel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWHEEL_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs a command that must succeed, and returns what it printed.
pub fn succeeds(mut command: Command) -> String {
    let output = ended(&mut command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text_of(&output));
    String::from_utf8(output.stdout).expect("the program prints text")
}

/// Runs a command that must fail with a code, and returns what it complained of.
pub fn fails(mut command: Command, code: i32) -> String {
    let output = ended(&mut command);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{}", text_of(&output));
    String::from_utf8(output.stderr).expect("the program prints text")
}

/// Runs a command that may fail, in silence: whether it succeeded.
pub fn ended_well(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What a program left that must end by itself.
fn ended(command: &mut Command) -> Output {
    const PATIENCE: Duration = Duration::from_secs(180);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let id = child.id().to_string();
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if is_over.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    });
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(over);
    watch.join().expect("watching does not panic");
    output
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a live run is configured with. The rest is at its default.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Bootstrap address.
    pub brokers: String,
    /// The topic to read.
    pub topic: String,
    /// What the names of the output topics begin with.
    pub prefix: String,
    /// The lake's folder.
    pub lake: PathBuf,
    /// Worker threads.
    pub workers: u16,
    /// Further lines of the section `[source]`.
    pub source: String,
    /// Further lines of the section `[bars]`.
    pub bars: String,
    /// Further lines of the section `[kafka]`.
    pub kafka: String,
    /// Further sections.
    pub more: String,
}

impl Setup {
    /// A run from a topic to topics called after it and to a lake in `folder`, final bars only.
    pub fn new(brokers: &str, topic: &str, folder: &Path) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            prefix: format!("{topic}-out"),
            lake: folder.join("lake"),
            workers: 2,
            source: String::new(),
            bars: "provisional_every = \"none\"\n".to_owned(),
            kafka: "partitions = 2\n".to_owned(),
            more: String::new(),
        }
    }

    /// The config file's text.
    pub fn text(&self) -> String {
        let Self { brokers, topic, prefix, lake, workers, source, bars, kafka, more } = self;
        let mut text = String::new();
        let _ = writeln!(text, "workers = {workers}");
        let _ =
            writeln!(text, "[source]\nbrokers = {brokers:?}\ntopics = [{topic:?}]\nformat = \"canonical\"\n{source}");
        let _ = writeln!(text, "[bars]\n{bars}");
        let _ = writeln!(text, "[kafka]\nprefix = {prefix:?}\n{kafka}");
        let _ = writeln!(text, "[lake]\npath = {lake:?}\ncommit_every = \"500ms\"\n{more}");
        text
    }

    /// Writes the config file beside the lake.
    pub fn file(&self) -> String {
        let path = self.lake.with_extension("toml");
        std::fs::write(&path, self.text()).expect("a temporary folder can be written to");
        path.display().to_string()
    }

    /// `tidewheel run` with this configuration.
    pub fn command(&self) -> Command {
        tidewheel(&["run", "--config", &self.file()])
    }

    /// Starts `tidewheel run`.
    pub fn start(&self) -> Run {
        self.start_with(&[])
    }

    /// Starts `tidewheel run` with further arguments.
    pub fn start_with(&self, arguments: &[&str]) -> Run {
        let mut command = self.command();
        command.args(arguments);
        self.start_command(command, &self.brokers)
    }

    /// Starts `tidewheel run` with something happening at its fault points.
    pub fn start_with_fault(&self, rules: &str) -> Run {
        let mut command = self.command();
        command.env("TIDEWHEEL_FAULT", rules);
        self.start_command(command, &self.brokers)
    }

    /// Starts a command that runs this, to be looked at through a listener of the brokers that lets everybody in.
    pub fn start_command(&self, mut command: Command, brokers: &str) -> Run {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        Run { child: Some(child), brokers: brokers.to_owned(), prefix: self.prefix.clone() }
    }
}

/// A live run going on. Killed when dropped before its end.
pub struct Run {
    child: Option<Child>,
    brokers: String,
    prefix: String,
}

impl Run {
    /// Waits until the run says in `PREFIX.progress` that it has read so many records, and returns all counts.
    pub fn wait_until_read(&mut self, records: u64) -> Counters {
        let Self { child, brokers, prefix } = self;
        let child = child.as_mut().expect("taken only at its end");
        let is_alive = || child.try_wait().expect("a child can be asked").is_none();
        let counters = last_progress(brokers, prefix, is_alive, |counters| counters.read >= records);
        counters.unwrap_or_else(|| panic!("the run ended too soon: {}", text_of(&self.output())))
    }

    /// Asks it to end as an operator would, and returns what it printed. It must end well.
    pub fn stop(self) -> String {
        self.stop_with_code(0).0
    }

    /// As [`stop`](Self::stop), with what it logged.
    pub fn stop_with_log(self) -> (String, String) {
        self.stop_with_code(0)
    }

    /// Asks it to end, which it must with this code. Returns what it printed and what it complained of.
    pub fn stop_with_code(mut self, code: i32) -> (String, String) {
        let id = self.child.as_ref().expect("taken only at its end").id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let output = self.output();
        assert_eq!(output.status.code(), Some(code), "{}", text_of(&output));
        let text = |bytes| String::from_utf8(bytes).expect("the program prints text");
        (text(output.stdout), text(output.stderr))
    }

    fn output(&mut self) -> Output {
        let child = self.child.take().expect("taken only at its end");
        child.wait_with_output().expect("a child can be waited for")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
