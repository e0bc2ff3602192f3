//! What features come to: against TA-Lib and published vectors, against a slow oracle, and without a look ahead.

mod joined;
mod lookahead;
mod market;
mod operator;
mod oracle;
mod quality;
mod repairs;
mod rows;
mod talib;
mod vectors;
