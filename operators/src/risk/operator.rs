//! Risk as a timely operator.

use super::{FeedCounts, MarketChange, RiskConfig, RiskLedger, RiskOutcome, RiskRecords};
use crate::TickHeader;
use crate::open_ticks::OpenTicks;
use crate::saved::RestoredState;
use tidewheel_risk::switches::ControlEvent;
use tidewheel_schemas::{AccountRecord, BarVersion};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Filter;

/// What goes into it.
pub struct RiskStreams<'scope> {
    /// Orders of people.
    pub orders: StreamVec<'scope, u64, ControlEvent>,
    /// What accounts did.
    pub account: StreamVec<'scope, u64, AccountRecord>,
    /// What markets did: of tape and market.
    pub changes: StreamVec<'scope, u64, MarketChange>,
    /// Versions of the bars of the step.
    pub versions: StreamVec<'scope, u64, BarVersion>,
    /// What became of records before they came to the workers, where there is a feed that can fail: one a tick.
    pub feed: StreamVec<'scope, u64, FeedCounts>,
}

/// The worker that risk lives on.
const HOME: usize = 0;

/// Takes ticks to the [`RiskLedger`], each when all that belongs to it has arrived.
///
/// **Input** on any worker (exchanged to the first): orders, records of accounts, changes of markets, versions of bars, of which the
/// final ones are taken, counts; one header a tick and worker. **Output** one outcome a tick, on the first worker alone.
/// **Order** none needed inside a tick. **State** see [`RiskLedger`]. **Late** records are refused.
///
/// It begins with what a snapshot held, where there is one: its part is taken out of `restored`.
///
/// # Panics
/// If a tick has records but no header on the first worker, or the configuration contradicts itself.
pub fn risk<'scope>(
    streams: RiskStreams<'scope>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: &RiskConfig,
    restored: Option<&mut RestoredState>,
) -> StreamVec<'scope, u64, RiskOutcome> {
    let scope = headers.scope();
    let is_home = scope.index() == HOME;
    let mut builder = OperatorBuilder::new("Risk".to_owned(), scope);
    let mut orders = builder.new_input(streams.orders, Exchange::new(|_: &ControlEvent| HOME as u64));
    let mut account = builder.new_input(streams.account, Exchange::new(|_: &AccountRecord| HOME as u64));
    let mut changes = builder.new_input(streams.changes, Exchange::new(|_: &MarketChange| HOME as u64));
    let closes = streams.versions.filter(|version| version.is_final);
    let mut closes = builder.new_input(closes, Exchange::new(|_: &BarVersion| HOME as u64));
    let mut feed = builder.new_input(streams.feed, Exchange::new(|_: &FeedCounts| HOME as u64));
    let mut headers = builder.new_input(headers, Pipeline);
    let (output, stream) = builder.new_output::<Vec<RiskOutcome>>();
    let mut output = OutputBuilder::from(output);

    let saved = restored.and_then(|restored| restored.risk.take());
    let mut ledger = is_home.then(|| match saved {
        Some(saved) => RiskLedger::restore(config, *saved),
        None => RiskLedger::new(config.clone()),
    });
    builder.build(move |_| {
        let mut open = OpenTicks::<RiskRecords, 1>::default();
        move |frontiers| {
            orders.for_each(|time, data| open.at(&time).records.orders.append(data));
            account.for_each(|time, data| open.at(&time).records.account.append(data));
            changes.for_each(|time, data| open.at(&time).records.changes.append(data));
            closes.for_each(|time, data| open.at(&time).records.closes.append(data));
            feed.for_each(|time, data| open.at(&time).records.feed = data.pop());
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(tick) = open.take_complete(frontiers) {
                if let Some(ledger) = &mut ledger {
                    let outcome = ledger.apply(&tick.header, tick.records);
                    output.activate().session(&tick.capabilities[0]).give(outcome);
                }
            }
        }
    });
    stream
}
