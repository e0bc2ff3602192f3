//! The input that a lake keeps, read back tick by tick: what was taken in, what came too late, what was refused.
//!
//! Nothing is taken from where one file ends and the next begins: files of all days and commits, joined since or not, are
//! merged by the column `tick`, in whose order the rows of a file lie. In memory are one batch of each file that holds rows
//! of the present tick, and the range of ticks of each file to come. Files are held against their checksum when they are
//! opened. One that a later commit has replaced meanwhile is looked up again in the newest manifest.

mod rows;
mod table;

pub use table::Damage;
pub(super) use table::{Span, checksum, has_gone, spans_of};

use super::error::LakeError;
use super::layout::{Layout, Table};
use super::manifest::{self, LakeState};
use foldhash::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use table::TableReader;
use tidewheel_schemas::{AccountRecord, Amendment, LateRecord, MarketRecord, Reject, TradeColumns};

/// Rows of a batch that lie in one tick.
#[derive(Clone, Debug)]
pub struct ArchivedRows {
    /// The trades, of one source partition.
    pub columns: Arc<TradeColumns>,
    /// Which of them.
    pub rows: Range<u32>,
}

/// All that the lake keeps of a tick's input.
#[derive(Clone, Debug, Default)]
pub struct ArchivedTick {
    /// Trades taken in.
    pub trades: Vec<ArchivedRows>,
    /// Cancels and corrections taken in, in the order of the archive. Their raw bytes are not kept.
    pub amendments: Vec<Amendment>,
    /// Quotes, books, marks, funding and liquidations taken in, by source position.
    pub market: Vec<MarketRecord>,
    /// Fills and what became of them, cash, order intents and their ends, reference data taken in, by source position.
    pub account: Vec<AccountRecord>,
    /// Late records, each with the watermark that was written beside it, nanoseconds.
    pub late: Vec<(LateRecord, i64)>,
    /// Dead letters.
    pub rejects: Vec<Reject>,
}

impl ArchivedTick {
    fn append(&mut self, mut other: Self) {
        self.trades.append(&mut other.trades);
        self.amendments.append(&mut other.amendments);
        self.market.append(&mut other.market);
        self.account.append(&mut other.account);
        self.late.append(&mut other.late);
        self.rejects.append(&mut other.rejects);
    }
}

/// The numbers of the source partitions, by name.
#[derive(Debug)]
pub(super) struct Sources(HashMap<String, u32>);

impl Sources {
    fn number_of(&self, name: &str) -> Result<u32, String> {
        let unnamed = || name.strip_prefix("partition ")?.parse().ok();
        let known = self.0.get(name).copied().or_else(unnamed);
        known.ok_or_else(|| format!("source {name:?} is not in the log of ticks"))
    }
}

/// A lake's input, to be read in the order of its ticks.
#[derive(Debug)]
pub struct Archive {
    trades: TableReader,
    market: [TableReader; 5],
    account: [TableReader; 6],
    late: TableReader,
    rejects: TableReader,
}

impl Archive {
    /// Opens what `state` lists. `sources` names the source partitions by number.
    ///
    /// # Errors
    /// If a file that the newest manifest lists cannot be read.
    pub fn open(root: &Path, state: &LakeState, sources: &[String]) -> Result<Self, LakeError> {
        let layout = Layout { root: root.to_owned() };
        let sources = sources.iter().cloned().zip(0..).collect();
        let sources = Arc::new(Sources(sources));
        let open = |table| TableReader::open(&layout, state, table, &sources);
        let [quotes, books, marks, funding, liquidations] = Table::MARKET.map(open);
        let [fills, fill_amendments, cash, intents, ends, instruments] = Table::ACCOUNT.map(open);
        Ok(Self {
            trades: open(Table::Trades)?,
            market: [quotes?, books?, marks?, funding?, liquidations?],
            account: [fills?, fill_amendments?, cash?, intents?, ends?, instruments?],
            late: open(Table::Late)?,
            rejects: open(Table::Rejects)?,
        })
    }

    /// Takes the rows of a tick. Ticks must ascend, and none that has rows may be left out.
    ///
    /// # Errors
    /// If a file cannot be read, or holds rows of a tick that was left out.
    pub fn take(&mut self, tick: u64) -> Result<ArchivedTick, LakeError> {
        let mut taken = self.trades.take(tick)?;
        for table in self.market.iter_mut().chain(&mut self.account) {
            taken.append(table.take(tick)?);
        }
        // Each table has its own files, and a day's files are several.
        taken.market.sort_unstable_by_key(MarketRecord::source);
        taken.account.sort_unstable_by_key(AccountRecord::source);
        taken.append(self.late.take(tick)?);
        taken.append(self.rejects.take(tick)?);
        Ok(taken)
    }

    /// Files that are not what the manifest says they are, found since the last call. Their rows were read all the same.
    pub fn damages(&mut self) -> Vec<Damage> {
        let tables = [&mut self.trades, &mut self.late, &mut self.rejects].into_iter().chain(&mut self.market);
        let tables = tables.chain(&mut self.account);
        tables.flat_map(|table| std::mem::take(&mut table.damages)).collect()
    }
}

/// What the newest manifest lists; an empty state where there is no lake.
pub(super) fn newest(layout: &Layout) -> Result<LakeState, LakeError> {
    Ok(manifest::read_state(layout)?.unwrap_or_default())
}
