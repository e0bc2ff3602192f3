//! History as it happened: the ticks of a live run, made again from its lake alone.
//!
//! The log of ticks says what each tick was called, its watermark, and whether provisional bars were due; the archive says
//! which trades, cancels, corrections and market records were taken in at it, and what was late or refused. The graph, given these, says at
//! every tick what it said then. Duplicates are not kept, and change nothing.

mod error;
mod order;

pub use error::RecordedError;

use crate::bindings::{Binding, LogFiles, Opening};
use crate::config::{Cadence, ViewDefinition};
use crate::engine::{SourceTick, TickInput};
use crate::pipeline::PipelineConfig;
use crate::recovery::{ANSWERS, Settings, bindings_folder};
use crate::scoring::{self, CommandRecord, ControlFact, Decided, Desk, Verdict, Wanted};
use crate::tables::{KeptRecord, Tables};
use order::Arrivals;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_connectors::lake::archive::{Archive, ArchivedTick, Damage};
use tidewheel_connectors::lake::rows::RowsByTick;
use tidewheel_connectors::lake::{LakeState, Table, versions};
use tidewheel_operators::TickHeader;
use tidewheel_operators::features::View;
use tidewheel_operators::scoring::Activation;
use tidewheel_operators::tape::RowSlice;
use tidewheel_operators::watermark::MarketClock;
use tidewheel_schemas::{Amendment, Counters};

/// The history of a lake, from its first tick to the last that is committed.
#[derive(Debug)]
pub struct Recorded {
    root: PathBuf,
    state: LakeState,
    settings: Settings,
    views: Vec<View>,
    log: LogFiles,
    archive: Archive,
    /// The records of the control topic, and where they were decided, if models are loaded; none where there was no such topic.
    control: Option<(RowsByTick, Option<Desk>)>,
    names: Vec<String>,
    /// Names by the numbers that amendments carry, which order them; see [`Arrivals`].
    numbered: Arc<[String]>,
    arrivals: Arrivals,
    first_tick: u64,
    /// Stops whose open bars the lake holds.
    closings: BTreeSet<u64>,
    ticks: std::vec::IntoIter<Binding>,
    last_tick: Option<u64>,
    watermark_ns: i64,
    /// That of records, as logged.
    record_watermark_ns: i64,
    counters: Counters,
    damages: BTreeSet<Damage>,
    /// Late records that were filed with another watermark than their tick's: position in the source, theirs, the tick's.
    misdated: Vec<(u64, i64, i64)>,
    folder: PathBuf,
}

impl Recorded {
    /// Opens the history of a lake as its newest commit has it. `state_folder` is where the run keeps its log of ticks,
    /// `_tidewheel` in the lake unless given.
    ///
    /// # Errors
    /// If there is no lake, no archive or no log, the log was written by a program that gives other answers, or something
    /// cannot be read.
    pub fn open(lake: &Path, state_folder: Option<&Path>) -> Result<Self, RecordedError> {
        let (state, mut closings) = versions::open_bars(lake)?;
        if state.seq == 0 {
            return Err(RecordedError::NoLake { lake: lake.to_owned() });
        }
        let folder = bindings_folder(&state_folder.map_or_else(|| lake.join("_tidewheel"), Path::to_owned));
        // The log is read after the manifest, and so reaches at least as far.
        let about = About::read(&folder, &state)?;
        let archived: u64 = rows_of(&state, &Table::ARCHIVE);
        if archived == 0 && state.progress.counters.accepted > 0 {
            return Err(RecordedError::NoArchive { lake: lake.to_owned() });
        }
        // The stop of the run that wrote the newest commit is in it; that of an earlier run is told by the bars it left.
        if about.stops_at_frontier {
            closings.insert(state.progress.tick_frontier - 1);
        }
        let archive = Archive::open(lake, &state, &about.names)?;
        let views = views(&folder, &about.settings)?;
        let tables = tables_of(&about.settings, &views);
        let control = match tables.specs().iter().position(|spec| &*spec.family == "control") {
            Some(number) => {
                let rows = RowsByTick::open(lake, &state, &tables.specs()[number], number as u16, 0)?;
                let desk = match &about.settings.scoring {
                    Some(rules) => Desk::new(&about.registry.unwrap_or_default(), views.clone(), rules.history_rows),
                    None => Desk::without_models(),
                };
                Some((rows, Some(desk)))
            }
            None => None,
        };
        Ok(Self {
            root: lake.to_owned(),
            log: LogFiles::open(&folder)?,
            views,
            control,
            settings: about.settings,
            first_tick: about.first_tick,
            arrivals: Arrivals::new(about.names.len()),
            numbered: about.names.clone().into(),
            names: about.names,
            archive,
            closings,
            state,
            ticks: Vec::new().into_iter(),
            last_tick: None,
            watermark_ns: i64::MIN,
            record_watermark_ns: i64::MIN,
            counters: Counters::default(),
            damages: BTreeSet::new(),
            misdated: Vec::new(),
            folder,
        })
    }

