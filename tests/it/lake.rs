//! The lake behind the whole pipeline: known as of any tick, paused by a full disk, killed in the middle of a commit, compacted.

mod feed;
mod killed;
mod known_at;
mod paused;
