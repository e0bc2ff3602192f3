//! Features: their document, what the program tells of them, and values that others published.

mod commands;
mod published;
