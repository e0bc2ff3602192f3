//! Going on after a stop or a crash: what there is to go on from, and whether it may be used.

mod settings;

pub use settings::{ANSWERS, Settings};