    /// What the lake held when it was opened.
    pub const fn lake(&self) -> &LakeState {
        &self.state
    }

    /// What the run computed.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of the source partitions, by number.
    pub fn sources(&self) -> &[String] {
        &self.names
    }

    /// The first tick of the history. The topics may hold earlier ones, of a run that this one replaced.
    pub const fn first_tick(&self) -> u64 {
        self.first_tick
    }

    /// Records that the archive holds of those that were taken in.
    pub fn archived(&self) -> u64 {
        rows_of(&self.state, &Table::ARCHIVE) + rows_of(&self.state, &[Table::Control])
    }

    /// Has models loaded from another registry than the one that the run had.
    pub fn load_models_from(&mut self, registry: &Path) {
        if let (Some((_, desk)), Some(rules)) = (&mut self.control, &self.settings.scoring) {
            *desk = Some(Desk::new(registry, self.views.clone(), rules.history_rows));
        }
    }

    /// Loads no models: for those who ask for what comes before scores. The graph must then score nothing.
    pub fn leave_models_out(&mut self) {
        if let Some((_, desk)) = &mut self.control {
            *desk = None;
        }
    }

    /// Refuses where the archive is not all that was taken in.
    ///
    /// # Errors
    /// If rows are missing.
    pub fn require_all(&self) -> Result<(), RecordedError> {
        let (archived, accepted) = (self.archived(), self.state.progress.counters.accepted);
        if archived == accepted {
            return Ok(());
        }
        Err(RecordedError::Incomplete { lake: self.root.clone(), archived, accepted })
    }

    /// The graph that computed it.
    pub fn pipeline(&self, archive: bool) -> PipelineConfig {
        PipelineConfig {
            intervals: self.settings.intervals.clone(),
            lateness_ns: self.settings.lateness.as_ns(),
            horizon_ns: self.settings.horizon.as_ns(),
            archive,
            is_saved: false,
            views: self.views.clone(),
            scoring: self.settings.scoring.clone(),
            min_quality: self.settings.quality(),
            hourly_volume: self.settings.hourly_volume,
            risk: self.settings.risk.as_ref().map(|rules| rules.config.clone()),
        }
    }

    /// The views of the run.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The tables beside the bars.
    pub fn tables(&self) -> Tables {
        tables_of(&self.settings, &self.views)
    }

    /// Files that are not what their manifest says, as far as they were read.
    pub const fn damages(&self) -> &BTreeSet<Damage> {
        &self.damages
    }

    /// Late records that were filed with another watermark than their tick's: position in the source, theirs, the tick's.
    pub fn misdated(&self) -> &[(u64, i64, i64)] {
        &self.misdated
    }

    /// Records handed out so far.
    pub const fn records(&self) -> u64 {
        self.counters.read
    }

    /// The next tick; none after the last that is wholly in the lake.
    ///
    /// # Errors
    /// If the log or the archive cannot be read, or they do not belong together.
    pub fn next_tick(&mut self) -> Result<Option<TickInput>, RecordedError> {
        let binding = loop {
            match self.ticks.next() {
                Some(binding) => break binding,
                None => match self.log.next_file()? {
                    Some((opening, ticks)) => {
                        self.arrivals.begin(&opening, &self.names);
                        self.ticks = ticks.into_iter();
                    }
                    None => return Ok(None),
                },
            }
        };
        if binding.tick >= self.state.progress.tick_frontier {
            return Ok(None);
        }
        let taken = self.archive.take(binding.tick);
        self.damages.extend(self.archive.damages());
        let taken = taken?;
        let control = self.control(&binding)?;
        let mut input = self.input(&binding, taken, control.len() as u64);
        for (fact, activation) in control {
            input.activations.extend(activation);
            if self.settings.risk.is_some() {
                input.orders.extend(scoring::order_of(&fact.record));
            }
            input.source.control.push(fact);
        }
        Ok(Some(input))
    }

