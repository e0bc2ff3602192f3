//! Features: their document, what the program tells of them, values that others published, and their rows through the whole
//! pipeline: lake and topics against a slow computation, as known, and as they were exported.

mod audit;
mod commands;
mod everywhere;
mod export;
mod known;
pub mod oracle;
mod published;
mod quality;
