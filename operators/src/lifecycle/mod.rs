//! The life of a bar: provisional, final, revised, frozen, forgotten.

mod operator;
mod saved;

pub use operator::{LifecycleStreams, lifecycle};
pub use saved::SavedBars;

use crate::{TickHeader, Upsert};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tidewheel_schemas::{Bar, Interval};

/// The rules of one interval.
#[derive(Clone, Copy, Debug)]
pub struct LifecycleConfig {
    /// The interval of the bars.
    pub interval: Interval,
    /// The interval made of these bars, if there is one to make: its bars need these until they are frozen themselves.
    pub parent: Option<Interval>,
    /// How long after its end a bar waits for stragglers before it is final, nanoseconds.
    pub lateness_ns: i64,
    /// Whether versions of this interval are published at all.
    pub is_published: bool,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
}

/// A bar as it stands, without its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The instrument's number on this worker.
    pub instrument: u32,
    /// Start of the bar.
    pub open_time_ns: i64,
    /// 0 until and with the first final version, then one more each.
    pub revision: u32,
    /// Whether it is final.
    pub is_final: bool,
    /// The values; none for a tombstone.
    pub bar: Option<Bar>,
}

/// What a tick did to the bars of one interval.
#[derive(Debug, Default)]
pub struct LedgerTick {
    /// Versions to publish.
    pub versions: Vec<Version>,
    /// At the last tick: bars that are not final, as they stand.
    pub open_bars: Vec<Version>,
    /// Changes of the collection that the parent interval is made of.
    pub children: Vec<((u32, i64), Bar, isize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    open_time_ns: i64,
    bar: Option<Bar>,
    revision: u32,
    is_final: bool,
    /// Whether a version was published, and whether the last one had a bar.
    published: Option<bool>,
    /// Whether the bar changed since then.
    is_dirty: bool,
    /// Whether the last snapshot does not show it as it is, and it is listed for the next. Always where nothing is saved.
    #[serde(skip)]
    is_unsaved: bool,
}

/// The bars of one interval that can still change, by instrument.
#[derive(Debug)]
pub struct Ledger {
    config: LifecycleConfig,
    /// By instrument number; ascending by open time.
    books: Vec<VecDeque<Entry>>,
    /// Bars that open before this are final.
    final_before_ns: i64,
    /// Bars that changed and were not published since.
    dirty: Vec<(u32, i64)>,
    /// Bars that the last snapshot does not show as they are.
    unsaved: Vec<(u32, i64)>,
    entries: usize,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(config: LifecycleConfig) -> Self {
        Self {
            config,
            books: Vec::new(),
            final_before_ns: i64::MIN,
            dirty: Vec::new(),
            unsaved: Vec::new(),
            entries: 0,
        }
    }

    /// Bars held.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Applies the changes of a tick.
    pub fn apply(&mut self, header: &TickHeader, upserts: &mut [Upsert]) -> LedgerTick {
        // Most changes become versions, now or a few ticks later.
        let mut out = LedgerTick { versions: Vec::with_capacity(upserts.len()), ..LedgerTick::default() };
        if header.is_restore {
            self.refill(&mut out);
            // What the arrangements make of the finer bars is what this ledger holds already.
            upserts.iter().for_each(|upsert| self.check(upsert));
            return out;
        }
        self.forget_frozen(header.frozen_ns, &mut out);
        // A replacement arrives as a removal and a value in any order: the value, sorted last, wins.
        upserts.sort_by_key(|upsert| (upsert.instrument, upsert.open_time_ns, upsert.bar.is_some()));
        for upsert in upserts.chunk_by(|a, b| (a.instrument, a.open_time_ns) == (b.instrument, b.open_time_ns)) {
            if let Some(last) = upsert.last() {
                self.set(last, header.frozen_ns, &mut out);
            }
        }
        self.publish(header, &mut out);
        if header.is_last && self.config.is_published {
            self.report_open(&mut out);
        }
        out
    }