    /// The records of the control topic in a tick, with what was decided about them then.
    fn control(&mut self, binding: &Binding) -> Result<Vec<TakenFact>, RecordedError> {
        let Some((rows, desk)) = &mut self.control else { return Ok(Vec::new()) };
        let has_risk = self.settings.risk.is_some();
        let (mut sources, mut records, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        let other = || RecordedError::Control { tick: binding.tick };
        for row in rows.take(binding.tick)? {
            let kept = KeptRecord::of(&row).ok_or_else(other)?;
            let record = CommandRecord::parse(kept.raw.as_bytes(), kept.position, kept.receive_time_ns);
            let record = record.map_err(|_| other())?;
            if has_risk && matches!(record.wanted, Wanted::Risk(_)) {
                orders.push((ControlFact::of_order(kept.source, record), None));
                continue;
            }
            records.push(record);
            sources.push(kept.source);
        }
        self.damages.extend(rows.damages());
        let decided = match desk {
            Some(desk) => desk.repeat(binding.tick, &records, &binding.control)?,
            None => {
                let positions: Vec<u64> = records.iter().map(|record| record.position).collect();
                let verdicts = Verdict::read(&binding.control, &positions).ok_or_else(other)?;
                verdicts.into_iter().map(|verdict| Decided { verdict, activation: None }).collect()
            }
        };
        let facts = sources.into_iter().zip(records).zip(decided);
        let facts = facts.map(|((source, record), Decided { verdict, activation })| {
            (ControlFact { source, record, verdict }, activation)
        });
        Ok(facts.chain(orders).collect())
    }

    fn input(&mut self, binding: &Binding, taken: ArchivedTick, control: u64) -> TickInput {
        let ArchivedTick { trades, mut amendments, market, account, late, rejects } = taken;
        let header = self.header(binding);
        // Logs of versions without it had the markets forget by the watermark of trades.
        let after_ns = binding.record_watermark_ns.unwrap_or(i64::MIN);
        let before_ns = std::mem::replace(&mut self.record_watermark_ns, after_ns);
        let market_clock = MarketClock::of(&header, before_ns, after_ns, self.settings.horizon.as_ns());
        self.arrivals.order(&mut amendments);
        self.arrivals.advance(binding, &self.names, self.settings.horizon.as_ns());
        self.name(&amendments);
        let rows: usize = trades.iter().map(|trades| trades.rows.len()).sum();
        let refused: u64 = rejects.iter().map(|reject| reject.records).sum();
        let records = rows + amendments.len() + market.len() + account.len() + late.len();
        self.counters.read += records as u64 + refused + control;
        // Where there is risk it counts them.
        let accounts = if self.settings.risk.is_some() { 0 } else { account.len() as u64 };
        self.counters.accepted += control + accounts;
        self.counters.late += late.len() as u64;
        rejects.iter().for_each(|reject| self.counters.reject_all(reject.reason, reject.records));
        let slices = trades.into_iter().map(|trades| RowSlice { columns: trades.columns, ranges: vec![trades.rows] });
        let late = late.into_iter().map(|(late, watermark_ns)| {
            if watermark_ns != binding.watermark_ns {
                self.misdated.push((late.source().1, watermark_ns, binding.watermark_ns));
            }
            late
        });
        let source = SourceTick {
            late: late.collect(),
            rejects,
            counters: self.counters.clone(),
            partitions: Some(Arc::clone(&self.numbered)),
            ..SourceTick::default()
        };
        let slices = slices.collect();
        let records = TickInput { slices, amendments, market, account, is_live: true, ..TickInput::of(header) };
        TickInput { market_clock, source, ..records }
    }

    /// As the run's own ticker made it.
    fn header(&mut self, binding: &Binding) -> TickHeader {
        let publish_provisional = match self.settings.provisional_every {
            Cadence::Never => false,
            Cadence::Every(every) => {
                let period = |tick: u64| tick / every.as_ms().max(1);
                self.last_tick.is_none_or(|last| period(last) != period(binding.tick))
            }
        };
        let watermark_before_ns = std::mem::replace(&mut self.watermark_ns, binding.watermark_ns);
        self.last_tick = Some(binding.tick);
        TickHeader {
            tick: binding.tick,
            frozen_ns: TickHeader::frozen_at(watermark_before_ns, self.settings.horizon.as_ns()),
            watermark_ns: binding.watermark_ns,
            publish_provisional,
            // Only has the open bars told: the run that went on afterwards computed as if it had not been stopped.
            is_last: binding.is_last && self.closings.contains(&binding.tick),
            save: None,
            is_restore: false,
        }
    }

    /// Has a name for every number that an amendment carries.
    fn name(&mut self, amendments: &[Amendment]) {
        let greatest = amendments.iter().map(|amendment| amendment.partition as usize).max().unwrap_or_default();
        if greatest >= self.numbered.len() {
            let rounds = (greatest + 1).div_ceil(self.names.len().max(1));
            self.numbered = self.names.iter().cycle().take(rounds * self.names.len()).cloned().collect();
        }
    }

    /// Whether the log held a line that does not count: what a crash left, or damage beyond the last commit.
    pub fn junk(&self) -> Option<String> {
        self.log.junk().map(|(path, line)| format!("{} line {line}", path.display()))
    }

    /// Where the log lies.
    pub fn log_folder(&self) -> &Path {
        &self.folder
    }
}

fn rows_of(state: &LakeState, tables: &[Table]) -> u64 {
    tables.iter().flat_map(|&table| state.of(table)).map(|file| file.rows).sum()
}

/// A record of the control topic with what was decided about it, and what takes effect.
type TakenFact = (ControlFact, Option<Arc<Activation>>);

/// The tables of a run beside its bars.
fn tables_of(settings: &Settings, views: &[View]) -> Tables {
    let is_scored = settings.scoring.is_some();
    Tables::of_run(views, settings.quality(), is_scored)
        .with_hourly_volume(settings.hourly_volume)
        .with_risk(settings.risk.is_some(), is_scored)
}

/// What must be known of a log before its ticks.
struct About {
    settings: Settings,
    /// All partitions, those found later included.
    names: Vec<String>,
    /// Whether the newest commit is that of a stop.
    stops_at_frontier: bool,
    first_tick: u64,
    /// The registry of the last run.
    registry: Option<PathBuf>,
}

impl About {
    fn read(folder: &Path, state: &LakeState) -> Result<Self, RecordedError> {
        let mut files = LogFiles::open(folder)?;
        let last_committed = state.progress.tick_frontier.checked_sub(1);
        let (mut settings, mut names) = (None::<Settings>, Vec::new());
        let (mut last, mut first_tick, mut stops_at_frontier, mut registry) = (None, None, false, None);
        while let Some((opening, ticks)) = files.next_file()? {
            check(folder, &opening, settings.as_ref())?;
            if settings.is_none() && opening.follows.is_some() {
                return Err(RecordedError::Cut { folder: folder.to_owned(), first: opening.after_tick });
            }
            let found = ticks.iter().flat_map(|binding| &binding.found);
            names = opening.partitions.iter().chain(found).cloned().collect();
            first_tick = first_tick.or(ticks.first().map(|binding| binding.tick));
            last = ticks.last().map(|binding| binding.tick).or(last);
            let at_frontier = ticks.iter().find(|binding| Some(binding.tick) == last_committed);
            stops_at_frontier |=
                at_frontier.is_some_and(|binding| binding.is_last && opening.run == state.progress.run);
            settings = Some(opening.settings);
            registry = opening.registry.or(registry);
        }
        let Some(settings) = settings else {
            return Err(RecordedError::NoLog { folder: folder.to_owned() });
        };
        if last < last_committed {
            let junk = files.junk().map(|(path, line)| format!("{} line {line} is damaged", path.display()));
            return Err(RecordedError::LogBehind { folder: folder.to_owned(), last, committed: last_committed, junk });
        }
        Ok(Self { settings, names, stops_at_frontier, first_tick: first_tick.unwrap_or_default(), registry })
    }
}

/// The views of a run, where this program has the same.
fn views(folder: &Path, settings: &Settings) -> Result<Vec<View>, RecordedError> {
    let other = |detail| RecordedError::Views { folder: folder.to_owned(), detail };
    let resolved = settings.views.iter().map(ViewDefinition::resolve).collect::<Result<Vec<_>, _>>();
    let views = resolved.map_err(|error| other(error.to_string()))?;
    for (view, then) in views.iter().zip(&settings.contracts) {
        let now = view.contract();
        if let Some((then, now)) = then.iter().zip(&now).find(|(then, now)| then != now) {
            return Err(other(format!("it computed {then:?}, and this program {now:?}")));
        }
    }
    Ok(views)
}

fn check(folder: &Path, opening: &Opening, before: Option<&Settings>) -> Result<(), RecordedError> {
    let answers = opening.settings.answers;
    if answers != ANSWERS {
        let (run, version) = (opening.run.clone(), opening.version.clone());
        return Err(RecordedError::Answers { folder: folder.to_owned(), run, version, answers });
    }
    let differences = before.map(|before| before.differences(&opening.settings)).unwrap_or_default();
    if differences.is_empty() {
        return Ok(());
    }
    Err(RecordedError::Settings { folder: folder.to_owned(), run: opening.run.clone(), differences })
}
