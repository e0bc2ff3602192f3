//! Views: which features make a row.

use super::nearest::nearest;
use super::{Feature, Scope};
use tidewheel_schemas::Interval;

/// A view: a row for each final bar of the base interval, with a column for each feature.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name: lower case letters, digits and `_`.
    pub name: String,
    /// Counts the changes of its columns, from 1.
    pub version: u32,
    /// The interval whose bars make its rows.
    pub base: Interval,
    /// Its columns, in the order of the values.
    pub columns: Vec<Column>,
}

/// A feature over the bars of an interval.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The interval: the base, or a coarser one, of which the newest bar is taken that had closed when the base bar did.
    pub interval: Interval,
    /// The feature.
    pub feature: &'static Feature,
}

/// Why a view cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewError {
    /// Its name would not do for topics and columns.
    Name(String),
    /// There is no such feature.
    UnknownFeature {
        /// The column as it was named.
        column: String,
        /// The feature that it is nearest to.
        nearest: &'static str,
    },
    /// What stands before the point is no interval.
    UnknownInterval {
        /// The column as it was named.
        column: String,
    },
    /// Rows of the base interval cannot join bars that are shorter.
    FinerThanBase {
        /// The column as it was named.
        column: String,
        /// The base interval.
        base: Interval,
    },
    /// The feature has no meaning over whole days.
    NotOverDays {
        /// The column as it was named.
        column: String,
    },
    /// The feature is of whole minutes.
    NotOverSeconds {
        /// The column as it was named.
        column: String,
    },
    /// The same column twice.
    Twice {
        /// The column as it was named.
        column: String,
    },
    /// It has no columns.
    Empty,
}

impl std::fmt::Display for ViewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?} cannot name a view: lower case letters, digits and _, at most 64"),
            Self::UnknownFeature { column, nearest } => {
                write!(f, "unknown feature {column:?}, did you mean {nearest:?}? `tidewheel features list` shows all")
            }
            Self::UnknownInterval { column } => {
                write!(
                    f,
                    "unknown interval in {column:?}, expected INTERVAL.FEATURE with one of 1s, 1m, 5m, 15m, 1h, 4h, 1d"
                )
            }
            Self::FinerThanBase { column, base } => {
                write!(f, "{column:?} is of bars shorter than those of the rows, {base}")
            }
            Self::NotOverDays { column } => write!(f, "{column:?} has no meaning over whole days"),
            Self::NotOverSeconds { column } => write!(f, "{column:?} has no meaning over bars shorter than a minute"),
            Self::Twice { column } => write!(f, "{column:?} is there twice"),
            Self::Empty => f.write_str("a view needs at least one column"),
        }
    }
}

impl std::error::Error for ViewError {}

impl View {
    /// The view of column names: `rsi_14@talib` over the base interval, `5m.rsi_14@talib` over another.
    ///
    /// # Errors
    /// See [`ViewError`]; an unknown feature is told with the nearest known one.
    ///
    /// # Example
    /// ```
    /// use tidewheel_operators::features::View;
    /// use tidewheel_schemas::Interval;
    ///
    /// let view = View::resolve("mine", 1, Interval::M1, &["rsi_14@talib", "1h.atr_14@talib"]).expect("both are known");
    /// assert_eq!(view.column_names(), ["rsi_14@talib", "1h.atr_14@talib"]);
    /// let refused = View::resolve("mine", 1, Interval::M1, &["rsi_41"]).expect_err("there is no such feature");
    /// assert!(refused.to_string().contains("did you mean \"rsi_14@talib\"?"));
    /// ```
    pub fn resolve(name: &str, version: u32, base: Interval, columns: &[impl AsRef<str>]) -> Result<Self, ViewError> {
        let is_name = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            return Err(ViewError::Name(name.to_owned()));
        }
        if columns.is_empty() {
            return Err(ViewError::Empty);
        }
        let mut view = Self { name: name.to_owned(), version, base, columns: Vec::with_capacity(columns.len()) };
        for column in columns {
            let column = column.as_ref();
            let resolved = Column::resolve(column, base)?;
            if view.columns.iter().any(|other| other.is_same(&resolved)) {
                return Err(ViewError::Twice { column: column.to_owned() });
            }
            view.columns.push(resolved);
        }
        Ok(view)
    }

    /// The view that comes with the program.
    ///
    /// # Panics
    /// If its columns are not those of the table: a test holds that they are.
    pub fn core_technical() -> Self {
        Self::resolve("core_technical", 1, Interval::M1, CORE_TECHNICAL).expect("its columns are in the table")
    }

    /// The view of what the market says beside its trades.
    ///
    /// # Panics
    /// As [`core_technical`](Self::core_technical).
    pub fn core_microstructure() -> Self {
        Self::resolve("core_microstructure", 1, Interval::M1, CORE_MICROSTRUCTURE)
            .expect("its columns are in the table")
    }

    /// The views that come with the program.
    pub fn built_in() -> Vec<Self> {
        vec![Self::core_technical(), Self::core_microstructure()]
    }

    /// Whether it has a column of what the market says beside its trades.
    pub fn has_market(&self) -> bool {
        self.columns.iter().any(|column| column.feature.family.scope == Scope::Market)
    }

    /// The names of the columns, in the order of the values.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name(self.base)).collect()
    }

    /// What its values depend on, as text: view, base, and each column with the version of its feature. For the settings that
    /// saved state is held against, and for a model to be held against the rows it is given.
    pub fn contract(&self) -> Vec<String> {
        let head = format!("{}@{} over {}", self.name, self.version, self.base);
        let columns =
            self.columns.iter().map(|column| format!("{} v{}", column.name(self.base), column.feature.version));
        std::iter::once(head).chain(columns).collect()
    }

    /// The intervals whose bars it needs, ascending.
    pub fn intervals(&self) -> Vec<Interval> {
        let mut intervals: Vec<Interval> = self.columns.iter().map(|column| column.interval).collect();
        intervals.push(self.base);
        intervals.sort_unstable();
        intervals.dedup();
        intervals
    }
}

