//! What is done in a demo while it is watched, and when: another ensemble is promoted, the paper account is killed, and what is latched is
//! reset.
//! The market's crash has its moment here, too; it is the market's own, and all that follows from it is the pipeline's.

use super::CONTROL_TOPIC;
use super::models::Promoter;
use super::paper::{ACCOUNT, Known};
use crate::commands::{CommandError, now_ns};
use crate::scoring::Wanted;
use serde_json::json;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::switches::{ControlEvent, Order};

/// Moments since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    /// Another ensemble is promoted.
    pub promotion: Duration,
    /// A price crashes.
    pub crash: Duration,
    /// The paper account is killed.
    pub kill: Duration,
    /// That is reset, and what else is latched.
    pub reset: Duration,
}

impl Moments {
    /// Those of a demo that lasts so long: shares of it, or 20, 30, 60 and 75 seconds where that is sooner.
    pub fn of(duration: Option<Duration>) -> Self {
        let at = |share: u32, most: u64| {
            let most = Duration::from_secs(most);
            duration.map_or(most, |duration| (duration * share / 100).min(most))
        };
        Self { promotion: at(50, 20), crash: at(45, 30), kill: at(70, 60), reset: at(85, 75) }
    }
}

/// How often what is still latched is tried to be reset.
const RESET_EVERY: Duration = Duration::from_secs(15);

/// The things still to be done.
pub struct Stage {
    begun: Instant,
    moments: Moments,
    promoter: Option<Promoter>,
    orders: Publisher,
    is_killed: bool,
    /// Resets that were sent.
    resets: u32,
    /// When resets are due next.
    reset_at: Duration,
}

impl Stage {
    /// All that is to be done in a demo that begins now.
    ///
    /// # Errors
    /// If the broker is not there.
    pub fn new(moments: Moments, promoter: Promoter, bootstrap: &str) -> Result<Self, CommandError> {
        let orders = Publisher::connect(bootstrap, CONTROL_TOPIC, &Default::default(), Duration::from_secs(10))?;
        let (begun, promoter, reset_at) = (Instant::now(), Some(promoter), moments.reset);
        Ok(Self { begun, moments, promoter, orders, is_killed: false, resets: 0, reset_at })
    }

    /// Does what is due by now.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn go_on(&mut self, known: &Known) -> Result<(), CommandError> {
        let (elapsed, moments) = (self.begun.elapsed(), self.moments);
        if let Some(promoter) = self.promoter.take_if(|_| elapsed >= moments.promotion) {
            promoter.go_on()?;
        }
        // Where nothing was traded yet there is nothing to stop: a slow machine gets until the reset.
        let [.., fills] = known.trader.counts();
        let is_due = elapsed >= moments.kill && (fills > 0 || elapsed >= moments.reset);
        if is_due && !self.is_killed {
            self.is_killed = true;
            // Late or not, there is time to see it.
            self.reset_at = self.reset_at.max(elapsed + moments.reset.saturating_sub(moments.kill));
            return self.order(
                "demo-kill",
                "to be watched",
                Order::Kill { scope: Scope::account(ACCOUNT), level: Level::Red },
            );
        }
        // The trips are those that were published. One that may not be reset yet is refused, and tried again later.
        if self.is_killed && elapsed >= self.reset_at && !known.watched.latched.is_empty() {
            self.reset_at = elapsed + RESET_EVERY;
            for trip in &known.watched.latched {
                self.resets += 1;
                let (id, why) = (format!("demo-reset-{}", self.resets), format!("{trip} has been watched"));
                self.order(&id, &why, Order::Reset { trip: trip.clone() })?;
            }
        }
        Ok(())
    }

    fn order(&mut self, id: &str, why: &str, order: Order) -> Result<(), CommandError> {
        // A record says milliseconds.
        let time_ns = now_ns() / 1_000_000 * 1_000_000;
        let event = ControlEvent { id: id.to_owned(), who: "demo".to_owned(), why: why.to_owned(), time_ns, order };
        let (who, why) = (json!(event.who), json!(event.why));
        let mut record = Wanted::Risk(Box::new(event)).to_json();
        (record["who"], record["why"]) = (who, why);
        Ok(self.orders.send(&Outgoing { payload: record.to_string().as_bytes(), ..Outgoing::default() })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shares_until_they_are_late() {
        let seconds = |duration: Option<u64>| {
            let Moments { promotion, crash, kill, reset } = Moments::of(duration.map(Duration::from_secs));
            [crash, promotion, kill, reset].map(|moment| moment.as_secs())
        };
        assert_eq!(seconds(Some(20)), [9, 10, 14, 17]);
        assert_eq!(seconds(Some(60)), [27, 20, 42, 51]);
        assert_eq!(seconds(Some(3_600)), seconds(None));
        assert_eq!(seconds(None), [30, 20, 60, 75]);
    }
}
