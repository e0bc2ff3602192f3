//! The facts of a tick, made once all workers are done with it: events, predictions, signals, and the archive of the control topic.
//!
//! Events of a tick stand in this order: for each record that took effect the ensemble, then its members, then what follows from
//! it; a record that was refused says why. They are numbered from the first of the run on.

use super::{ControlFact, ScoringRules, Wanted};
use crate::tables::{EventRow, FactTables};
use tidewheel_models::Alias;
use tidewheel_operators::saved::SavedFacts;
use tidewheel_operators::scoring::Prediction;
use tidewheel_operators::signals::SignalLedger;
use tidewheel_schemas::{BarVersion, Row};

/// Makes the facts of ticks. Feed it the ticks in their order.
#[derive(Debug)]
pub struct FactMaker {
    tables: FactTables,
    events: u64,
    signals: SignalLedger,
}

impl FactMaker {
    /// One before the first tick, or after that of a snapshot.
    pub fn new(rules: &ScoringRules, tables: FactTables, saved: Option<SavedFacts>) -> Self {
        let saved = saved.unwrap_or_default();
        Self { tables, events: saved.events, signals: SignalLedger::restore(rules.signals, saved.signals) }
    }

    /// What a snapshot must hold.
    pub fn save(&self) -> SavedFacts {
        SavedFacts { events: self.events, signals: self.signals.save() }
    }

    /// Makes the facts of a tick. `acknowledged` has what each worker put into its place.
    ///
    /// # Panics
    /// If a worker did not put into its place what took effect: some of the tick's predictions were then made by another
    /// ensemble than the others.
    pub fn make(
        &mut self,
        tick: u64,
        control: &[ControlFact],
        acknowledged: &[Vec<u64>],
        mut hours: Vec<BarVersion>,
        mut predictions: Vec<Prediction>,
    ) -> Vec<Row> {
        let took_effect =
            || control.iter().filter(|fact| fact.verdict.refused.is_none()).map(|fact| &fact.record.wanted);
        let on_workers = took_effect().filter(|wanted| !matches!(wanted, Wanted::SignalsPolicy(_) | Wanted::Risk(_)));
        let expected: Vec<u64> = on_workers.map(Wanted::number).collect();
        for (worker, acknowledged) in acknowledged.iter().enumerate() {
            assert_eq!(*acknowledged, expected, "worker {worker} at tick {tick}");
        }
        hours
            .sort_by(|left, right| (&left.instrument, left.open_time_ns).cmp(&(&right.instrument, right.open_time_ns)));
        predictions.sort_by(|left, right| left.key().cmp(&right.key()));
        let mut rows: Vec<Row> = control.iter().map(|fact| self.tables.control(tick, fact)).collect();
        control.iter().for_each(|fact| self.tell(tick, fact, &mut rows));
        for wanted in took_effect() {
            if let Wanted::SignalsPolicy(policy) = wanted {
                self.signals.change(policy.config());
            }
        }
        let signals = self.signals.apply(&hours, &predictions);
        rows.extend(predictions.iter().map(|prediction| self.tables.prediction(prediction)));
        rows.extend(signals.iter().map(|signal| self.tables.signal(signal)));
        rows
    }

    /// Tells what became of a record.
    fn tell(&mut self, tick: u64, fact: &ControlFact, rows: &mut Vec<Row>) {
        let wanted = &fact.record.wanted;
        let subject = wanted.subject();
        let mut add = |kind: &'static str, subject: &str, detail: Option<String>| {
            self.events += 1;
            let event = EventRow { number: self.events, kind, subject, detail };
            rows.push(self.tables.event(tick, fact, &event));
        };
        if let Some((name, detail)) = &fact.verdict.refused {
            let kind = match wanted {
                Wanted::Promotion(_) => "promotion_refused",
                Wanted::Withdrawal(_) => "withdrawal_refused",
                Wanted::SignalsPolicy(_) => "signals_policy_refused",
                Wanted::Risk(_) => "risk_order_refused",
            };
            add(kind, &subject, Some(format!("{name}: {detail}")));
            return;
        }
        match wanted {
            Wanted::Promotion(promotion) => {
                let rolled_back = promotion.rolled_back_to.map(|to| format!("rolled back to {to}"));
                add("ensemble_activated", &subject, rolled_back);
                for member in &promotion.members {
                    let subject = format!("{}@{}", member.model, member.version);
                    add("member_activated", &subject, Some(format!("sha256 {}", member.sha256)));
                }
                for table in downstream(promotion.alias) {
                    add("downstream_switched", table, Some(format!("by {subject} from this tick on")));
                }
            }
            Wanted::Withdrawal(withdrawal) => {
                add("ensemble_withdrawn", &subject, None);
                for table in downstream(withdrawal.alias) {
                    add("downstream_switched", table, Some(format!("without {subject} from this tick on")));
                }
            }
            Wanted::SignalsPolicy(policy) => {
                add("signals_policy_changed", &subject, Some(policy.to_string()));
                add("downstream_switched", "signals", Some("by the policy from this tick on".to_owned()));
            }
            // What became of it is told by risk.
            Wanted::Risk(_) => {}
        }
    }
}

/// The tables that an ensemble of an alias has a part in.
const fn downstream(alias: Alias) -> &'static [&'static str] {
    match alias {
        Alias::Production => &["predictions", "signals"],
        Alias::Challenger => &["shadow_predictions"],
    }
}
