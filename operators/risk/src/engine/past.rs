//! What accounts had lost at the ends of minutes: as it was known then, and as corrections of fills, marks and money make it.

use super::readings::share;
use crate::book::AccountBook;
use crate::breakers::{CorrectedReading, Measure};
use crate::equity::Curve;
use crate::levels::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const MEASURES: [Measure; 2] = [Measure::Drawdown, Measure::DailyLoss];

/// A minute of an account: losses by [`MEASURES`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Minute {
    /// The first tick that knew it.
    tick: u64,
    as_known: [f64; 2],
    /// As last corrected.
    as_corrected: [f64; 2],
}

/// The minutes inside the horizon. A trip between the ends of two minutes is judged by neither: that is how finely the past is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    #[serde(with = "crate::pairs")]
    minutes: BTreeMap<(i64, Arc<str>), Minute>,
}

impl Past {
    /// Remembers minutes that are new, and gives what corrections made of the others.
    pub(super) fn take(&mut self, book: &AccountBook, tick: u64) -> Vec<CorrectedReading> {
        let mut corrected = Vec::new();
        for account in book.accounts() {
            for (time_ns, curve) in book.curves(account) {
                let now = losses(&curve);
                let first = Minute { tick, as_known: now, as_corrected: now };
                let minute = self.minutes.entry((time_ns, account.clone())).or_insert(first);
                for (at, measure) in MEASURES.into_iter().enumerate() {
                    if minute.as_corrected[at] == now[at] {
                        continue;
                    }
                    minute.as_corrected[at] = now[at];
                    corrected.push(CorrectedReading {
                        measure,
                        scope: Scope::Account(account.clone()),
                        tick: minute.tick,
                        as_known: minute.as_known[at],
                        as_corrected: now[at],
                    });
                }
            }
        }
        corrected
            .sort_by(|one, other| (one.tick, &one.scope, one.measure).cmp(&(other.tick, &other.scope, other.measure)));
        corrected
    }

    /// Takes all minutes as they are reckoned now: by another policy, which corrects nothing.
    pub(super) fn rebase(&mut self, book: &AccountBook) {
        for account in book.accounts() {
            for (time_ns, curve) in book.curves(account) {
                if let Some(minute) = self.minutes.get_mut(&(time_ns, account.clone())) {
                    (minute.as_known, minute.as_corrected) = (losses(&curve), losses(&curve));
                }
            }
        }
    }

    /// Forgets what corrections cannot reach; gives the oldest tick that is left.
    pub(super) fn forget_until(&mut self, frozen_ns: i64) -> Option<u64> {
        self.minutes.retain(|(time_ns, _), _| *time_ns > frozen_ns);
        self.minutes.values().map(|minute| minute.tick).min()
    }

    pub(super) fn len(&self) -> usize {
        self.minutes.len()
    }
}

/// Nothing is lost where nothing can be reckoned: the faults of that tick have been read by themselves.
fn losses(curve: &Curve) -> [f64; 2] {
    let daily = curve.day_loss_e16().and_then(|lost| share(lost, Some(curve.day_base_e16)).ok()).unwrap_or(0.0);
    [curve.drawdown().map_or(0.0, |drawdown| -drawdown), daily]
}
