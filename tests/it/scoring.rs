//! Scoring in the stream: promotions every few ticks under load, refusals, restarts, and the history made again.

mod desk;
mod live;
mod replayed;
mod script;
pub mod shelf;
mod streams;