    /// Drops bars that nothing can change and no parent needs. The parent's bar must stay: its ledger ignores the
    /// retraction, because by then it is frozen there.
    fn forget_frozen(&mut self, frozen_ns: i64, out: &mut LedgerTick) {
        if frozen_ns == i64::MIN {
            return;
        }
        let keeper = self.keeper();
        for (instrument, book) in self.books.iter_mut().enumerate() {
            while let Some(entry) = book.front()
                && is_frozen(keeper, entry.open_time_ns, frozen_ns)
            {
                if let (Some(parent), Some(bar)) = (self.config.parent, entry.bar) {
                    out.children.push(((instrument as u32, parent.open_of(entry.open_time_ns)), bar, -1));
                }
                book.pop_front();
                self.entries -= 1;
            }
        }
    }

    /// The interval whose frozen bars let go of these.
    fn keeper(&self) -> Interval {
        self.config.parent.unwrap_or(self.config.interval)
    }

    fn is_forgotten(&self, open_time_ns: i64, frozen_ns: i64) -> bool {
        is_frozen(self.keeper(), open_time_ns, frozen_ns)
    }

    /// Holds a bar made anew against the one that was saved.
    fn check(&self, upsert: &Upsert) {
        let book = &self.books[upsert.instrument as usize];
        let at = book.partition_point(|entry| entry.open_time_ns < upsert.open_time_ns);
        let held = book.get(at).filter(|entry| entry.open_time_ns == upsert.open_time_ns);
        assert!(
            held.is_none_or(|held| held.bar == upsert.bar),
            "the snapshot does not add up: the {} bar at {} ns is not that of its parts",
            self.config.interval,
            upsert.open_time_ns
        );
    }

    fn set(&mut self, upsert: &Upsert, frozen_ns: i64, out: &mut LedgerTick) {
        if upsert.open_time_ns.saturating_add(self.config.interval.duration_ns()) <= frozen_ns {
            return;
        }
        let number = upsert.instrument as usize;
        if number >= self.books.len() {
            self.books.resize_with(number + 1, VecDeque::new);
        }
        let book = &mut self.books[number];
        let at = match book.back() {
            Some(last) if last.open_time_ns >= upsert.open_time_ns => {
                book.partition_point(|entry| entry.open_time_ns < upsert.open_time_ns)
            }
            _ => book.len(),
        };
        if book.get(at).is_none_or(|entry| entry.open_time_ns != upsert.open_time_ns) {
            if upsert.bar.is_none() {
                return;
            }
            book.insert(at, Entry::new(upsert.open_time_ns, !self.config.is_saved));
            self.entries += 1;
        }
        let entry = &mut book[at];
        if entry.bar == upsert.bar {
            return;
        }
        entry.note_unsaved(upsert.instrument, &mut self.unsaved);
        if let Some(parent) = self.config.parent {
            let key = (upsert.instrument, parent.open_of(upsert.open_time_ns));
            out.children.extend(entry.bar.map(|old| (key, old, -1)));
            out.children.extend(upsert.bar.map(|new| (key, new, 1)));
        }
        entry.bar = upsert.bar;
        if !entry.is_dirty && self.config.is_published {
            entry.is_dirty = true;
            self.dirty.push((upsert.instrument, upsert.open_time_ns));
        }
    }

    fn publish(&mut self, header: &TickHeader, out: &mut LedgerTick) {
        if !self.config.is_published {
            return;
        }
        let final_before_ns = self.final_before(header.watermark_ns);
        let mut still_dirty = Vec::new();
        for (instrument, open_time_ns) in std::mem::take(&mut self.dirty) {
            let book = &mut self.books[instrument as usize];
            let at = book.partition_point(|entry| entry.open_time_ns < open_time_ns);
            // A bar can be forgotten while dirty only after it was published as final.
            let Some(entry) = book.get_mut(at).filter(|entry| entry.open_time_ns == open_time_ns) else { continue };
            let is_final = open_time_ns < final_before_ns;
            entry.note_unsaved(instrument, &mut self.unsaved);
            if is_final || header.publish_provisional {
                out.versions.extend(entry.publish(instrument, is_final));
            } else {
                still_dirty.push((instrument, open_time_ns));
            }
        }
        self.dirty = still_dirty;
        if final_before_ns > self.final_before_ns {
            for (instrument, book) in self.books.iter_mut().enumerate() {
                let from = book.partition_point(|entry| entry.open_time_ns < self.final_before_ns);
                let becoming = book.range_mut(from..).take_while(|entry| entry.open_time_ns < final_before_ns);
                out.versions.extend(becoming.filter_map(|entry| {
                    entry.note_unsaved(instrument as u32, &mut self.unsaved);
                    entry.publish(instrument as u32, true)
                }));
            }
            self.final_before_ns = final_before_ns;
        }
        // Two sorted runs, which a stable sort merges.
        out.versions.sort_by_key(|version| (version.instrument, version.open_time_ns));
    }

