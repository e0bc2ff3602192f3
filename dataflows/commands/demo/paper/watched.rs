//! What the topics of risk said so far: the account, its positions, where levels stand, decisions and events. Nothing here is reckoned: it
//! is what a client can know.

use super::rows::{Decision, Event, Numbers, Position};
use super::trader::{ACCOUNT, STRATEGY};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidewheel_risk::levels::Level;

/// Lines that are kept to be shown.
const LINES: usize = 64;
/// Events that are counted and not shown: there are some each second.
const MANY: [&str; 2] = ["late_prints", "regime_changed"];

/// The last lines of a list that grows.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    all: u64,
    last: VecDeque<String>,
}

impl Lines {
    fn add(&mut self, line: String) {
        self.all += 1;
        self.last.push_back(line);
        if self.last.len() > LINES {
            self.last.pop_front();
        }
    }

    /// How many there were.
    pub const fn all(&self) -> u64 {
        self.all
    }

    /// Those that came after so many, as far as they are kept.
    pub fn since(&self, seen: u64) -> impl Iterator<Item = &String> {
        let new = usize::try_from(self.all.saturating_sub(seen)).unwrap_or(usize::MAX).min(self.last.len());
        self.last.iter().skip(self.last.len() - new)
    }

    /// The last so many.
    pub fn last(&self, most: usize) -> impl Iterator<Item = &String> {
        self.last.iter().skip(self.last.len().saturating_sub(most))
    }
}

/// Where a scope stands, and by which rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stands {
    pub level: Level,
    /// Worst first, with commas between.
    pub causes: String,
}

/// All that was heard.
#[derive(Default)]
pub struct Watched {
    /// The account as published last.
    pub account: Option<Numbers>,
    /// By symbol; those that hold nothing are left out.
    pub positions: BTreeMap<String, Position>,
    /// By scope, those above green.
    pub levels: BTreeMap<String, Stands>,
    /// What was decided last.
    pub decisions: Lines,
    /// What happened last.
    pub events: Lines,
    /// Approved, reduced, rejected.
    pub rulings: [u64; 3],
    /// Events by kind.
    pub kinds: BTreeMap<String, u64>,
    /// The highest level of all, with its scope.
    pub highest: Option<(String, Stands)>,
    /// Trips that are latched, by name, until they are reset.
    pub latched: BTreeSet<String>,
    decided: BTreeSet<u64>,
    last_event: u64,
    numbers: u64,
}

impl Watched {
    /// Hears a decision. A record may come twice: the embedded broker shows what was rolled back.
    pub fn decision(&mut self, row: &Decision) {
        let at = ["approved", "reduced", "rejected"].iter().position(|ruling| *ruling == row.ruling);
        let (Some(at), "decided") = (at, row.answer.as_str()) else { return };
        if !self.decided.insert(row.decision) {
            return;
        }
        self.rulings[at] += 1;
        let Decision { symbol, intent_id, side, asked_quantity, ruling, quantity, .. } = row;
        let mut line = format!("{intent_id} {side} {asked_quantity} {symbol}: {ruling}");
        if ruling == "reduced" {
            line += &format!(" to {quantity}");
        }
        let reasons = row.reasons.as_deref().map(reasons).unwrap_or_default();
        if !reasons.is_empty() {
            line += &format!(" ({reasons})");
        }
        self.decisions.add(line);
    }

    /// Hears an event. All are in one partition, in the order of their numbers.
    pub fn event(&mut self, row: &Event) {
        let Ok(number) = row.event.parse::<u64>() else { return };
        if number <= self.last_event {
            return;
        }
        self.last_event = number;
        *self.kinds.entry(row.kind.clone()).or_default() += 1;
        let scope = row.scope.clone().unwrap_or_default();
        match row.kind.as_str() {
            "tripped" if row.is_latched == Some(true) => self.latched.extend(row.trip.clone()),
            "lowered" => self.latched.retain(|trip| row.trip.as_ref() != Some(trip)),
            "level_changed" => self.level(scope, row),
            _ => {}
        }
        if !MANY.contains(&row.kind.as_str()) {
            self.events.add(line(row));
        }
    }

