//! Which prices are sure enough to say that equity fell: a single bad print must not stop an account.
//!
//! A print is sure where it is near the sure one before it, or near the print before it, so that of a step the second print counts;
//! near is less than a flash crash away. While the newest print of something that moves an account's equity is not sure, that is not looked
//! at, for as long as the window of a crash: then that print is all there is, and what it fell from has left the window.

use super::RiskEngine;
use super::records::Taken;
use crate::breakers::Now;
use crate::flash_crash::Print;
use crate::levels::Scope;
use crate::policy::FlashCrashPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// The prints of an instrument, as far as they tell which are sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sure {
    newest: Print,
    /// The newest that is sure.
    value: i128,
}

impl Sure {
    fn take(&mut self, print: Print, policy: &FlashCrashPolicy) {
        if (print.time_ns, print.key) <= (self.newest.time_ns, self.newest.key) {
            return;
        }
        if is_near(print.value, self.value, policy) || is_near(print.value, self.newest.value, policy) {
            self.value = print.value;
        }
        self.newest = print;
    }

    fn is_awaited(&self, now: Now, policy: &FlashCrashPolicy) -> bool {
        let window_ns = i64::try_from(policy.window_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        self.newest.value != self.value && now.time_ns.saturating_sub(self.newest.time_ns) <= window_ns
    }
}

/// Whether one is less than a flash crash below the other.
fn is_near(one: i128, other: i128, policy: &FlashCrashPolicy) -> bool {
    let (high, low) = (one.max(other), one.min(other));
    (high - low) as f64 / (high as f64) < policy.fall.as_f64()
}

impl RiskEngine {
    /// Takes the prints of symbols; gives the accounts whose equity is moved by a price that is not sure.
    pub(super) fn unsure_accounts(&mut self, now: Now, taken: &Taken) -> BTreeSet<Arc<str>> {
        let policy = &self.desk.policies().current().policy.flash_crash;
        let mut prints: Vec<(&Instrument, Print)> = Vec::new();
        for (scope, print) in &taken.prints {
            if let Scope::Symbol(instrument) = scope {
                prints.push((instrument, *print));
            }
        }
        prints.sort_unstable();
        for (instrument, print) in prints {
            match self.sure.get_mut(instrument) {
                Some(sure) => sure.take(print, policy),
                None => {
                    self.sure.insert(instrument.clone(), Sure { newest: print, value: print.value });
                }
            }
        }
        let awaited = self.sure.iter().filter(|(_, sure)| sure.is_awaited(now, policy));
        awaited.flat_map(|(instrument, _)| self.book.moved_by(instrument)).cloned().collect()
    }
}
