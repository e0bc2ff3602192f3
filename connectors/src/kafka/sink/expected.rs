//! What a sink writes for a tick, as records: for those who hold the topics against what should be in them.

use super::bars::{bar_key, bar_value};
use super::letters::{instrument_of, late_value, reject_value};
use super::patience::Patience;
use super::rows::{revision_of, row_key, row_value};
use super::topics::Topic;
use super::{KafkaSinkConfig, progress};
use crate::kafka::KafkaError;
use crate::kafka::sink::Progress;
use std::sync::Arc;
use tidewheel_schemas::{InstrumentId, TableSpec, TickOutput};

/// A record of a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRecord {
    /// The topic's name after the prefix and its point: `bars.1m`, `late`, `rejects`.
    pub suffix: String,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The header `revision`, which bars have.
    pub revision: Option<u32>,
    owner: Owner,
}

/// Whose record it is, which says in what partition it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Instrument(InstrumentId),
    Source(u32),
}

impl ExpectedRecord {
    /// The partition that it lies in, of so many.
    pub fn partition(&self, partitions: i32) -> i32 {
        let topic = Topic { name: String::new(), partitions };
        match self.owner {
            Owner::Instrument(id) => topic.partition_of(id),
            Owner::Source(source) => topic.partition_of_source(source),
        }
    }
}

/// The records of a tick in the order in which they are written. `sources` names the source partitions by number, `tables` the
/// tables beside the bars.
///
/// # Panics
/// If a row is of none of the tables.
pub fn expected(output: &TickOutput, sources: &[String], tables: &[Arc<TableSpec>]) -> Vec<ExpectedRecord> {
    let mut records =
        Vec::with_capacity(output.bars.len() + output.rows.len() + output.late.len() + output.rejects.len());
    for version in &output.bars {
        let mut key = Vec::new();
        bar_key(&mut key, version);
        let value = version.bar.as_ref().map(|bar| {
            let mut value = Vec::new();
            bar_value(&mut value, version, bar);
            value
        });
        records.push(ExpectedRecord {
            suffix: format!("bars.{}", version.interval),
            key,
            value,
            revision: Some(version.revision),
            owner: Owner::Instrument(version.instrument.id()),
        });
    }
    for row in &output.rows {
        let spec = &tables[usize::from(row.table)];
        let mut key = Vec::new();
        row_key(&mut key, spec, row);
        let value = row.values.as_ref().map(|values| {
            let mut value = Vec::new();
            row_value(&mut value, spec, row, values, output.tick);
            value
        });
        records.push(ExpectedRecord {
            suffix: spec.name(),
            key,
            value,
            revision: revision_of(spec, row),
            owner: Owner::Instrument(row.instrument.id()),
        });
    }
    let mut letter = |suffix: &str, owner, (partition, position), write: &dyn Fn(&mut Vec<u8>, &str)| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let source = super::source_key(&mut key, sources, partition, position);
        write(&mut value, &source);
        records.push(ExpectedRecord { suffix: suffix.to_owned(), key, value: Some(value), revision: None, owner });
    };
    for late in &output.late {
        let owner = Owner::Instrument(instrument_of(late).id());
        letter("late", owner, late.source(), &|value, source| {
            late_value(value, late, source, output.tick, output.watermark_ns);
        });
    }
    for reject in &output.rejects {
        letter("rejects", Owner::Source(reject.partition), (reject.partition, reject.position), &|value, source| {
            reject_value(value, reject, source, output.tick);
        });
    }
    records
}

/// How far a sink has come, without opening it: whoever writes it goes on undisturbed.
///
/// # Errors
/// If no broker answers in time, or the progress record is not understood.
pub fn read_progress(config: &KafkaSinkConfig) -> Result<Progress, KafkaError> {
    progress::read(config, &format!("{}.progress", config.prefix), Patience::default().begin())
}
