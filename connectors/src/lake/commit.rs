//! What a commit writes: gathers the buffer into files and encodes them side by side, in staging.

use super::account::{self, AccountRow};
use super::bars_file::{self, BarRows};
use super::bars_plan::{BarPlan, Origin, Selection, read_affected};
use super::error::LakeError;
use super::layout::{Day, Layout, Partition, STAGING, Table, file_name};
use super::manifest::{self, LakeFile, LakeState, staged_name};
use super::market::{self, MarketRow};
use super::parquet_file::{self, Written, create_folder};
use super::rows_file::{self, TickRow};
use super::trades_file::{self, Record, TradeRow};
use super::{LakeConfig, rejects_file};
use parquet::basic::ZstdLevel;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tidewheel_schemas::{AcceptedRows, BarVersion, Reject, TableSpec, TickOutput};

/// Files written and files that they replace, not yet committed.
pub(super) struct Staged {
    pub added: Vec<LakeFile>,
    pub removed: Vec<String>,
    pub superseded_rows: u64,
    /// The name of their folder.
    pub staging: String,
}

/// What the buffer of a lake holds.
pub(super) struct Buffered<'a> {
    pub ticks: &'a [TickOutput],
    pub closing: &'a [BarVersion],
    /// Whether committed rows of `bars` that are not final go: their run has ended, and this one goes on.
    pub drops_open: bool,
}

/// Writes all files of the next commit into its staging folder.
pub(super) fn stage(
    layout: &Layout,
    config: &LakeConfig,
    zstd_level: ZstdLevel,
    state: &LakeState,
    buffered: &Buffered,
) -> Result<Staged, LakeError> {
    let mut plan = BarPlan::gather(buffered.ticks, buffered.closing, &config.intervals);
    let affected = plan.affected_files(layout, state, buffered.drops_open)?;
    let affected_rows = read_affected(layout, &affected)?;
    affected_rows.iter().for_each(|rows| plan.add(rows, Origin::Committed));
    let names = plan.rank();
    let partitions: Vec<_> = plan.partitions.iter().collect();
    let selections =
        in_parallel(config.threads, &partitions, |(_, partition)| Ok(partition.select(buffered.drops_open)))?;

    let seq = state.seq + 1;
    let staging = manifest::staging_name(STAGING, seq);
    let mut jobs = Jobs { seq, max_rows: config.max_rows_per_file.max(1), jobs: Vec::new() };
    for (&(&(interval, day), partition), selection) in partitions.iter().zip(&selections) {
        let of = |table| Partition { table, interval: Some(interval), member: None, day };
        let rows = BarRows { rows: &partition.rows, ranks: &partition.ranks, names: &names, order: &[] };
        if config.changelog && selection.bars == selection.changelog {
            jobs.add_bars(of(Table::Bars), Some(of(Table::BarsChangelog)), rows, &selection.bars);
        } else {
            jobs.add_bars(of(Table::Bars), None, rows, &selection.bars);
            if config.changelog {
                jobs.add_bars(of(Table::BarsChangelog), None, rows, &selection.changelog);
            }
        }
    }
    let trades = if config.archive { trades_by_day(buffered.ticks) } else { BTreeMap::new() };
    jobs.add_trades(Table::Trades, &trades);
    let market = if config.archive { market_by_day(buffered.ticks) } else { BTreeMap::new() };
    jobs.add_market(&market);
    let account = if config.archive { account_by_day(buffered.ticks) } else { BTreeMap::new() };
    jobs.add_account(&account);
    let late = late_by_day(buffered.ticks);
    jobs.add_trades(Table::Late, &late);
    let rejects = rejects_by_day(buffered.ticks);
    jobs.add_rejects(&rejects);
    let rows = rows_by_day(buffered.ticks);
    jobs.add_rows(&config.tables, &rows);

    let added = jobs.run(layout, &layout.staged(&staging), config, zstd_level)?;
    Ok(Staged {
        added,
        removed: affected.iter().map(|(_, file)| file.path.clone()).collect(),
        superseded_rows: selections.iter().map(|selection: &Selection| selection.superseded).sum(),
        staging,
    })
}

/// One file to be written.
struct Job<'a> {
    partition: Partition<'a>,
    /// A second table that gets the same file.
    twin: Option<Partition<'a>>,
    name: String,
    rows: Rows<'a>,
}