    fn level(&mut self, scope: String, row: &Event) {
        let Some(level) = row.level.as_deref().and_then(level_of) else { return };
        let stands = Stands { level, causes: causes(&row.detail) };
        if self.highest.as_ref().is_none_or(|(_, highest)| highest.level < level) {
            self.highest = Some((scope.clone(), stands.clone()));
        }
        if level == Level::Green {
            self.levels.remove(&scope);
        } else {
            self.levels.insert(scope, stands);
        }
    }

    /// Hears of a position.
    pub fn position(&mut self, row: &Position) {
        if row.quantity == "0" {
            self.positions.remove(&row.symbol);
        } else {
            self.positions.insert(row.symbol.clone(), row.clone());
        }
    }

    /// Hears numbers.
    pub fn numbers(&mut self, row: Numbers) {
        self.numbers += 1;
        if row.kind == "account" && self.account.as_ref().is_none_or(|known| known.tick <= row.tick) {
            self.account = Some(row);
        }
    }

    /// Decisions, events and rows of numbers that were heard.
    pub fn heard(&self) -> [u64; 3] {
        [self.decided.len() as u64, self.last_event, self.numbers]
    }

    /// Whether so many of each were heard.
    pub fn has_heard(&self, published: [u64; 3]) -> bool {
        self.heard().iter().zip(published).all(|(heard, published)| *heard >= published)
    }

    /// Where the account stands: the worst of the scopes that all its orders lie under.
    pub fn stands(&self) -> Stands {
        let scopes = ["everything".to_owned(), format!("account:{ACCOUNT}"), format!("strategy:{ACCOUNT}/{STRATEGY}")];
        let levels = scopes.iter().filter_map(|scope| self.levels.get(scope));
        levels.max_by_key(|stands| stands.level).cloned().unwrap_or_default()
    }
}

/// An event for people.
fn line(row: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, scope) = (&row.kind, text(&row.scope));
    match kind.as_str() {
        "flash_crash" => format!("{kind} {scope}: {:.2} % down", row.value.unwrap_or_default() * 100.0),
        "tripped" => format!("{kind} {} at {scope} to {}", text(&row.rule), text(&row.level)),
        "lowered" => {
            format!("{kind} {} at {scope}, {} to {}", text(&row.rule), text(&row.from_level), text(&row.level))
        }
        "level_changed" => {
            let by = Some(causes(&row.detail)).filter(|causes| !causes.is_empty());
            let by = by.map_or_else(String::new, |causes| format!(" by {causes}"));
            format!("{scope} {} to {}{by}", text(&row.from_level), text(&row.level))
        }
        _ if row.control.is_some() => {
            format!("{kind} {} of {}: {}", text(&row.control), text(&row.who), text(&row.why))
        }
        _ => format!("{kind} {scope}"),
    }
}

/// The rules behind a change of level, worst first.
fn causes(detail: &str) -> String {
    let detail: serde_json::Value = serde_json::from_str(detail).unwrap_or_default();
    let causes = detail["level"]["causes"].as_array().into_iter().flatten();
    causes.filter_map(|cause| cause["rule"].as_str()).collect::<Vec<_>>().join(", ")
}

