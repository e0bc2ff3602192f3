//! The whole engine from outside: through a real crash beside a slow recomputation, and through random histories.

mod candles;
mod closed;
mod crash;
mod histories;
mod kills;
mod slow;
mod touched;
