//! A position: the state behind the correction horizon, the entries inside it, and the state they make together.

use super::{Contract, CostMethod, Entry, Holding, OutOfRange};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an entry is, in the order they count at one time: a fill at the very time of a funding payment takes part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntryKind {
    /// A fill.
    Fill,
    /// A funding payment.
    Funding,
}

/// Where an entry stands among those of its position: by event time, never by arrival.
///
/// Of fills of one time the ids decide: those that are numbers come first, by size (venues count up, so that 99 was before 100), then
/// the others as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryKey {
    /// When, nanoseconds.
    pub event_time_ns: i64,
    /// What.
    pub kind: EntryKind,
    /// The fill's id; empty for funding.
    pub id: Arc<str>,
}

impl Ord for EntryKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |key: &Self| (key.event_time_ns, key.kind);
        place(self).cmp(&place(other)).then_with(|| by_size(&self.id).cmp(&by_size(&other.id)))
    }
}

impl PartialOrd for EntryKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An order for ids: whether it is no number, how many digits it has without zeros in front, these, and all of it, so that only equal
/// ids are equal. The empty one is the least.
fn by_size(id: &str) -> (bool, usize, &str, &str) {
    if id.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = id.trim_start_matches('0');
        (false, digits.len(), digits, id)
    } else {
        (true, 0, "", id)
    }
}

/// What one holder has of one instrument.
///
/// **State**: one holding, the entries inside the correction horizon, and one more holding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    contract: Contract,
    settlement: Arc<str>,
    method: CostMethod,
    base: Holding,
    /// As pairs in text formats, whose maps know no keys like these.
    #[serde(with = "crate::pairs")]
    entries: BTreeMap<EntryKey, Entry>,
    current: Holding,
}

/// A change of a position that was worked out and can still be dropped.
#[derive(Debug)]
pub struct Prepared(Holding);

impl Prepared {
    /// What the position would be.
    pub const fn holding(&self) -> &Holding {
        &self.0
    }
}

impl Position {
    /// Nothing held so far.
    pub fn new(contract: Contract, settlement: Arc<str>, method: CostMethod) -> Self {
        let (base, entries, current) = (Holding::default(), BTreeMap::new(), Holding::default());
        Self { contract, settlement, method, base, entries, current }
    }

    /// What it is with all its entries.
    pub const fn current(&self) -> &Holding {
        &self.current
    }

    /// What its worth is reckoned by.
    pub const fn contract(&self) -> &Contract {
        &self.contract
    }

    /// How many entries it keeps.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// What it would be without some entries and with others; nothing is changed.
    ///
    /// An entry behind all others costs one step, any other folds the horizon anew.
    ///
    /// # Errors
    /// If a number would leave its bounds.
    pub fn prepare(
        &self,
        without: Option<&EntryKey>,
        with: Option<(&EntryKey, &Entry)>,
    ) -> Result<Prepared, OutOfRange> {
        let last = self.entries.last_key_value().map(|(key, _)| key);
        if let (None, Some((key, entry))) = (without, with)
            && last.is_none_or(|last| last < key)
        {
            let mut next = self.current.clone();
            next.apply(entry, &self.contract, &self.settlement, self.method)?;
            return Ok(Prepared(next));
        }
        let mut kept: Vec<(&EntryKey, &Entry)> = self.entries.iter().filter(|(key, _)| Some(*key) != without).collect();
        if let Some((key, entry)) = with {
            let at = kept.partition_point(|(other, _)| *other < key);
            kept.insert(at, (key, entry));
        }
        self.fold(self.base.clone(), kept.into_iter().map(|(_, entry)| entry)).map(Prepared)
    }

    /// Makes a prepared change, of the same entries.
    pub fn commit(&mut self, prepared: Prepared, without: Option<&EntryKey>, with: Option<(EntryKey, Entry)>) {
        if let Some(key) = without {
            self.entries.remove(key);
        }
        self.entries.extend(with);
        self.current = prepared.0;
    }

    fn fold<'a>(&self, from: Holding, entries: impl Iterator<Item = &'a Entry>) -> Result<Holding, OutOfRange> {
        let mut holding = from;
        for entry in entries {
            holding.apply(entry, &self.contract, &self.settlement, self.method)?;
        }
        Ok(holding)
    }

    /// What it was before a time inside the horizon, as a bar that ends then would see it.
    ///
    /// # Panics
    /// Never: the same entries were folded before.
    pub fn before(&self, time_ns: i64) -> Cow<'_, Holding> {
        if self.entries.last_key_value().is_none_or(|(key, _)| key.event_time_ns < time_ns) {
            return Cow::Borrowed(&self.current);
        }
        let until = self.entries.iter().take_while(|(key, _)| key.event_time_ns < time_ns);
        Cow::Owned(
            self.fold(self.base.clone(), until.map(|(_, entry)| entry)).expect("a part of what was folded before"),
        )
    }

    /// Puts what is older than a time into the base, where nothing changes it any more.
    ///
    /// # Panics
    /// Never: the same entries were folded before.
    pub fn freeze(&mut self, frozen_ns: i64) {
        let bound = EntryKey { event_time_ns: frozen_ns, kind: EntryKind::Fill, id: "".into() };
        if self.entries.first_key_value().is_none_or(|(key, _)| *key >= bound) {
            return;
        }
        let kept = self.entries.split_off(&bound);
        let frozen = std::mem::replace(&mut self.entries, kept);
        let base = std::mem::take(&mut self.base);
        self.base = self.fold(base, frozen.values()).expect("a part of what was folded before");
    }
}
