//! Fault points: named moments at which a test or a drill has the real program die, fail or wait.
//!
//! This exists for tests and drills, and is off unless the environment variable `TIDEWHEEL_FAULT` names points when the
//! process starts. It holds rules, with commas between:
//!
//! ```text
//! lake.committed=kill                the process dies there, at once, with nothing cleaned up
//! lake.committed:3=kill              the third time only
//! lake.staged=full                   an error: no space left
//! lake.staged=full:/tmp/flag         the same, as long as that file exists
//! lake.publishing=denied             an error that does not pass: permission denied
//! lake.staged=sleep:500              waits so many milliseconds
//! lake.staged=hold:/tmp/flag         waits as long as that file exists
//! lake.staged=panic                  panics: what kills the program, and what a test in process can catch
//! ```
//!
//! A point is one line in [`POINTS`] and one call of [`reached`] with its name. Unset, that call is one atomic load.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The environment variable that names points and what happens there.
pub const VARIABLE: &str = "TIDEWHEEL_FAULT";

/// All points: their names, and the moment each stands for.
pub const POINTS: &[(&str, &str)] = &[
    ("lake.staged", "the data files of a commit are written; its manifest is not"),
    ("lake.manifest_staged", "the manifest is written too, but has no name yet"),
    ("lake.committed", "the manifest has its name; an error here leaves the commit's result unknown"),
    ("lake.publishing", "before each file of a commit is moved or deleted, and once after the last"),
    ("compact.staged", "the same moments of a compaction"),
    ("compact.manifest_staged", "the same"),
    ("compact.committed", "the same"),
    ("compact.publishing", "the same"),
    ("snapshot.parts", "the parts of a snapshot are durable; nothing names them"),
    ("snapshot.staged", "what names them is durable too, but has no name yet"),
    ("snapshot.committed", "it has its name"),
    ("snapshot.forgotten", "older snapshots are deleted; their parts are not"),
    ("kafka.fenced", "the writer before is fenced; how far it came is not read yet"),
    ("kafka.mid_transaction", "a record of a tick is about to be written into the open transaction"),
    ("kafka.written", "the records of a tick are in the open transaction"),
    ("kafka.committed", "the transaction is committed; nobody has taken note"),
    ("registry.staged", "the files of a model version are durable; they are not in their place"),
    ("registry.committed", "they are in their place"),
    ("registry.alias_staged", "a changed history of aliases is durable; the old one is still in its place"),
    ("registry.alias_committed", "it is in its place"),
    ("model.runtime", "the runtime of a model is about to read, build or run it; only a panic is done here"),
    ("bindings.synced", "the ticks of a commit are in the log; the commit has not begun"),
];

/// How often a held point looks whether it may go on.
const HOLD_POLL: Duration = Duration::from_millis(5);

/// What happens at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Panic,
    Denied,
    /// Always, or as long as a file exists.
    Full(Option<PathBuf>),
    Sleep(Duration),
    Hold(PathBuf),
}

#[derive(Debug)]
struct Rule {
    point: &'static str,
    /// Which time, from 1; each time if absent.
    time: Option<u64>,
    action: Action,
    reached: AtomicU64,
}

/// Rules for fault points. A clone shares their counts.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<[Rule]>,
}

/// Rules that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct FaultError {
    rule: String,
    detail: String,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, detail } = self;
        write!(f, "could not understand {rule:?} in {VARIABLE}: {detail}")
    }
}

impl Faults {
    /// Reads rules: `point=action` or `point:time=action`, with commas between. Nothing in an empty text.
    ///
    /// # Errors
    /// If a point or an action is unknown; the message lists those there are.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let rules = text.split(',').map(str::trim).filter(|rule| !rule.is_empty());
        let rules = rules.map(|rule| Rule::parse(rule).map_err(|detail| FaultError { rule: rule.to_owned(), detail }));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// The rules of the process; none unless it was configured.
    pub fn of_process() -> Self {
        PROCESS.get().cloned().unwrap_or_default()
    }

    /// Says that a point is reached, and does what the rules say of it.
    ///
    /// # Errors
    /// If a rule asks for one: `StorageFull` or `PermissionDenied`.
    ///
    /// # Panics
    /// If a rule asks for it.
    pub fn reached(&self, point: &str) -> io::Result<()> {
        debug_assert!(POINTS.iter().any(|(name, _)| *name == point), "{point} is not in the table of points");
        self.rules.iter().filter(|rule| rule.point == point).try_for_each(Rule::reached)
    }
}

static IS_CONFIGURED: AtomicBool = AtomicBool::new(false);
static PROCESS: OnceLock<Faults> = OnceLock::new();

/// Takes the rules of the process from the environment. For `main`, before anything else; later calls change nothing.
///
/// # Errors
/// If they cannot be understood.
pub fn configure_from_environment() -> Result<(), FaultError> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let faults = Faults::parse(&text.to_string_lossy())?;
    IS_CONFIGURED.store(!PROCESS.get_or_init(|| faults).rules.is_empty(), Ordering::Relaxed);
    Ok(())
}