/// The names of what spoke against an order: of a limit which, of a level which and by what.
fn reasons(json: &str) -> String {
    let reasons: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let name = |reason: &serde_json::Value| {
        let (name, what) = match reason.as_object().and_then(|reason| reason.iter().next()) {
            Some((name, what)) => (name.clone(), what.clone()),
            None => (reason.as_str().unwrap_or_default().to_owned(), serde_json::Value::Null),
        };
        let which = what[name.as_str()].as_str().map_or_else(String::new, |which| format!(" {which}"));
        let trip =
            what["trips"].get(0).and_then(|trip| trip.as_str()).map_or_else(String::new, |trip| format!(" by {trip}"));
        format!("{name}{which}{trip}")
    };
    reasons.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn level_of(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_risk::breakers::{Cause, Rule};
    use tidewheel_risk::decisions::{LimitKind, LimitUse, Reason};
    use tidewheel_risk::desk::RiskEvent;
    use tidewheel_risk::levels::{Contribution, LevelChange, Scope};

    fn event(number: u64, kind: &str) -> Event {
        Event {
            event: format!("{number:012}"),
            kind: kind.to_owned(),
            scope: Some("account:paper".to_owned()),
            rule: None,
            from_level: None,
            level: None,
            trip: None,
            value: None,
            is_latched: None,
            control: None,
            who: None,
            why: None,
            detail: String::new(),
        }
    }

    #[test]
    fn levels_are_told_with_the_rules_that_cause_them() {
        let cause = |rule, level| Contribution { rule, level, cause: Cause::Value, trips: Vec::new() };
        let change = LevelChange {
            scope: Scope::account(ACCOUNT),
            from: Level::Green,
            to: Level::Orange,
            causes: vec![cause(Rule::Leverage, Level::Orange), cause(Rule::Drawdown, Level::Yellow)],
        };
        let mut row = event(1, "level_changed");
        (row.from_level, row.level) = (Some("green".to_owned()), Some("orange".to_owned()));
        row.detail = serde_json::to_string(&RiskEvent::Level(change)).expect("plain data");
        let mut watched = Watched::default();
        watched.event(&row);
        watched.event(&row);
        assert_eq!(watched.kinds["level_changed"], 1, "a record that comes twice counts once");
        let stands = Stands { level: Level::Orange, causes: "leverage, drawdown".to_owned() };
        assert_eq!(
            (watched.stands(), watched.highest.clone()),
            (stands.clone(), Some(("account:paper".to_owned(), stands)))
        );
        assert_eq!(watched.events.last(9).collect::<Vec<_>>(), ["account:paper green to orange by leverage, drawdown"]);
        row = Event { event: "2".to_owned(), level: Some("green".to_owned()), detail: String::new(), ..row };
        watched.event(&row);
        assert_eq!(watched.stands(), Stands::default());
        assert_eq!(watched.highest.expect("it was higher").1.level, Level::Orange);
    }

    #[test]
    fn a_latched_trip_is_known_until_it_is_reset() {
        let mut watched = Watched::default();
        let trip = Some("name".to_owned());
        watched.event(&Event { trip: Some("other".to_owned()), is_latched: Some(false), ..event(1, "tripped") });
        watched.event(&Event { trip: trip.clone(), is_latched: Some(true), ..event(2, "tripped") });
        watched.event(&event(3, "lowered"));
        assert!(watched.latched.iter().eq(&trip), "{:?}", watched.latched);
        watched.event(&Event { trip, ..event(4, "lowered") });
        assert!(watched.latched.is_empty());
        assert_eq!(watched.heard(), [0, 4, 0]);
        assert!(watched.has_heard([0, 4, 0]) && !watched.has_heard([1, 0, 0]));
    }

    #[test]
    fn reasons_are_told_by_name() {
        let limit = LimitUse { limit: LimitKind::Sector, value: 2, allowed: 1 };
        let all = [
            Reason::Limit(limit),
            Reason::Level { level: Level::Red, trips: vec!["kill@x".to_owned()] },
            Reason::Level { level: Level::Yellow, trips: Vec::new() },
            Reason::Expired,
            Reason::BelowMinimum,
        ];
        let json = serde_json::to_string(&all).expect("plain data");
        assert_eq!(reasons(&json), "limit sector, level red by kill@x, level yellow, expired, below_minimum");
        assert_eq!(reasons("[]"), "");
    }

    #[test]
    fn lines_are_told_once() {
        let mut lines = Lines::default();
        (0..70).for_each(|number| lines.add(number.to_string()));
        assert_eq!(lines.since(68).collect::<Vec<_>>(), ["68", "69"]);
        assert_eq!((lines.since(70).count(), lines.since(0).count(), lines.all()), (0, 64, 70));
        assert_eq!(lines.last(1).collect::<Vec<_>>(), ["69"]);
    }
}