enum Rows<'a> {
    Bars(BarRows<'a>),
    Trades(&'a [TradeRow<'a>]),
    Market(&'a [MarketRow<'a>]),
    Account(&'a [AccountRow<'a>]),
    Rejects(&'a [(u64, &'a Reject)]),
    Beside(&'a TableSpec, &'a [TickRow<'a>]),
}

struct Jobs<'a> {
    seq: u64,
    max_rows: usize,
    jobs: Vec<Job<'a>>,
}

impl<'a> Jobs<'a> {
    fn add_bars(&mut self, partition: Partition<'a>, twin: Option<Partition<'a>>, rows: BarRows<'a>, order: &'a [u32]) {
        for (number, order) in evenly(order, self.max_rows).enumerate() {
            self.add(partition, twin, number, Rows::Bars(BarRows { order, ..rows }));
        }
    }

    fn add_trades(&mut self, table: Table, days: &'a BTreeMap<Day, Vec<TradeRow<'a>>>) {
        for (&day, rows) in days {
            for (number, rows) in evenly(rows, self.max_rows).enumerate() {
                self.add(Partition { table, interval: None, member: None, day }, None, number, Rows::Trades(rows));
            }
        }
    }

    fn add_market(&mut self, days: &'a BTreeMap<(Table, Day), Vec<MarketRow<'a>>>) {
        for (&(table, day), rows) in days {
            for (number, rows) in evenly(rows, self.max_rows).enumerate() {
                self.add(Partition { table, interval: None, member: None, day }, None, number, Rows::Market(rows));
            }
        }
    }

    fn add_account(&mut self, days: &'a BTreeMap<(Table, Day), Vec<AccountRow<'a>>>) {
        for (&(table, day), rows) in days {
            for (number, rows) in evenly(rows, self.max_rows).enumerate() {
                self.add(Partition { table, interval: None, member: None, day }, None, number, Rows::Account(rows));
            }
        }
    }

    fn add_rejects(&mut self, days: &'a BTreeMap<Day, Vec<(u64, &'a Reject)>>) {
        for (&day, rows) in days {
            for (number, rows) in evenly(rows, self.max_rows).enumerate() {
                let partition = Partition { table: Table::Rejects, interval: None, member: None, day };
                self.add(partition, None, number, Rows::Rejects(rows));
            }
        }
    }

    fn add_rows(&mut self, tables: &'a [Arc<TableSpec>], days: &'a BTreeMap<(u16, Day), Vec<TickRow<'a>>>) {
        for (&(number, day), rows) in days {
            let spec = &tables[usize::from(number)];
            let table = Table::of_family(&spec.family).expect("every family of rows has a table");
            let partition = Partition { table, interval: None, member: spec.member.as_deref(), day };
            for (number, rows) in evenly(rows, self.max_rows).enumerate() {
                self.add(partition, None, number, Rows::Beside(spec, rows));
            }
        }
    }

    fn add(&mut self, partition: Partition<'a>, twin: Option<Partition<'a>>, number: usize, rows: Rows<'a>) {
        self.jobs.push(Job { partition, twin, name: file_name(self.seq, number), rows });
    }

    /// Writes all files and makes the folders that they will go to. The n-th file returned is staged as the n-th.
    fn run(
        self,
        layout: &Layout,
        staging: &Path,
        config: &LakeConfig,
        zstd_level: ZstdLevel,
    ) -> Result<Vec<LakeFile>, LakeError> {
        create_folder(staging)?;
        let mut jobs: Vec<(usize, Job)> = Vec::with_capacity(self.jobs.len());
        let mut number = 0;
        for job in self.jobs {
            for partition in [Some(job.partition), job.twin].into_iter().flatten() {
                create_folder(&layout.data(&partition.to_string()))?;
            }
            let files = 1 + usize::from(job.twin.is_some());
            jobs.push((number, job));
            number += files;
        }
        // The longest first, so that no thread is left with it at the end.
        jobs.sort_by_key(|(_, job)| std::cmp::Reverse(job.rows.len()));
        let written = in_parallel(config.threads, &jobs, |(number, job)| {
            job.write(staging, *number, config, zstd_level).map(|files| (*number, files))
        })?;
        let by_number: BTreeMap<usize, Vec<LakeFile>> = written.into_iter().collect();
        Ok(by_number.into_values().flatten().collect())
    }
}

