//! Risk in the whole pipeline: what accounts do goes in, positions, numbers, events and decisions come out.

mod commands;
mod graph;
mod live;
mod replayed;
pub mod world;