impl Column {
    fn resolve(name: &str, base: Interval) -> Result<Self, ViewError> {
        let column = || name.to_owned();
        let (interval, feature_name) = match name.split_once('.') {
            None => (base, name),
            Some((interval, feature)) => {
                (interval.parse().map_err(|_| ViewError::UnknownInterval { column: column() })?, feature)
            }
        };
        let Some(feature) = Feature::find(feature_name) else {
            return Err(ViewError::UnknownFeature { column: column(), nearest: Feature::nearest(feature_name) });
        };
        if interval < base {
            return Err(ViewError::FinerThanBase { column: column(), base });
        }
        let scope = feature.family.scope;
        if interval == Interval::D1 && matches!(scope, Scope::Day | Scope::Clock) {
            return Err(ViewError::NotOverDays { column: column() });
        }
        if interval < Interval::M1 && scope == Scope::Market {
            return Err(ViewError::NotOverSeconds { column: column() });
        }
        Ok(Self { interval, feature })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.interval == other.interval && self.feature.name == other.feature.name
    }

    /// As written in configuration and in the lake: the interval is named where it is not the base.
    pub fn name(&self, base: Interval) -> String {
        if self.interval == base {
            self.feature.name.to_owned()
        } else {
            format!("{}.{}", self.interval, self.feature.name)
        }
    }
}

/// The name of a built-in view or a feature that a mistyped one is nearest to.
pub fn nearest_name(typed: &str, views: &[View]) -> Option<String> {
    let names = views.iter().map(|view| view.name.as_str()).chain(super::FEATURES.iter().map(|feature| feature.name));
    nearest(typed, names).map(str::to_owned)
}

/// Over minutes what a trader looks at, over five minutes and hours where that stands in the larger move.
const CORE_TECHNICAL: &[&str] = &[
    "return_1@simple",
    "return_5@simple",
    "return_15@simple",
    "return_60@simple",
    "return_1@log",
    "return_5@log",
    "return_15@log",
    "return_60@log",
    "sma_20@talib",
    "ema_12@talib",
    "ema_26@talib",
    "macd_12_26_9@talib",
    "macd_signal_12_26_9@talib",
    "macd_histogram_12_26_9@talib",
    "rsi_14@talib",
    "atr_14@talib",
    "natr_14@talib",
    "bollinger_upper_20_2@talib",
    "bollinger_lower_20_2@talib",
    "bollinger_percent_b_20_2@talib",
    "bollinger_width_20_2@talib",
    "adx_14@talib",
    "plus_di_14@talib",
    "minus_di_14@talib",
    "stochastic_k_5_3_3@talib",
    "stochastic_d_5_3_3@talib",
    "cci_14@talib",
    "obv@talib",
    "williams_r_14@talib",
    "close_to_close_volatility_30@per_bar",
    "realised_volatility_60@sum",
    "parkinson_volatility_30@per_bar",
    "garman_klass_volatility_30@per_bar",
    "rogers_satchell_volatility_30@per_bar",
    "yang_zhang_volatility_30@per_bar",
    "ewma_volatility_94@per_bar",
    "volume_imbalance_1@taker",
    "volume_imbalance_15@taker",
    "volume_imbalance_60@taker",
    "trade_intensity_1@per_second",
    "trade_intensity_15@per_second",
    "average_trade_size_1@base",
    "average_trade_size_15@base",
    "vwap_deviation_15@close",
    "vwap_deviation_60@close",
    "amihud_30@quote_volume",
    "kyle_lambda_30@close_no_intercept",
    "vpin_50@200_bars",
    "time_of_day_sin@utc",
    "time_of_day_cos@utc",
    "time_of_week_sin@utc",
    "time_of_week_cos@utc",
    "5m.return_1@log",
    "5m.rsi_14@talib",
    "5m.macd_histogram_12_26_9@talib",
    "5m.natr_14@talib",
    "5m.adx_14@talib",
    "5m.bollinger_percent_b_20_2@talib",
    "5m.realised_volatility_15@sum",
    "5m.volume_imbalance_15@taker",
    "1h.return_1@log",
    "1h.rsi_14@talib",
    "1h.natr_14@talib",
    "1h.ewma_volatility_94@per_bar",
];

/// What quotes, books, marks, funding and liquidations say, where a venue tells of them.
const CORE_MICROSTRUCTURE: &[&str] = &[
    "mid@touch",
    "spread_bps@touch",
    "weighted_mid_deviation_bps@touch",
    "touch_age@seconds",
    "quote_intensity_1@per_second",
    "book_valid@close",
    "depth_imbalance_1@book",
    "depth_imbalance_5@book",
    "depth_imbalance_10@book",
    "depth_imbalance_20@book",
    "order_flow_imbalance_1@ofi",
    "order_flow_imbalance_15@ofi",
    "order_flow_imbalance_1@ofi_per_depth",
    "order_flow_imbalance_15@ofi_per_depth",
    "funding_rate@last",
    "funding_rate@settled",
    "minutes_to_funding@last",
    "basis_bps@mark_index",
    "liquidation_volume_15@lower_bound",
    "liquidation_volume_60@lower_bound",
    "liquidation_net_volume_15@lower_bound",
    "liquidation_net_volume_60@lower_bound",
    "5m.order_flow_imbalance_1@ofi",
    "5m.order_flow_imbalance_1@ofi_per_depth",
];
