//! The routes: one function each, one line in [`router`].

use super::{Problem, StatusReport, problems};
use crate::metrics;
use crate::status::Status;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What the routes read.
#[derive(Clone)]
struct Shared {
    status: Arc<Status>,
    stalled_after: Duration,
}

/// All routes.
pub fn router(status: Arc<Status>, stalled_after: Duration) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status_report))
        .fallback(not_found)
        .with_state(Shared { status, stalled_after })
}

/// Whether the pipeline moves, and why not.
#[derive(Serialize)]
struct Health {
    healthy: bool,
    problems: Vec<Problem>,
}

async fn health(State(shared): State<Shared>) -> impl IntoResponse {
    let problems = problems(&shared.status, shared.stalled_after);
    let code = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Health { healthy: problems.is_empty(), problems }))
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics::encode(&shared.status))
}

async fn status_report(State(shared): State<Shared>) -> Json<StatusReport> {
    Json(StatusReport::of(&shared.status, shared.stalled_after))
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "there are /health, /metrics and /api/v1/status\n")
}
