//! What is traded, and where.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest venue or symbol, in bytes.
const NAME_LIMIT: usize = 64;

/// Why a venue or a symbol cannot name an instrument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// No venue, or no symbol.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Longer than 64 bytes.
    #[error("{0} is longer than 64 bytes")]
    TooLong(&'static str),
    /// Holds something other than ASCII letters, digits, and `._-/:@+#`: a key is `venue|symbol|interval|time`.
    #[error("{0} holds a character other than letters, digits and ._-/:@+#")]
    Character(&'static str),
}

/// A venue and a symbol: `binance`, `BTCUSDT`. Cheap to clone; ordered by venue, then symbol.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instrument {
    /// Lower case name of the exchange.
    pub venue: Arc<str>,
    /// The venue's own symbol, as it spells it.
    pub symbol: Arc<str>,
}

impl Instrument {
    /// Names an instrument.
    ///
    /// # Errors
    /// If a name is empty, longer than 64 bytes, or holds a character that a key or a path cannot carry.
    pub fn new(venue: &str, symbol: &str) -> Result<Self, InstrumentError> {
        check("venue", venue)?;
        check("symbol", symbol)?;
        Ok(Self { venue: venue.into(), symbol: symbol.into() })
    }

    /// A number that stands for the instrument on every worker, process and run.
    pub fn id(&self) -> InstrumentId {
        InstrumentId::of(&self.venue, &self.symbol)
    }
}

impl fmt::Debug for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.venue, self.symbol)
    }
}

fn check(what: &'static str, name: &str) -> Result<(), InstrumentError> {
    if name.is_empty() {
        return Err(InstrumentError::Missing(what));
    }
    if name.len() > NAME_LIMIT {
        return Err(InstrumentError::TooLong(what));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+#".contains(&byte);
    if name.bytes().all(allowed) { Ok(()) } else { Err(InstrumentError::Character(what)) }
}

/// The 64-bit FNV-1a hash of `venue|symbol`: the same everywhere and for ever, so that it can route and order records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstrumentId(pub u64);

impl InstrumentId {
    /// The id of a venue and symbol.
    pub fn of(venue: &str, symbol: &str) -> Self {
        let bytes = venue.bytes().chain([b'|']).chain(symbol.bytes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // FNV mixes its low bits poorly and the low bits choose the worker; one round of murmur's finaliser mends it.
        let hash: u64 = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Self(hash ^ (hash >> 33))
    }
}
