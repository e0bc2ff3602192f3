//! What features come to: against TA-Lib and published vectors, against a slow oracle, and without a look ahead.

mod talib;
mod vectors;
