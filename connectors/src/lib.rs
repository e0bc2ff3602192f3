//! Everything that touches the world: files, Kafka, the lake; and the decoders that turn what comes from there into trades.
//!
//! I/O without logic: no bar is computed here.

pub mod decode;
pub mod fault;
pub mod file;
pub mod generate;
pub mod kafka;
pub mod lake;
pub mod registry;
pub mod source;
