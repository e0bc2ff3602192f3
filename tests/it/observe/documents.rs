//! The document of the metrics is that of the table.

use crate::kafka_live::program::{succeeds, tidewheel};
use std::path::Path;
use tidewheel::metrics::document;

#[test]
fn the_document_of_the_metrics_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/metrics.md");
    if std::env::var_os("TIDEWHEEL_TEST_REWRITE").is_some() {
        std::fs::write(&path, document()).expect("the file can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == document(), "{} is stale: run the tests with TIDEWHEEL_TEST_REWRITE=1", path.display());
    assert_eq!(succeeds(tidewheel(&["metrics"])), stored);
}
