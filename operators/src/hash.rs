//! Hash maps whose seed is fixed, so that a run is the same run again. Their order is still never emitted.

/// A hash map with a fixed seed.
#[allow(clippy::disallowed_types)]
pub(crate) type FixedMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