impl Job<'_> {
    fn write(
        &self,
        staging: &Path,
        number: usize,
        config: &LakeConfig,
        zstd_level: ZstdLevel,
    ) -> Result<Vec<LakeFile>, LakeError> {
        let path = staging.join(staged_name(number));
        let rows = self.rows.len();
        let is_late = self.partition.table == Table::Late;
        let written = match &self.rows {
            Rows::Bars(bars) => parquet_file::write(&path, &bars_file::kind(), zstd_level, rows, bars.batches()),
            Rows::Trades(trades) => {
                let kind = if is_late { trades_file::late_kind() } else { trades_file::kind() };
                let batches = trades_file::batches(trades, &config.sources, is_late);
                parquet_file::write(&path, &kind, zstd_level, rows, batches)
            }
            Rows::Market(records) => {
                let table = self.partition.table;
                let batches = market::batches(records, &config.sources, table);
                parquet_file::write(&path, &market::kind(table), zstd_level, rows, batches)
            }
            Rows::Account(records) => {
                let table = self.partition.table;
                let batches = account::batches(records, &config.sources, table);
                parquet_file::write(&path, &account::kind(table), zstd_level, rows, batches)
            }
            Rows::Rejects(rejects) => {
                let batches = rejects_file::batches(rejects, &config.sources);
                parquet_file::write(&path, &rejects_file::kind(), zstd_level, rows, batches)
            }
            Rows::Beside(spec, of_table) => {
                parquet_file::write(&path, &rows_file::kind(spec), zstd_level, rows, rows_file::batches(of_table, spec))
            }
        }?;
        let mut files = vec![self.file(self.partition, written)];
        if let Some(twin) = self.twin {
            link_or_copy(&path, &staging.join(staged_name(number + 1)))?;
            files.push(self.file(twin, written));
        }
        Ok(files)
    }

    fn file(&self, partition: Partition<'_>, written: Written) -> LakeFile {
        let (min_time_ns, max_time_ns) = self.rows.times_ns();
        LakeFile {
            table: partition.table,
            path: format!("{partition}/{}", self.name),
            rows: self.rows.len() as u64,
            bytes: written.bytes,
            crc32: written.crc32,
            min_time_ns,
            max_time_ns,
            open_rows: if partition.table == Table::Bars { self.rows.open() } else { 0 },
        }
    }
}

impl Rows<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bars(bars) => bars.order.len(),
            Self::Trades(trades) => trades.len(),
            Self::Market(records) => records.len(),
            Self::Account(records) => records.len(),
            Self::Rejects(rejects) => rejects.len(),
            Self::Beside(_, rows) => rows.len(),
        }
    }

    /// Bars that are not final.
    fn open(&self) -> u64 {
        let Self::Bars(bars) = self else { return 0 };
        bars.order.iter().filter(|&&row| !bars.rows[row as usize].is_final).count() as u64
    }

    /// Least and greatest time, nanoseconds.
    fn times_ns(&self) -> (i64, i64) {
        match self {
            Self::Bars(bars) => least_and_greatest(bars.order.iter().map(|&row| bars.rows[row as usize].open_time_ns)),
            Self::Trades(trades) => least_and_greatest(trades.iter().map(TradeRow::time_ns)),
            Self::Market(records) => least_and_greatest(records.iter().map(|(_, record)| record.event_time_ns)),
            Self::Account(records) => least_and_greatest(records.iter().map(|(_, record)| record.event_time_ns)),
            Self::Rejects(rejects) => least_and_greatest(rejects.iter().map(|(tick, _)| tick_ns(*tick))),
            Self::Beside(_, rows) => least_and_greatest(rows.iter().map(|(_, row)| row.event_time_ns)),
        }
    }
}

fn least_and_greatest(times: impl Iterator<Item = i64>) -> (i64, i64) {
    times.fold((i64::MAX, i64::MIN), |(least, greatest), time| (least.min(time), greatest.max(time)))
}

/// A tick in nanoseconds, for the ranges in the manifest.
pub(super) fn tick_ns(tick: u64) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// Cuts into the fewest pieces of at most `max_rows`, of nearly the same length.
fn evenly<T>(rows: &[T], max_rows: usize) -> impl Iterator<Item = &[T]> {
    let pieces = rows.len().div_ceil(max_rows).max(1);
    rows.chunks(rows.len().div_ceil(pieces).max(1))
}

/// Gives a file a second name, or a second copy where the file system has no links.
fn link_or_copy(from: &Path, to: &Path) -> Result<(), LakeError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()).map_err(LakeError::io("copy into", to))
}