/// Says that a point is reached, and does what the rules of the process say of it.
///
/// # Errors
/// If a rule asks for one.
///
/// # Panics
/// If a rule asks for it.
#[inline]
pub fn reached(point: &str) -> io::Result<()> {
    if !IS_CONFIGURED.load(Ordering::Relaxed) {
        return Ok(());
    }
    Faults::of_process().reached(point)
}

impl Rule {
    fn parse(rule: &str) -> Result<Self, String> {
        let (place, action) = rule.split_once('=').ok_or("it is not of the form POINT=ACTION")?;
        let (name, time) = match place.split_once(':') {
            Some((name, time)) => {
                let time = time.parse().ok().filter(|time| *time > 0);
                (name, Some(time.ok_or("the time is not a number from 1")?))
            }
            None => (place, None),
        };
        let point = POINTS.iter().find(|(known, _)| *known == name).map(|(known, _)| *known);
        let point = point.ok_or_else(|| {
            let known: Vec<&str> = POINTS.iter().map(|(known, _)| *known).collect();
            format!("there is no point {name:?}, only {}", known.join(", "))
        })?;
        Ok(Self { point, time, action: Action::parse(action)?, reached: AtomicU64::new(0) })
    }

    fn reached(&self) -> io::Result<()> {
        let time = 1 + self.reached.fetch_add(1, Ordering::Relaxed);
        if self.time.is_some_and(|only| only != time) {
            return Ok(());
        }
        let error = |kind| Err(io::Error::new(kind, format!("the fault asked for at {}", self.point)));
        match &self.action {
            Action::Kill => std::process::abort(),
            Action::Panic => panic!("the fault asked for at {}", self.point),
            Action::Denied => error(io::ErrorKind::PermissionDenied),
            Action::Full(flag) if flag.as_ref().is_none_or(|flag| flag.exists()) => error(io::ErrorKind::StorageFull),
            Action::Full(_) => Ok(()),
            Action::Sleep(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
            Action::Hold(flag) => {
                while flag.exists() {
                    std::thread::sleep(HOLD_POLL);
                }
                Ok(())
            }
        }
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once(':').map_or((text, None), |(name, argument)| (name, Some(argument)));
        match (name, argument) {
            ("kill", None) => Ok(Self::Kill),
            ("panic", None) => Ok(Self::Panic),
            ("denied", None) => Ok(Self::Denied),
            ("full", flag) => Ok(Self::Full(flag.map(PathBuf::from))),
            ("hold", Some(flag)) => Ok(Self::Hold(PathBuf::from(flag))),
            ("sleep", Some(time)) => match time.parse() {
                Ok(ms) => Ok(Self::Sleep(Duration::from_millis(ms))),
                Err(_) => Err(format!("{time:?} is not a number of milliseconds")),
            },
            _ => Err(format!(
                "there is no action {text:?}, only kill, panic, denied, full, full:FILE, hold:FILE, sleep:MS"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Faults::parse(text).expect_err("not a rule").to_string()
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        let error = refused("lake.staged=kill,lake.stagd=kill");
        assert!(
            error.contains("\"lake.stagd=kill\"") && error.contains("lake.staged, lake.manifest_staged"),
            "{error}"
        );
        assert!(refused("lake.staged=explode").contains("only kill, panic, denied, full"));
        for wrong in
            ["lake.staged", "lake.staged:0=kill", "lake.staged:x=kill", "lake.staged=sleep:soon", "lake.staged=hold"]
        {
            assert!(refused(wrong).contains(wrong), "{wrong}");
        }
        assert!(Faults::parse("").expect("no rules").rules.is_empty());
    }

    #[test]
    fn rules_act_at_their_point_their_time_and_while_their_file_exists() {
        let flag = tempfile::NamedTempFile::new().expect("a file");
        let rules =
            format!("lake.staged:2=full, lake.committed=full:{}, lake.publishing=denied", flag.path().display());
        let faults = Faults::parse(&rules).expect("rules");
        let kind = |point| faults.reached(point).err().map(|error| error.kind());
        assert_eq!(kind("lake.manifest_staged"), None);
        assert_eq!(
            [kind("lake.staged"), kind("lake.staged"), kind("lake.staged")],
            [None, Some(io::ErrorKind::StorageFull), None]
        );
        assert_eq!(kind("lake.publishing"), Some(io::ErrorKind::PermissionDenied));
        assert_eq!(kind("lake.committed"), Some(io::ErrorKind::StorageFull));
        drop(flag);
        assert_eq!(kind("lake.committed"), None);
    }

    #[test]
    fn points_have_names_of_a_part_and_a_moment_each_once() {
        for (number, (name, meaning)) in POINTS.iter().enumerate() {
            assert!(
                name.split('.').count() == 2 && !name.contains([':', '=', ',', ' ']) && !meaning.is_empty(),
                "{name}"
            );
            assert!(POINTS[..number].iter().all(|(other, _)| other != name), "{name} stands there twice");
        }
    }
}
