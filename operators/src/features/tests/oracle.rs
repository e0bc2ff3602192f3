//! The rows of a view, computed from the first bar on with no state kept: slow and obvious.

use crate::features::{Column, FeatureBar, Kernel, MarketBar, Scope, View};
use crate::market::MarketLeaf;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{Bar, FeatureRow, Instrument, Interval};

/// Bars as they are now, by instrument, interval and open time; none for one that was lost.
pub type Bars = BTreeMap<(Instrument, Interval, i64), (u32, Option<Bar>)>;

/// Leaves as they are now, by instrument and minute.
pub type Leaves = BTreeMap<(Instrument, i64), MarketLeaf>;

/// The market of a bar: of all leaves from the first that ended before it, what they left, and those in it.
fn market_of(leaves: &Leaves, instrument: &Instrument, open_ns: i64, close_ns: i64) -> Option<Arc<MarketBar>> {
    let of_it = |from_ns: i64, to_ns: i64| {
        leaves.range((instrument.clone(), from_ns)..(instrument.clone(), to_ns)).map(|(_, leaf)| *leaf)
    };
    let before = of_it(i64::MIN, open_ns).reduce(|all, leaf| all.merge(&leaf)).map(|all| all.closing());
    let all = before.into_iter().chain(of_it(open_ns, close_ns)).reduce(|all, leaf| all.merge(&leaf))?;
    Some(Arc::new(MarketBar::of(&all, close_ns)))
}

/// A column's part of a row.
#[derive(Clone, Copy)]
struct Cell {
    value: Option<f64>,
    is_ready: bool,
    is_warm: bool,
}

/// The row of each base bar, with tick and revision zero.
pub fn rows(number: u16, view: &View, bars: &Bars, leaves: &Leaves) -> BTreeMap<(Instrument, i64), FeatureRow> {
    let mut instruments: Vec<&Instrument> = bars.keys().map(|(instrument, _, _)| instrument).collect();
    instruments.dedup();
    let mut rows = BTreeMap::new();
    for instrument in instruments {
        let series = |interval: Interval| -> Vec<FeatureBar> {
            let of_it = bars.range((instrument.clone(), interval, i64::MIN)..=(instrument.clone(), interval, i64::MAX));
            let bars =
                of_it.filter_map(|((_, _, open), (_, bar))| Some(FeatureBar::of(bar.as_ref()?, interval, *open)));
            let joined = bars.map(|bar| {
                let market = market_of(leaves, instrument, bar.open_time_ns, bar.close_time_ns);
                FeatureBar { market, ..bar }
            });
            joined.collect()
        };
        let base = series(view.base);
        let columns: Vec<(Vec<FeatureBar>, Vec<Cell>)> = view
            .columns
            .iter()
            .map(|column| {
                let bars = series(column.interval);
                let cells = cells(column, &bars);
                (bars, cells)
            })
            .collect();
        for bar in &base {
            let mut staleness_ns = 0;
            let cells: Vec<Option<Cell>> = columns
                .iter()
                .zip(&view.columns)
                .map(|((bars, cells), column)| {
                    let at = bars.iter().rposition(|other| other.close_time_ns <= bar.close_time_ns)?;
                    let newest = bar.close_time_ns - bar.close_time_ns.rem_euclid(column.interval.duration_ns());
                    let since_told_ns = before_bar_ns(column, &bars[at]);
                    staleness_ns = staleness_ns.max(newest - bars[at].close_time_ns + since_told_ns);
                    Some(cells[at])
                })
                .collect();
            let share = |of: fn(&Cell) -> bool| {
                cells.iter().flatten().filter(|cell| of(cell)).count() as f64 / cells.len() as f64
            };
            let nulls = cells.iter().filter(|cell| cell.is_none_or(|cell| cell.value.is_none())).count();
            let row = FeatureRow {
                view: number,
                instrument: instrument.clone(),
                open_time_ns: bar.open_time_ns,
                close_time_ns: bar.close_time_ns,
                tick: 0,
                revision: 0,
                is_ready: cells.iter().all(|cell| cell.is_some_and(|cell| cell.is_ready)),
                null_share: nulls as f64 / cells.len() as f64,
                warm_share: share(|cell| cell.is_warm),
                staleness_ns,
                anchor_time_ns: base[0].open_time_ns,
                values: Some(cells.iter().map(|cell| cell.and_then(|cell| cell.value)).collect()),
            };
            rows.insert((instrument.clone(), bar.open_time_ns), row);
        }
    }
    rows
}

/// For how long before a bar the last word was, of what a column looks at beside trades.
fn before_bar_ns(column: &Column, bar: &FeatureBar) -> i64 {
    let Some(ages) = bar.market.as_ref().map(|market| market.ages) else { return 0 };
    let age_ns = match column.feature.family.inputs {
        "marks" => ages.mark_ns,
        "book" => ages.book_ns,
        "quotes, book" => ages.touch_ns,
        _ => None,
    };
    age_ns.map_or(0, |age_ns| (age_ns - column.interval.duration_ns()).max(0) / 1_000_000 * 1_000_000)
}

/// A column over all its bars.
fn cells(column: &Column, bars: &[FeatureBar]) -> Vec<Cell> {
    let kernel = &column.feature.kernel;
    let mut state = match kernel {
        Kernel::Recursive { start, .. } => Some(start()),
        Kernel::Window { .. } => None,
    };
    let day = |ns: i64| ns.div_euclid(86_400_000_000_000);
    let first = bars.first().map_or(0, |bar| bar.open_time_ns);
    let mut cells = Vec::new();
    for at in 0..bars.len() {
        let value = match (kernel, &mut state) {
            (Kernel::Window { bars: needed, .. }, _) if at + 1 < *needed => None,
            (Kernel::Window { bars: needed, value }, _) => Some(value(&bars[at + 1 - needed..=at])),
            (_, Some(state)) => Some(state.next(at.checked_sub(1).map(|before| &bars[before]), &bars[at])),
            (_, None) => None,
        };
        let has_whole_day = day(first) < day(bars[at].open_time_ns) || first % 86_400_000_000_000 == 0;
        let is_whole = column.feature.family.scope != Scope::Day || has_whole_day;
        cells.push(Cell {
            value: value.filter(|value| value.is_finite()),
            is_ready: is_whole && at + 1 >= kernel.needs(),
            is_warm: is_whole && at + 1 >= kernel.warm_up(),
        });
    }
    cells
}