/// Maps items on several threads, in their order. After an error no new item is begun.
fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    map: impl Fn(&T) -> Result<R, LakeError> + Sync,
) -> Result<Vec<R>, LakeError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = map(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().expect("no thread panics while it holds the lock").push((at, result));
        }
    };
    std::thread::scope(|scope| {
        (1..threads.min(items.len())).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut results = results.into_inner().expect("no thread panics while it holds the lock");
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The accepted rows and amendments of all ticks by day of their trade, each day in the order of arrival.
fn trades_by_day(ticks: &[TickOutput]) -> BTreeMap<Day, Vec<TradeRow<'_>>> {
    let mut days: BTreeMap<Day, Vec<TradeRow>> = BTreeMap::new();
    for tick in ticks {
        let mut add = |record| {
            let row = TradeRow { tick, record };
            days.entry(Day::of_ns(row.time_ns())).or_default().push(row);
        };
        if tick.amendments.is_empty() && tick.accepted.windows(2).all(|pair| precedes(&pair[0], &pair[1])) {
            tick.accepted.iter().flat_map(records).for_each(|(_, record)| add(record));
        } else {
            let amendment = |amendment| (arrival(Record::Amendment(amendment)), Record::Amendment(amendment));
            let mut records: Vec<_> =
                tick.accepted.iter().flat_map(records).chain(tick.amendments.iter().map(amendment)).collect();
            records.sort_by_key(|(arrival, _)| *arrival);
            records.into_iter().for_each(|(_, record)| add(record));
        }
    }
    days
}

fn records(accepted: &AcceptedRows) -> impl Iterator<Item = ((u32, u64, u32), Record<'_>)> {
    let record = |&row| Record::Row(&accepted.columns, row);
    accepted.rows.iter().map(record).map(|record| (arrival(record), record))
}

/// Source partition, position, and row among those of one message; amendments come after its trades.
fn arrival(record: Record) -> (u32, u64, u32) {
    match record {
        Record::Row(columns, row) => (columns.partition, columns.position[row as usize], row),
        Record::Amendment(amendment) => (amendment.partition, amendment.position, u32::MAX),
        Record::Late(late) => (late.source().0, late.source().1, 0),
    }
}

/// Whether all of one chunk came before all of another.
fn precedes(one: &AcceptedRows, other: &AcceptedRows) -> bool {
    let (Some(&last), Some(&first)) = (one.rows.last(), other.rows.first()) else { return true };
    arrival(Record::Row(&one.columns, last)) < arrival(Record::Row(&other.columns, first))
}

/// The market records of all ticks by table and day of their event time, each day in the order of arrival.
fn market_by_day(ticks: &[TickOutput]) -> BTreeMap<(Table, Day), Vec<MarketRow<'_>>> {
    let mut days: BTreeMap<(Table, Day), Vec<MarketRow>> = BTreeMap::new();
    for tick in ticks {
        for record in &tick.market {
            let key = (market::table_of(record), Day::of_ns(record.event_time_ns));
            days.entry(key).or_default().push((tick.tick, record));
        }
    }
    days
}

/// The records of accounts of all ticks by table and day of their event time, each day in the order of arrival.
fn account_by_day(ticks: &[TickOutput]) -> BTreeMap<(Table, Day), Vec<AccountRow<'_>>> {
    let mut days: BTreeMap<(Table, Day), Vec<AccountRow>> = BTreeMap::new();
    for tick in ticks {
        for record in &tick.account {
            let key = (account::table_of(record), Day::of_ns(record.event_time_ns));
            days.entry(key).or_default().push((tick.tick, record));
        }
    }
    days
}

fn late_by_day(ticks: &[TickOutput]) -> BTreeMap<Day, Vec<TradeRow<'_>>> {
    let mut days: BTreeMap<Day, Vec<TradeRow>> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| !tick.late.is_empty()) {
        let rows = tick.late.iter().map(|late| TradeRow { tick, record: Record::Late(late) });
        days.entry(Day::of_tick(tick.tick)).or_default().extend(rows);
    }
    days
}

fn rejects_by_day(ticks: &[TickOutput]) -> BTreeMap<Day, Vec<(u64, &Reject)>> {
    let mut days: BTreeMap<Day, Vec<(u64, &Reject)>> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| !tick.rejects.is_empty()) {
        days.entry(Day::of_tick(tick.tick)).or_default().extend(tick.rejects.iter().map(|reject| (tick.tick, reject)));
    }
    days
}

/// The rows of the tables beside the bars by table and day of their event time, sorted for their file.
fn rows_by_day(ticks: &[TickOutput]) -> BTreeMap<(u16, Day), Vec<TickRow<'_>>> {
    let mut days: BTreeMap<(u16, Day), Vec<TickRow>> = BTreeMap::new();
    for tick in ticks {
        for row in &tick.rows {
            days.entry((row.table, Day::of_ns(row.event_time_ns))).or_default().push((tick.tick, row));
        }
    }
    days.values_mut().for_each(|rows| rows_file::sort(rows));
    days
}
