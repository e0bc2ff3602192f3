//! Raw bytes of dead letters on their way back: into a file for `replay`, or into a topic for `run`.

use super::letters::Letter;
use crate::commands::CommandError;
use crate::commands::brokers::BrokerArgs;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};

/// Where raw bytes go.
pub struct Target {
    to: To,
    written: u64,
    /// Source and position of the message written last: its other letters hold it again.
    last: Option<(String, u64)>,
    /// Of these no bytes were kept, or only the beginning.
    incomplete: u64,
    /// These hold line ends and are not JSON: no line of a file can hold them.
    many_lines: u64,
}

enum To {
    File { path: PathBuf, file: BufWriter<File> },
    Topic(Box<Publisher>),
}

impl Target {
    /// A new file.
    pub fn file(path: &Path) -> Result<Self, CommandError> {
        let file = File::create_new(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                CommandError::Usage(format!("{} exists already: name a new file", path.display()))
            }
            _ => CommandError::File { path: path.to_owned(), source },
        })?;
        Ok(Self::new(To::File { path: path.to_owned(), file: BufWriter::new(file) }))
    }

    /// A topic.
    pub fn topic(topic: &str, cluster: &BrokerArgs) -> Result<Self, CommandError> {
        let timeout = cluster.timeout.as_duration();
        let publisher = Publisher::connect(cluster.required()?, topic, &cluster.properties(), timeout)?;
        Ok(Self::new(To::Topic(Box::new(publisher))))
    }

    const fn new(to: To) -> Self {
        Self { to, written: 0, last: None, incomplete: 0, many_lines: 0 }
    }

    /// Writes a letter's raw bytes. False where the letter before was of the same message; false, and counted, where they
    /// cannot be written as they were.
    pub fn write(&mut self, letter: &Letter) -> Result<bool, CommandError> {
        if letter.is_cut || letter.raw.is_empty() {
            self.incomplete += 1;
            return Ok(false);
        }
        let source = (letter.source.clone(), letter.position);
        if self.last.as_ref() == Some(&source) {
            return Ok(false);
        }
        match &mut self.to {
            To::Topic(publisher) => publisher.send(&Outgoing {
                key: None,
                payload: &letter.raw,
                timestamp_ms: letter.receive_time_ns.map(|time| time.div_euclid(1_000_000)),
            })?,
            To::File { path, file } => {
                let Some(line) = one_line(&letter.raw) else {
                    self.many_lines += 1;
                    return Ok(false);
                };
                // CSV has no place for a receive time, so only JSON gets one.
                let is_json = matches!(line.first(), Some(b'{' | b'[' | b'"'));
                let prefix = letter.receive_time_ns.filter(|_| is_json).map(|time| format!("{time} "));
                let write = || -> io::Result<()> {
                    file.write_all(prefix.unwrap_or_default().as_bytes())?;
                    file.write_all(&line)?;
                    file.write_all(b"\n")
                };
                write().map_err(|source| CommandError::File { path: path.clone(), source })?;
            }
        }
        self.written += 1;
        self.last = Some(source);
        Ok(true)
    }

    /// Makes sure that all is written, and tells how much.
    pub fn finish(self, name: &str, out: &mut dyn Write) -> Result<(), CommandError> {
        match self.to {
            To::Topic(publisher) => publisher.finish()?,
            To::File { path, file } => {
                let flushed =
                    file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
                flushed.map_err(|source| CommandError::File { path, source })?;
            }
        }
        let mut tell = || -> io::Result<()> {
            writeln!(out, "{} records written to {name}", self.written)?;
            if self.incomplete > 0 {
                writeln!(out, "{} left out: their bytes were not kept, or only the beginning", self.incomplete)?;
            }
            if self.many_lines > 0 {
                writeln!(out, "{} left out: they hold line ends; use --to-topic for them", self.many_lines)?;
            }
            Ok(())
        };
        tell().map_err(CommandError::Output)
    }
}

/// A record as one line: as it was, or with spaces for line ends where it is JSON, to which these are the same.
fn one_line(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !raw.contains(&b'\n') {
        return Some(Cow::Borrowed(raw));
    }
    serde_json::from_slice::<IgnoredAny>(raw).ok()?;
    Some(raw.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }).collect::<Vec<u8>>().into())
}
