//! Risk in the graph: one engine of all accounts, on the first worker, fed by every worker.
//!
//! ```text
//!  orders of people ----------------------\
//!  records of accounts --------------------\
//!  tape: minutes' last trades, prices ------+==to worker 0== risk -- positions, accounts, events, answers
//!  market: mids, venue marks, funding -----/                  \----- accepted, refused, counts
//!  final bars of the step ----------------/
//!  what became of the input --------------/
//! ```
//!
//! What the engine does is in the crate `tidewheel-risk`. Here is what it is told at which tick: the whole of a tick, once no worker has
//! anything more of it, so that the number of workers makes no difference. Nothing is sent where risk is not configured.

mod aside;
mod changes;
mod feed;
mod ledger;
mod operator;
mod records;
#[cfg(test)]
mod tests;
mod told;

pub use changes::{MarketChange, PRINTS_PER_TICK, SettledFunding, thin};
pub use feed::FeedCounts;
pub use ledger::{AccountLevels, RiskEventRow, RiskFact, RiskLedger, RiskOutcome, RiskRecords, RiskSizes, SavedRisk};
pub use operator::{RiskStreams, risk};
pub use records::RefusedAccount;
pub use told::AccountReport;

use serde::{Deserialize, Serialize};
use tidewheel_risk::book::BookConfig;
use tidewheel_risk::policy::Policy;
use tidewheel_schemas::Interval;

/// What risk computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskConfig {
    /// How the book reckons.
    pub book: BookConfig,
    /// The bars whose closes make scenarios and regimes.
    pub step: Interval,
    /// The policy that is in force until another one is ordered.
    pub policy: Policy,
    /// How often the numbers of accounts are given at most, milliseconds of tick time.
    pub publish_every_ms: u64,
}
