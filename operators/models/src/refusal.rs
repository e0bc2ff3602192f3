//! Why a row was not scored: never a guess, always a name that can be counted.

/// Why there is no number. What is counted is [`Refusal::name`]; the rest is for people.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The model is of another symbol.
    #[error("symbol \"{symbol}\" is not served by model {model}")]
    SymbolNotServed {
        /// The row's symbol.
        symbol: String,
        /// The model.
        model: String,
    },
    /// The rows are of another view, or of another version of it.
    #[error("rows of view {given}, the model was trained on {expected}")]
    ViewMismatch {
        /// What the model was trained on, `name@version`.
        expected: String,
        /// What the rows are of.
        given: String,
    },
    /// The view has no such column.
    #[error("view has no column \"{feature}\"")]
    FeatureMissing {
        /// The column that the model wants.
        feature: String,
    },
    /// A row does not have as many values as its view has columns.
    #[error("row of {given} values, the view has {expected}")]
    RowShape {
        /// Columns of the view.
        expected: usize,
        /// Values of the row.
        given: usize,
    },
    /// There are not yet as many rows as the model wants.
    #[error("{given} rows, the model wants {needed}")]
    SequenceShort {
        /// Rows the model wants.
        needed: usize,
        /// Rows there are.
        given: usize,
    },
    /// Rows are missing inside the sequence, or do not ascend in time.
    #[error("{gap_ms} ms between two rows of the sequence, the model allows {allowed_ms} ms")]
    SequenceGap {
        /// From one row to the next, milliseconds; not above zero where they do not ascend.
        gap_ms: i64,
        /// What may lie between them.
        allowed_ms: u64,
    },
    /// The row before the newest lies too far back.
    #[error("{age_ms} ms lie between the newest row and the one before it, the model allows {allowed_ms} ms")]
    Stale {
        /// What lies between them, milliseconds.
        age_ms: i64,
        /// What the model allows.
        allowed_ms: u64,
    },
    /// The bars that a row joins are too far behind.
    #[error("row {rows_back} before the newest is stale by {staleness_ms} ms, the model allows {allowed_ms} ms")]
    StaleRow {
        /// How far behind the oldest is, milliseconds.
        staleness_ms: i64,
        /// What the model allows.
        allowed_ms: u64,
        /// Which row: 0 is the newest.
        rows_back: usize,
    },
    /// Too many columns of a row still show where history began.
    #[error("row {rows_back} before the newest is warm by {warm_share}, the model wants {wanted}")]
    RowNotWarm {
        /// The share of columns that are warm, 0 to 1.
        warm_share: f64,
        /// What the model wants.
        wanted: f64,
        /// Which row: 0 is the newest.
        rows_back: usize,
    },
    /// A feature is null, and the model takes none that is.
    #[error("feature \"{feature}\" is null, {rows_back} row(s) before the newest")]
    FeatureNull {
        /// Which column.
        feature: String,
        /// In which row: 0 is the newest.
        rows_back: usize,
    },
    /// A feature is infinite or not a number, as it came or once scaled and cast.
    #[error("feature \"{feature}\" is not a finite number, {rows_back} row(s) before the newest")]
    FeatureNotFinite {
        /// Which column.
        feature: String,
        /// In which row: 0 is the newest.
        rows_back: usize,
    },
    /// There is no scaler for the symbol.
    #[error("no scaler for symbol \"{symbol}\"")]
    ScalerMissing {
        /// The row's symbol.
        symbol: String,
    },
    /// The model gave what is no number.
    #[error("the model's output is not a finite number")]
    OutputNotFinite,
    /// The model gave a probability below 0 or above 1.
    #[error("the model gave {value} as a probability")]
    OutputOutOfRange {
        /// What it gave.
        value: f64,
    },
    /// The model could not be run.
    #[error("the model failed: {detail}")]
    ModelFailed {
        /// Why.
        detail: String,
    },
    /// Of the ensemble: too many of its members gave no number.
    #[error("members of {present} of the weights gave a number, the ensemble wants {minimum}")]
    TooFewMembers {
        /// The share of the weights that is there, 0 to 1.
        present: f64,
        /// The share it wants.
        minimum: f64,
    },
    /// Of the ensemble: there are not as many outputs as members.
    #[error("{given} outputs for an ensemble of {expected} members")]
    MemberCount {
        /// Members of the ensemble.
        expected: usize,
        /// Outputs there are.
        given: usize,
    },
}

impl Refusal {
    /// All names, for tables of counters.
    pub const NAMES: [&'static str; 17] = [
        "symbol_not_served",
        "view_mismatch",
        "feature_missing",
        "row_shape",
        "sequence_short",
        "sequence_gap",
        "stale",
        "feature_null",
        "feature_not_finite",
        "scaler_missing",
        "output_not_finite",
        "output_out_of_range",
        "model_failed",
        "too_few_members",
        "member_count",
        "stale_row",
        "row_not_warm",
    ];

    /// Its stable name.
    pub const fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::SymbolNotServed { .. } => 0,
            Self::ViewMismatch { .. } => 1,
            Self::FeatureMissing { .. } => 2,
            Self::RowShape { .. } => 3,
            Self::SequenceShort { .. } => 4,
            Self::SequenceGap { .. } => 5,
            Self::Stale { .. } => 6,
            Self::FeatureNull { .. } => 7,
            Self::FeatureNotFinite { .. } => 8,
            Self::ScalerMissing { .. } => 9,
            Self::OutputNotFinite => 10,
            Self::OutputOutOfRange { .. } => 11,
            Self::ModelFailed { .. } => 12,
            Self::TooFewMembers { .. } => 13,
            Self::MemberCount { .. } => 14,
            Self::StaleRow { .. } => 15,
            Self::RowNotWarm { .. } => 16,
        }]
    }
}
