//! A row out of the bars that it joins.

use super::plan::{AgeOf, Plan, ViewPlan};
use super::series::Held;
use super::{Feature, FeatureBar, Scope};
use tidewheel_schemas::{FeatureRow, Instrument, Interval};

/// The row of a view for a base bar. `at` gives, by the place of a series, its newest bar that had closed at a time; `base` is
/// the base bar, `origin_ns` the open time of a series' first bar of all. Tick and revision are left at zero.
pub(super) fn row_of<'a>(
    plan: &Plan,
    view: usize,
    instrument: &Instrument,
    base: &Held<'_>,
    origin_ns: impl Fn(usize) -> Option<i64>,
    at: impl Fn(usize, i64) -> Option<Held<'a>>,
) -> FeatureRow {
    let number = view as u16;
    let view = &plan.views[view];
    let close_time_ns = base.bar.close_time_ns;
    let mut joined = [None; Interval::ALL.len()];
    let mut staleness_ns = 0;
    for ((join, series), ages) in joined.iter_mut().zip(&view.series).zip(&view.ages) {
        *join = at(*series, close_time_ns);
        if let Some(held) = join {
            let newest_possible = plan.series[*series].interval.open_of(close_time_ns);
            let since_close_ns = newest_possible - held.bar.close_time_ns;
            staleness_ns = staleness_ns.max(since_close_ns + market_staleness_ns(held.bar, ages));
        }
    }
    let (mut nulls, mut ready, mut warm) = (0, 0, 0);
    let value_of = |&(join, place): &(usize, usize)| {
        let held: &Held<'_> = joined[join].as_ref()?;
        let feature = plan.series[view.series[join]].features[place];
        let is_whole = is_whole(feature, origin_ns(view.series[join]), held.bar.open_time_ns);
        ready += usize::from(is_whole && held.count >= feature.kernel.needs() as u64);
        warm += usize::from(is_whole && held.count >= feature.kernel.warm_up() as u64);
        Some(held.values[place]).filter(|value| !value.is_nan())
    };
    let values: Box<[Option<f64>]> =
        view.columns.iter().map(value_of).inspect(|value| nulls += usize::from(value.is_none())).collect();
    FeatureRow {
        view: number,
        instrument: instrument.clone(),
        open_time_ns: base.bar.open_time_ns,
        close_time_ns,
        tick: 0,
        revision: 0,
        is_ready: ready == values.len(),
        null_share: share(nulls, &values),
        warm_share: share(warm, &values),
        staleness_ns,
        anchor_time_ns: origin_ns(view.base).unwrap_or(base.bar.open_time_ns),
        values: Some(values),
    }
}

/// For how long before a bar nothing was told of what the features look at beside trades: what was told in the bar is fresh. In
/// whole milliseconds, as tables keep it: a row whose staleness differs by less says nothing new.
fn market_staleness_ns(bar: &FeatureBar, ages: &[AgeOf]) -> i64 {
    let Some(market) = &bar.market else { return 0 };
    let oldest_ns = ages.iter().filter_map(|age_of| age_of(&market.ages)).max().unwrap_or_default();
    let before_ns = (oldest_ns - (bar.close_time_ns - bar.open_time_ns)).max(0);
    before_ns - before_ns % 1_000_000
}

/// The version of a row that says its bar is gone.
pub(super) fn tombstone_of(row: FeatureRow) -> FeatureRow {
    FeatureRow { is_ready: false, null_share: 1.0, warm_share: 0.0, staleness_ns: 0, values: None, ..row }
}

/// Whether a feature of the day had all of its day.
fn is_whole(feature: &Feature, origin_ns: Option<i64>, open_time_ns: i64) -> bool {
    feature.family.scope != Scope::Day || origin_ns.is_some_and(|origin| origin <= Interval::D1.open_of(open_time_ns))
}

fn share(count: usize, of: &[Option<f64>]) -> f64 {
    count as f64 / of.len() as f64
}

impl ViewPlan {
    /// The length of the bars that make rows.
    pub fn base_interval(&self, plan: &Plan) -> Interval {
        plan.series[self.base].interval
    }
}