    /// Bars that open before the returned time have ended, with the allowed lateness, by the watermark.
    fn final_before(&self, watermark_ns: i64) -> i64 {
        match watermark_ns {
            i64::MIN | i64::MAX => watermark_ns,
            ns => self.final_before_ns.max(self.config.interval.open_of(ns.saturating_sub(self.config.lateness_ns))),
        }
    }

    fn report_open(&self, out: &mut LedgerTick) {
        for (instrument, book) in self.books.iter().enumerate() {
            let open = book.iter().filter(|entry| !entry.is_final && entry.bar.is_some());
            out.open_bars.extend(open.map(|entry| entry.version(instrument as u32)));
        }
    }
}

/// Whether the bar of an interval that a time lies in ends at or before the frozen frontier.
fn is_frozen(interval: Interval, time_ns: i64, frozen_ns: i64) -> bool {
    interval.open_of(time_ns).saturating_add(interval.duration_ns()) <= frozen_ns
}

impl Entry {
    const fn new(open_time_ns: i64, is_unsaved: bool) -> Self {
        Self { open_time_ns, bar: None, revision: 0, is_final: false, published: None, is_dirty: false, is_unsaved }
    }

    /// Lists it for the next snapshot, once.
    fn note_unsaved(&mut self, instrument: u32, unsaved: &mut Vec<(u32, i64)>) {
        if !self.is_unsaved {
            self.is_unsaved = true;
            unsaved.push((instrument, self.open_time_ns));
        }
    }

    const fn version(&self, instrument: u32) -> Version {
        Version {
            instrument,
            open_time_ns: self.open_time_ns,
            revision: self.revision,
            is_final: self.is_final,
            bar: self.bar,
        }
    }

