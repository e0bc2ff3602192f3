//! A run and what is done to it.

use crate::harness::kafka::{Broker, PATIENCE};
use crate::kafka_live::program::{Setup, tidewheel};
use crate::kafka_live::readers::last_progress;
use rand::Rng;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidewheel_connectors::fault::POINTS;
use tidewheel_schemas::Counters;

/// What goes wrong inside one life of the process; from outside it is killed, paused or stopped besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It dies at a fault point, the n-th time.
    Point(&'static str, u32),
    /// The lake's disk is full for a while.
    DiskFull,
    /// The broker dies and comes back.
    BrokerDies,
    /// A second process is started with the same configuration.
    SecondInstance,
    /// It stands still for longer than a transaction may be open.
    Pause,
}

impl Fault {
    pub fn any(random: &mut impl Rng) -> Self {
        let points: Vec<&'static str> =
            POINTS.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("compact.")).collect();
        match random.random_range(0..100) {
            0..50 => Self::Point(points[random.random_range(0..points.len())], random.random_range(1..4)),
            50..58 => Self::DiskFull,
            58..63 => Self::BrokerDies,
            63..70 => Self::SecondInstance,
            70..75 => Self::Pause,
            _ => Self::None,
        }
    }
}

/// One campaign: a run that is begun again and again.
pub struct Campaign {
    broker: Broker,
    setup: Setup,
    folder: PathBuf,
    process: Option<Child>,
    fault: Fault,
    /// Length of what was logged before the process was started.
    logged: usize,
    pub kills: u32,
    pub starts: u32,
    pub log: Vec<String>,
    begun: Instant,
}

impl Campaign {
    pub fn new(broker: Broker, setup: Setup, folder: &Path) -> Self {
        Self {
            broker,
            setup,
            folder: folder.to_owned(),
            process: None,
            fault: Fault::None,
            logged: 0,
            kills: 0,
            starts: 0,
            log: Vec::new(),
            begun: Instant::now(),
        }
    }

    fn note(&mut self, text: &str) {
        let line = format!("{:8.3} s  start {}  {text}", self.begun.elapsed().as_secs_f64(), self.starts);
        println!("{line}");
        self.log.push(line);
    }

    fn flag(&self) -> PathBuf {
        self.folder.join("disk-is-full")
    }

    /// Starts the process with a fault in store.
    pub fn begin(&mut self, workers: u16, fault: Fault) {
        self.starts += 1;
        let mut command = tidewheel(&["run", "--config", &self.setup.file(), "--workers", &workers.to_string()]);
        let rules = match &fault {
            Fault::Point(point, time) => format!("{point}:{time}=kill"),
            Fault::DiskFull => format!("lake.staged=full:{}", self.flag().display()),
            _ => String::new(),
        };
        command.env("TIDEWHEEL_FAULT", rules);
        self.logged = self.errors().len();
        let errors = File::options().create(true).append(true).open(self.folder.join("errors")).expect("space");
        let process = command.stdout(Stdio::null()).stderr(errors).spawn().expect("the program starts");
        self.process = Some(process);
        self.note(&format!("{workers} workers, {fault:?}"));
        self.fault = fault;
    }

    /// Lets it run, with its fault.
    pub fn go_on(&mut self, time: Duration) {
        match self.fault {
            Fault::DiskFull => {
                std::thread::sleep(time / 2);
                File::create(self.flag()).expect("space");
                std::thread::sleep(Duration::from_millis(1_000));
                std::fs::remove_file(self.flag()).expect("the flag is there");
                std::thread::sleep(time / 2);
            }
            Fault::BrokerDies => {
                std::thread::sleep(time / 2);
                self.broker.kill();
                std::thread::sleep(time / 4);
                self.broker.resume();
                std::thread::sleep(time);
            }
            Fault::SecondInstance => {
                std::thread::sleep(Duration::from_millis(500) + time / 2);
                self.start_second();
            }
            Fault::Pause => {
                std::thread::sleep(Duration::from_millis(500) + time / 2);
                self.signal("-STOP");
                std::thread::sleep(Duration::from_millis(4_500));
                self.signal("-CONT");
                std::thread::sleep(time);
            }
            Fault::Point(..) | Fault::None => std::thread::sleep(time),
        }
    }

    /// A second process finds the state in use, and the first goes on.
    fn start_second(&mut self) {
        if !self.is_alive() {
            return;
        }
        let mut command = tidewheel(&["run", "--config", &self.setup.file()]);
        let output = command.output().expect("the program starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("lock") || told.contains("another"), "{told}");
        self.note("the second process was refused");
    }

    fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().expect("a child can be asked").is_none())
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("it runs").id().to_string();
        // One that died meanwhile takes no signal.
        let _ = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status();
    }

    /// Kills it, or, now and then, has it stop in good order.
    pub fn end(&mut self, random: &mut impl Rng) {
        if random.random_bool(0.1) && self.is_alive() {
            self.signal("-TERM");
        } else {
            self.signal("-KILL");
        }
        let mut process = self.process.take().expect("it was begun");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = process.try_wait().expect("a child can be asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let is_killed = status.code().is_none();
        self.kills += u32::from(is_killed);
        self.note(&format!("ended by {status}"));
        let is_fair = is_killed || status.success() || matches!(self.fault, Fault::Pause | Fault::BrokerDies);
        assert!(is_fair, "{status}: {}", self.errors());
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.join("errors")).unwrap_or_default()
    }

    pub fn wait_until_read(&mut self, records: u64) -> Counters {
        let (brokers, prefix) = (self.setup.brokers.clone(), self.setup.prefix.clone());
        let counters = last_progress(&brokers, &prefix, || self.is_alive(), |counters| counters.read >= records);
        counters.unwrap_or_else(|| panic!("the run ended too soon: {}", self.errors()))
    }

    /// Stops it in good order, once it is at work: all may have been committed before it was started, and one that has only
    /// just begun does not listen for signals yet.
    pub fn stop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_alive() && !self.errors()[self.logged..].contains(" recovered ") {
            assert!(Instant::now() < deadline, "the run does not begin: {}", self.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal("-TERM");
        let status = self.process.take().expect("it was begun").wait().expect("a child can be waited for");
        assert!(status.success(), "{status}: {}", self.errors());
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
            println!("{}", self.errors());
        }
    }
}
