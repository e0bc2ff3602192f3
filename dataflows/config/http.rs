//! The `[http]` section: where a run answers questions about itself.

use super::TimeSpan;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

/// A small HTTP server in a live run: `/health`, `/metrics` for Prometheus, `/api/v1/status` for `tidewheel status`. There is
/// none where there is no such section. It shows and changes nothing, and asks nobody who they are: keep it to addresses
/// that only you can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Turns the server off without removing its settings.
    pub enabled: bool,
    /// The address to listen on, `host:port`; `0.0.0.0:9464` for all of the machine's. Two runs need two ports.
    pub listen: String,
    /// How long no tick may be completed before `/health` says so.
    pub stalled_after: TimeSpan,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { enabled: true, listen: "127.0.0.1:9464".into(), stalled_after: TimeSpan::from_secs(30) }
    }
}
