//! History as it happened: a live run with every trouble, stopped, killed and gone on with on other numbers of workers, made
//! again from its lake alone; and the proof that what it published is what the graph says.

pub mod broken;
mod compacted;
pub mod history;
mod replayed;
pub mod verified;
