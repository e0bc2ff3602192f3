//! What all views together ask for: each feature once an interval, and where a view finds its columns.

use super::market_bar::MarketAges;
use super::{Family, Feature, FeatureBar, Kernel, Scope, State, View};
use tidewheel_schemas::Interval;

/// What is computed, and how rows are made of it.
#[derive(Debug)]
pub(super) struct Plan {
    /// Ascending by interval.
    pub series: Vec<SeriesPlan>,
    /// As configured.
    pub views: Vec<ViewPlan>,
}

/// The features over the bars of one interval.
#[derive(Debug)]
pub(super) struct SeriesPlan {
    pub interval: Interval,
    pub features: Vec<&'static Feature>,
    /// Bars before a bar that its features look at, and one for the recursions.
    pub window: usize,
    /// Whether its features look at more of the market than trades.
    pub has_market: bool,
}

/// How the rows of a view are made.
#[derive(Debug)]
pub(super) struct ViewPlan {
    /// The series whose bars make rows.
    pub base: usize,
    /// The series that it has columns of, or rows from.
    pub series: Vec<usize>,
    /// For each column its place in `series`, and the feature's place in the series.
    pub columns: Vec<(usize, usize)>,
    /// For each of `series`, how old that is which the columns over it look at beside trades.
    pub ages: Vec<Vec<AgeOf>>,
}

/// How old what a feature looks at is.
pub(super) type AgeOf = fn(&MarketAges) -> Option<i64>;

/// What a family looks at that is told anew as long as it holds. Flows are none of that, and a rate that was settled stands for
/// hours.
pub(super) fn age_of(family: &Family) -> Option<AgeOf> {
    match family.inputs {
        "quotes, book" => Some(|ages| ages.touch_ns),
        "book" => Some(|ages| ages.book_ns),
        "marks" => Some(|ages| ages.mark_ns),
        _ => None,
    }
}

impl Plan {
    /// That of some views.
    pub fn of(views: &[View]) -> Self {
        let mut intervals: Vec<Interval> = views.iter().flat_map(View::intervals).collect();
        intervals.sort_unstable();
        intervals.dedup();
        let mut series: Vec<SeriesPlan> = intervals.into_iter().map(SeriesPlan::new).collect();
        let views = views.iter().map(|view| ViewPlan::of(view, &mut series)).collect();
        Self { series, views }
    }

    /// The longest interval whose features look at more of the market than trades.
    pub fn market_interval(&self) -> Option<Interval> {
        self.series.iter().rev().find(|series| series.has_market).map(|series| series.interval)
    }

    /// The place of an interval's series.
    pub fn series_of(&self, interval: Interval) -> Option<usize> {
        self.series.iter().position(|series| series.interval == interval)
    }
}

impl SeriesPlan {
    const fn new(interval: Interval) -> Self {
        Self { interval, features: Vec::new(), window: 1, has_market: false }
    }

    /// The place of a feature, which is added if it is not there.
    fn place_of(&mut self, feature: &'static Feature) -> usize {
        let known = self.features.iter().position(|other| other.name == feature.name);
        known.unwrap_or_else(|| {
            if let Kernel::Window { bars, .. } = feature.kernel {
                self.window = self.window.max(bars);
            }
            self.has_market |= feature.family.scope == Scope::Market;
            self.features.push(feature);
            self.features.len() - 1
        })
    }

    /// The recursions before the first bar, in the order of the features.
    pub fn start(&self) -> Vec<State> {
        let recursive = self.features.iter().filter_map(|feature| match feature.kernel {
            Kernel::Recursive { start, .. } => Some(start()),
            Kernel::Window { .. } => None,
        });
        recursive.collect()
    }

    /// Takes the recursions over the last of the bars.
    pub fn advance(&self, states: &mut [State], bars: &[FeatureBar]) {
        let (bar, previous) = newest(bars);
        for state in states {
            let _ = state.next(previous, bar);
        }
    }

    /// Likewise, and appends the value of every feature at that bar: NaN, of one bit pattern, for null. Here is where numbers
    /// that are not finite become null.
    pub fn compute(&self, states: &mut [State], bars: &[FeatureBar], values: &mut Vec<f64>) {
        let (bar, previous) = newest(bars);
        let mut states = states.iter_mut();
        for feature in &self.features {
            let value = match feature.kernel {
                Kernel::Window { bars: needed, value } if bars.len() >= needed => value(&bars[bars.len() - needed..]),
                Kernel::Window { .. } => f64::NAN,
                Kernel::Recursive { .. } => {
                    states.next().expect("a state for each recursive feature").next(previous, bar)
                }
            };
            values.push(if value.is_finite() { value } else { f64::NAN });
        }
    }
}

fn newest(bars: &[FeatureBar]) -> (&FeatureBar, Option<&FeatureBar>) {
    let (bar, before) = bars.split_last().expect("the bar that is computed");
    (bar, before.last())
}

impl ViewPlan {
    fn of(view: &View, series: &mut [SeriesPlan]) -> Self {
        let place = |series: &[SeriesPlan], interval: Interval| {
            series.iter().position(|series| series.interval == interval).expect("intervals of all views have series")
        };
        let used: Vec<usize> = view.intervals().into_iter().map(|interval| place(series, interval)).collect();
        let columns = view.columns.iter().map(|column| {
            let at = place(series, column.interval);
            let join = used.iter().position(|used| *used == at).expect("intervals of the columns are used");
            (join, series[at].place_of(column.feature))
        });
        let columns = columns.collect();
        let ages_over = |at: &usize| {
            let over = view.columns.iter().filter(|column| place(series, column.interval) == *at);
            over.filter_map(|column| age_of(column.feature.family)).collect()
        };
        let ages = used.iter().map(ages_over).collect();
        Self { base: place(series, view.base), series: used, columns, ages }
    }
}