    /// The next version of the bar, unless there is nothing new to say.
    fn publish(&mut self, instrument: u32, is_final: bool) -> Option<Version> {
        let becomes_final = is_final && !self.is_final;
        let is_news = (self.is_dirty || becomes_final) && (self.bar.is_some() || self.published == Some(true));
        if is_news {
            // What follows a final version is a revision of it.
            self.revision += u32::from(self.is_final && self.published.is_some());
            self.published = Some(self.bar.is_some());
        }
        self.is_final |= is_final;
        self.is_dirty = false;
        is_news.then(|| self.version(instrument))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_schemas::{AggressorSide, SECOND_NS, Trade, TradeId, TradeKind};

    fn bar(price: i64) -> Option<Bar> {
        Some(Bar::of(&Trade {
            event_time_ns: 0,
            id: TradeId::number(1),
            price_e8: price,
            quantity_e8: 1,
            count: 1,
            side: AggressorSide::Buy,
            kind: TradeKind::Market,
        }))
    }

    /// Each step: watermark and frozen frontier in seconds, changes `open=price` in seconds (`-` removes), and whether it
    /// is the provisional cadence; then the versions as `open:price/revision` with `p` or `f`.
    fn check(steps: &[(i64, i64, &str, bool, &str)]) {
        let config = LifecycleConfig {
            interval: Interval::S1,
            parent: Some(Interval::M1),
            lateness_ns: 2 * SECOND_NS,
            is_published: true,
            is_saved: false,
        };
        let mut ledger = Ledger::new(config);
        for (step, (watermark, frozen, changes, publish_provisional, expected)) in steps.iter().enumerate() {
            let header = TickHeader {
                tick: step as u64,
                frozen_ns: frozen * SECOND_NS,
                watermark_ns: watermark * SECOND_NS,
                publish_provisional: *publish_provisional,
                is_last: false,
                save: None,
                is_restore: false,
            };
            let mut upserts: Vec<Upsert> = changes
                .split_whitespace()
                .map(|change| {
                    let (open, price) = change.split_once('=').expect("open=price");
                    let open: i64 = open.parse().expect("a second");
                    Upsert { instrument: 0, open_time_ns: open * SECOND_NS, bar: price.parse().ok().and_then(bar) }
                })
                .collect();
            let versions = ledger.apply(&header, &mut upserts).versions;
            let text: Vec<String> = versions
                .iter()
                .map(|version| {
                    let open = version.open_time_ns / SECOND_NS;
                    let price = version.bar.map_or("-".into(), |bar| bar.open_e8.to_string());
                    format!("{open}:{price}/{}{}", version.revision, if version.is_final { 'f' } else { 'p' })
                })
                .collect();
            assert_eq!(text.join(" "), *expected, "step {step}");
        }
    }

    #[test]
    fn provisional_on_the_cadence_then_final_then_revised() {
        check(&[
            (10, 0, "10=5 11=6", false, ""),
            (11, 0, "10=7", true, "10:7/0p 11:6/0p"),
            (11, 0, "", true, ""),
            (13, 0, "", false, "10:7/0f"),
            (14, 0, "", false, "11:6/0f"),
            (14, 0, "10=8", false, "10:8/1f"),
            (14, 0, "10=8", false, ""),
            (14, 0, "10=-", false, "10:-/2f"),
            (14, 0, "10=9", false, "10:9/3f"),
        ]);
    }

    #[test]
    fn a_bar_that_comes_after_its_time_is_final_at_once_and_one_that_never_was_leaves_no_trace() {
        check(&[
            (20, 0, "5=1", false, "5:1/0f"),
            (20, 0, "19=1", false, ""),
            (20, 0, "19=-", false, ""),
            (30, 0, "", true, ""),
            // Published as provisional, then cancelled: the reader must learn of it.
            (30, 0, "30=4", true, "30:4/0p"),
            (30, 0, "30=-", true, "30:-/0p"),
            (40, 0, "", false, ""),
        ]);
    }

    #[test]
    fn a_value_beats_a_removal_of_the_same_tick_and_frozen_bars_do_not_change() {
        check(&[
            (20, 0, "10=3", false, "10:3/0f"),
            (20, 0, "10=4 10=-", false, "10:4/1f"),
            (20, 0, "10=- 10=5", false, "10:5/2f"),
            (20, 11, "10=6", false, ""),
            (90, 60, "10=-", false, ""),
        ]);
    }

    #[test]
    fn the_children_of_a_frozen_parent_are_retracted_and_forgotten() {
        let config = LifecycleConfig {
            interval: Interval::S1,
            parent: Some(Interval::M1),
            lateness_ns: 0,
            is_published: true,
            is_saved: false,
        };
        let mut ledger = Ledger::new(config);
        let header = |frozen: i64| TickHeader {
            tick: 0,
            frozen_ns: frozen * SECOND_NS,
            watermark_ns: 100 * SECOND_NS,
            publish_provisional: false,
            is_last: false,
            save: None,
            is_restore: false,
        };
        let upsert = Upsert { instrument: 0, open_time_ns: 10 * SECOND_NS, bar: bar(1) };
        assert_eq!(ledger.apply(&header(0), &mut [upsert]).children, vec![((0, 0), bar(1).expect("a bar"), 1)]);
        assert!(ledger.apply(&header(59), &mut []).children.is_empty());
        assert_eq!(ledger.apply(&header(60), &mut []).children, vec![((0, 0), bar(1).expect("a bar"), -1)]);
        assert!(ledger.is_empty());
    }
}
