//! What a run tells of itself: its metrics, its state, its health, its log; asked of the built program while it reads from a
//! real broker.

mod documents;
mod health;
mod logs;
mod numbers;
mod observed;
mod outage;
