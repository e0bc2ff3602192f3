//! Ticks that are not complete yet: every operator gathers what comes for one, and acts once, when its inputs have passed it.

use crate::TickHeader;
use std::array::from_fn;
use std::collections::BTreeMap;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;

/// What came for a tick so far, and the right to answer at it on each of the operator's outputs.
pub(crate) struct OpenTick<T, const OUTPUTS: usize> {
    pub header: Option<TickHeader>,
    pub records: T,
    capabilities: [Capability<u64>; OUTPUTS],
}

/// A tick of which nothing more comes.
pub(crate) struct CompleteTick<T, const OUTPUTS: usize> {
    pub header: TickHeader,
    pub records: T,
    pub capabilities: [Capability<u64>; OUTPUTS],
}

/// The ticks of an operator with so many outputs. Bounded by the ticks in flight.
pub(crate) struct OpenTicks<T, const OUTPUTS: usize>(BTreeMap<u64, OpenTick<T, OUTPUTS>>);

impl<T, const OUTPUTS: usize> Default for OpenTicks<T, OUTPUTS> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Default, const OUTPUTS: usize> OpenTicks<T, OUTPUTS> {
    /// The tick of a message.
    pub fn at(&mut self, time: &InputCapability<u64>) -> &mut OpenTick<T, OUTPUTS> {
        self.0.entry(*time.time()).or_insert_with(|| OpenTick {
            header: None,
            records: T::default(),
            capabilities: from_fn(|output| time.retain(output)),
        })
    }

    /// Takes the earliest tick, if all inputs have passed it.
    ///
    /// # Panics
    /// If it has no header on this worker.
    pub fn take_complete(&mut self, frontiers: &[MutableAntichain<u64>]) -> Option<CompleteTick<T, OUTPUTS>> {
        let entry = self.0.first_entry()?;
        if frontiers.iter().any(|frontier| frontier.less_equal(entry.key())) {
            return None;
        }
        let OpenTick { header, records, capabilities } = entry.remove();
        let header = header.expect("every tick has a header on every worker");
        Some(CompleteTick { header, records, capabilities })
    }
}
