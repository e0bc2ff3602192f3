//! All that contradicts itself in a policy, each with the field's name.

use super::{Ladder, Policy, Ratio};
use crate::levels::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use tidewheel_schemas::Instrument;

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// Which field, from the top of the document: `breakers.drawdown.red`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// The longest a time may be: a year.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

/// How many overrides there may be: a policy is told whole, in one record.
const OVERRIDES_MAX: usize = 500;

impl Policy {
    /// All that is wrong with it, in the order of the document. Empty: it may be set.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Found(Vec::new());
        found.when(self.version == 0, "version", "counts from 1");
        self.check_universe(&mut found);
        found.when(self.day_boundary_minutes >= 1_440, "day_boundary_minutes", "a day has 1440 minutes");
        self.check_limits(&mut found);
        self.check_overrides(&mut found);
        self.check_ladders(&mut found);
        self.check_switches(&mut found);
        self.check_times_and_latches(&mut found);
        self.check_flash_crash(&mut found);
        self.check_regimes(&mut found);
        self.check_decisions(&mut found);
        self.check_people(&mut found);
        found.0
    }

    fn check_universe(&self, found: &mut Found) {
        for pair in self.universe.windows(2) {
            let is_ascending = pair[0] < pair[1];
            found.when(
                !is_ascending,
                "universe",
                format!("\"{}\" must come once, and before \"{}\"", pair[1], pair[0]),
            );
        }
        for name in &self.universe {
            found.when(!is_instrument(name), "universe", format!("\"{name}\" is not venue|symbol"));
        }
    }

    fn check_limits(&self, found: &mut Found) {
        let limits = &self.limits;
        let shares = [
            ("single_position", limits.single_position),
            ("sector", limits.sector),
            ("asset_class", limits.asset_class),
            ("gross", limits.gross),
            ("strategy_gross", limits.strategy_gross),
            ("leverage", limits.leverage),
            ("risk_per_trade", limits.risk_per_trade),
        ];
        for (name, share) in shares {
            found.when(share <= Ratio::ZERO, format!("limits.{name}"), format!("{share} is not above zero"));
        }
        for (name, share) in [("drawdown", limits.drawdown), ("daily_loss", limits.daily_loss)] {
            let is_share = Ratio::ZERO < share && share <= Ratio::ONE;
            found.when(!is_share, format!("limits.{name}"), format!("{share} is not a share above 0 and up to 1"));
        }
        found.when(limits.position_value == 0, "limits.position_value", "nothing could be held");
        found.when(limits.concurrent_positions == 0, "limits.concurrent_positions", "nothing could be held");
        let nested = [
            ("single_position", limits.single_position, "sector", limits.sector),
            ("sector", limits.sector, "asset_class", limits.asset_class),
            ("asset_class", limits.asset_class, "gross", limits.gross),
            ("single_position", limits.single_position, "gross", limits.gross),
            ("strategy_gross", limits.strategy_gross, "gross", limits.gross),
            ("risk_per_trade", limits.risk_per_trade, "drawdown", limits.drawdown),
        ];
        for (part, part_limit, whole, whole_limit) in nested {
            let is_inside = part_limit <= whole_limit;
            let what = format!("{part_limit} is above limits.{whole}, {whole_limit}: it would never count");
            found.when(!is_inside, format!("limits.{part}"), what);
        }
        found.not_above("limits.daily_loss", limits.daily_loss, "limits.drawdown", limits.drawdown);
        let venues = self.margin.venues.iter().map(|(venue, share)| (format!("margin.venues.{venue}"), *share));
        for (field, share) in venues.chain([("margin.share".to_owned(), self.margin.share)]) {
            let is_share = Ratio::ZERO < share && share <= Ratio::ONE;
            found.when(!is_share, field, format!("{share} is not a share above 0 and up to 1"));
        }
    }

    fn check_overrides(&self, found: &mut Found) {
        let mut seen = BTreeSet::new();
        let count = self.overrides.len();
        found.when(count > OVERRIDES_MAX, "overrides", format!("there are {count}, more than {OVERRIDES_MAX}"));
        for (number, entry) in self.overrides.iter().enumerate() {
            let field = format!("overrides[{number}]");
            found.when(entry.weight() == 0, &field, "names no account, strategy or symbol");
            let is_new = seen.insert((&entry.account, &entry.strategy, &entry.symbol));
            found.when(!is_new, &field, "is about the same as one before it");
            let names = [&entry.account, &entry.strategy];
            found.when(names.into_iter().flatten().any(String::is_empty), &field, "has an empty name");
            if let Some(symbol) = entry.symbol.as_ref().filter(|symbol| !is_instrument(symbol)) {
                found.when(true, format!("{field}.symbol"), format!("\"{symbol}\" is not venue|symbol"));
            }
            let given = &entry.limits;
            let shares = [
                ("single_position", given.single_position, Some(self.limits.gross)),
                ("sector", given.sector, Some(self.limits.gross)),
                ("asset_class", given.asset_class, Some(self.limits.gross)),
                ("gross", given.gross, None),
                ("strategy_gross", given.strategy_gross, None),
                ("leverage", given.leverage, None),
                ("drawdown", given.drawdown, Some(Ratio::ONE)),
                ("daily_loss", given.daily_loss, Some(Ratio::ONE)),
                ("risk_per_trade", given.risk_per_trade, Some(Ratio::ONE)),
            ];
            for (name, share, most) in shares {
                let Some(share) = share else { continue };
                let name = format!("{field}.limits.{name}");
                found.when(share <= Ratio::ZERO, &name, format!("{share} is not above zero"));
                // An override that gives its own gross may hold its parts to that one.
                let most = most.map(|most| given.gross.map_or(most, |gross| gross.max(most)));
                if let Some(most) = most.filter(|most| share > *most) {
                    found.when(true, &name, format!("{share} is above {most}: it would never count"));
                }
            }
            found.when(
                given.position_value == Some(0),
                format!("{field}.limits.position_value"),
                "nothing could be held",
            );
            let none = given.concurrent_positions == Some(0);
            found.when(none, format!("{field}.limits.concurrent_positions"), "nothing could be held");
        }
    }

    fn check_ladders(&self, found: &mut Found) {
        let breakers = &self.breakers;
        let ladders = [
            ("value_at_risk", &breakers.value_at_risk, Some(("value_at_risk", self.switches.value_at_risk.trigger))),
            ("drawdown", &breakers.drawdown, Some(("drawdown", self.switches.drawdown.trigger))),
            ("daily_loss", &breakers.daily_loss, Some(("daily_loss", self.switches.daily_loss.trigger))),
            ("leverage", &breakers.leverage, Some(("leverage", self.switches.leverage.trigger))),
            ("concentration", &breakers.concentration, None),
        ];
        for (name, ladder, switch) in ladders {
            let field = format!("breakers.{name}");
            self.check_ladder(found, &field, ladder);
            let highest = ladder.rungs().last();
            found.when(highest.is_none(), &field, "has no level");
            if let (Some((level, rung)), Some((switch, trigger))) = (highest, switch) {
                let switch = format!("switches.{switch}.trigger");
                found.not_above(&format!("{field}.{level}.trigger"), rung.trigger, &switch, trigger);
            }
        }
    }

    fn check_ladder(&self, found: &mut Found, field: &str, ladder: &Ladder) {
        let mut lower: Option<(Level, Ratio)> = None;
        for (level, rung) in ladder.rungs() {
            let name = format!("{field}.{level}");
            found.check_trigger(&name, rung.trigger, rung.clear);
            if let Some((below, trigger)) = lower.filter(|(_, trigger)| *trigger >= rung.trigger) {
                found.when(
                    true,
                    &name,
                    format!("its trigger {} is not above that of {below}, {trigger}", rung.trigger),
                );
            }
            lower = Some((level, rung.trigger));
        }
    }

    fn check_switches(&self, found: &mut Found) {
        let switches = &self.switches;
        let all = [
            ("drawdown", switches.drawdown),
            ("value_at_risk", switches.value_at_risk),
            ("leverage", switches.leverage),
            ("daily_loss", switches.daily_loss),
            ("volatility", switches.volatility),
            ("data_age_s", switches.data_age_s),
            ("rejected_share", switches.rejected_share),
            ("frontier_lag_s", switches.frontier_lag_s),
        ];
        for (name, switch) in all {
            let field = format!("switches.{name}");
            found.check_trigger(&field, switch.trigger, switch.clear);
            let is_latched = switch.level >= Level::Red;
            found.when(!is_latched, format!("{field}.level"), format!("{} does not stop anything", switch.level));
        }
        let limits = &self.limits;
        found.not_above("limits.drawdown", limits.drawdown, "switches.drawdown.trigger", switches.drawdown.trigger);
        let trigger = switches.daily_loss.trigger;
        found.not_above("limits.daily_loss", limits.daily_loss, "switches.daily_loss.trigger", trigger);
        found.not_above("limits.leverage", limits.leverage, "switches.leverage.trigger", switches.leverage.trigger);
    }

    fn check_times_and_latches(&self, found: &mut Found) {
        let hysteresis = &self.hysteresis;
        found.is_inside_one("hysteresis.clear", hysteresis.clear);
        let latch = hysteresis.latch_from;
        found.when(latch > Level::Red, "hysteresis.latch_from", format!("{latch}: red must latch"));
        found.when(latch == Level::Green, "hysteresis.latch_from", "green cannot latch");
        let fault = hysteresis.on_fault;
        found.when(fault < Level::Orange, "hysteresis.on_fault", format!("{fault} lets positions grow on bad input"));
        let times = [
            ("hysteresis.dwell_ms", hysteresis.dwell_ms),
            ("hysteresis.confirmation_ms", hysteresis.confirmation_ms),
            ("staleness.mark_ms", self.staleness.mark_ms),
            ("staleness.reading_ms", self.staleness.reading_ms),
            ("flash_crash.window_ms", self.flash_crash.window_ms),
            ("decisions.reservation_ms", self.decisions.reservation_ms),
            ("decisions.memory_ms", self.decisions.memory_ms),
        ];
        for (name, time_ms) in times {
            found.when(time_ms == 0, name, "is zero");
            found.when(time_ms > LONGEST_MS, name, format!("{time_ms} ms is longer than a year"));
        }
        let skew_ms = self.staleness.skew_ms;
        found.when(skew_ms > LONGEST_MS, "staleness.skew_ms", format!("{skew_ms} ms is longer than a year"));
    }

    fn check_flash_crash(&self, found: &mut Found) {
        let crash = &self.flash_crash;
        found.is_inside_one("flash_crash.fall", crash.fall);
        let (reorder_ms, window_ms) = (crash.reorder_ms, crash.window_ms);
        found.when(reorder_ms >= 1_000, "flash_crash.reorder_ms", "the event must come within 1000 ms");
        let is_shorter = reorder_ms < window_ms;
        found.when(!is_shorter, "flash_crash.reorder_ms", format!("{reorder_ms} is not below window_ms, {window_ms}"));
        for (name, level) in [("symbol_level", crash.symbol_level), ("equity_level", crash.equity_level)] {
            found.when(level == Level::Green, format!("flash_crash.{name}"), "green does nothing");
        }
    }

    fn check_regimes(&self, found: &mut Found) {
        let regimes = &self.regimes;
        let (normal, high, extreme) = (regimes.normal_from, regimes.high_from, regimes.extreme_from);
        found.is_inside_one("regimes.decay", regimes.decay);
        found.is_inside_one("regimes.least_volatility", regimes.least_volatility);
        for (name, share) in [("normal_from", normal), ("high_from", high), ("extreme_from", extreme)] {
            found.is_inside_one(&format!("regimes.{name}"), share);
        }
        let is_ascending = normal < high && high < extreme;
        found.when(!is_ascending, "regimes", format!("{normal}, {high}, {extreme} do not ascend"));
        let narrowest = normal.min(Ratio::from_e9(high.e9().saturating_sub(normal.e9())));
        let narrowest = narrowest.min(Ratio::from_e9(extreme.e9().saturating_sub(high.e9())));
        let band = regimes.band;
        let is_narrow = Ratio::ZERO <= band && band < narrowest;
        found.when(!is_narrow, "regimes.band", format!("{band} is negative or wider than the narrowest regime"));
        found.when(regimes.warm_bars < 2, "regimes.warm_bars", "a distribution needs two values");
        found.when(regimes.window_bars > 100_000, "regimes.window_bars", "more than 100000 values");
        let is_reached = regimes.warm_bars <= regimes.window_bars;
        found.when(!is_reached, "regimes.warm_bars", "is above window_bars: there would never be a regime");
        found.when(regimes.dwell_bars == 0, "regimes.dwell_bars", "is zero");
        let (high, extreme) = (regimes.high_stop_multiplier, regimes.extreme_stop_multiplier);
        found.when(high < Ratio::ONE, "regimes.high_stop_multiplier", format!("{high} would tighten stops"));
        found.not_above("regimes.high_stop_multiplier", high, "regimes.extreme_stop_multiplier", extreme);
    }

    fn check_decisions(&self, found: &mut Found) {
        let decisions = &self.decisions;
        found.is_inside_one("decisions.price_band", decisions.price_band);
        found.is_inside_one("decisions.assumed_stop", decisions.assumed_stop);
        for (name, share) in
            [("market_slippage", decisions.market_slippage), ("fee_allowance", decisions.fee_allowance)]
        {
            let is_share = Ratio::ZERO <= share && share < Ratio::ONE;
            found.when(!is_share, format!("decisions.{name}"), format!("{share} is not a share from 0 and below 1"));
        }
        let (slippage, band) = (decisions.market_slippage, decisions.price_band);
        found.not_above("decisions.market_slippage", slippage, "decisions.price_band", band);
        let (counts_ms, kept_ms) = (decisions.reservation_ms, decisions.memory_ms);
        let what = format!("{counts_ms} is above memory_ms, {kept_ms}: an open order would be forgotten");
        found.when(counts_ms > kept_ms, "decisions.reservation_ms", what);
        let least = decisions.minimum_value;
        let most = self.limits.position_value;
        found.when(least > most, "decisions.minimum_value", format!("{least} is above limits.position_value, {most}"));
        found.when(decisions.open_orders == 0, "decisions.open_orders", "nothing could be ordered");
    }

    fn check_people(&self, found: &mut Found) {
        let people = &self.people;
        for (name, list) in [("kill", &people.kill), ("reset", &people.reset), ("policy", &people.policy)] {
            let field = format!("people.{name}");
            found.when(list.iter().any(|person| person.trim().is_empty()), &field, "has an empty name");
            let different: BTreeSet<_> = list.iter().collect();
            found.when(different.len() < list.len(), &field, "names somebody twice");
        }
        let different: BTreeSet<_> = people.reset.iter().collect();
        found.when(different.len() == 1, "people.reset", "black needs two persons, and there is one");
    }
}

fn is_instrument(name: &str) -> bool {
    name.split_once('|').is_some_and(|(venue, symbol)| Instrument::new(venue, symbol).is_ok())
}

struct Found(Vec<Problem>);

impl Found {
    fn when(&mut self, is_wrong: bool, field: impl AsRef<str>, what: impl Into<String>) {
        if is_wrong {
            self.0.push(Problem { field: field.as_ref().to_owned(), what: what.into() });
        }
    }

    fn is_inside_one(&mut self, field: &str, share: Ratio) {
        let is_inside = Ratio::ZERO < share && share < Ratio::ONE;
        self.when(!is_inside, field, format!("{share} is not a share above 0 and below 1"));
    }

    fn not_above(&mut self, field: &str, value: Ratio, other: &str, most: Ratio) {
        self.when(value > most, field, format!("{value} is above {other}, {most}: it would never count"));
    }

    fn check_trigger(&mut self, field: &str, trigger: Ratio, clear: Option<Ratio>) {
        self.when(trigger <= Ratio::ZERO, format!("{field}.trigger"), format!("{trigger} is not above zero"));
        let Some(clear) = clear else { return };
        let field = format!("{field}.clear");
        self.when(clear <= Ratio::ZERO, &field, format!("{clear} is not above zero: it could never be well again"));
        self.when(clear >= trigger, &field, format!("{clear} is not below the trigger, {trigger}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Override;
    use super::*;

    /// The fields that a document is wrong in.
    fn fields(document: &str) -> Vec<String> {
        let policy: Policy = toml::from_str(document).unwrap_or_else(|error| panic!("{document}\n{error}"));
        policy.problems().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_defaults_are_valid_and_both_forms_say_the_same() {
        let policy = Policy::with_version(1);
        assert_eq!(policy.problems(), []);
        assert_eq!(toml::from_str::<Policy>("version = 1").expect("all has a default"), policy);
        let text = toml::to_string(&policy).expect("TOML");
        assert_eq!(toml::from_str::<Policy>(&text).expect("a policy"), policy);
        let text = serde_json::to_string(&policy).expect("JSON");
        assert_eq!(serde_json::from_str::<Policy>(&text).expect("a policy"), policy);
        let bytes = postcard::to_allocvec(&policy).expect("bytes");
        assert_eq!(postcard::from_bytes::<Policy>(&bytes).expect("a policy"), policy);
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("[limits]\nsingle_position = 0", &["limits.single_position"]),
            ("[limits]\nsingle_position = -0.1", &["limits.single_position"]),
            ("[limits]\nsingle_position = 0.3", &["limits.single_position"]),
            ("[limits]\nsingle_position = 3", &["limits.single_position", "limits.single_position"]),
            ("[limits]\nsector = 0.6", &["limits.sector"]),
            ("[limits]\nstrategy_gross = 2.5", &["limits.strategy_gross"]),
            ("[limits]\ndrawdown = 1.5", &["limits.drawdown", "limits.drawdown"]),
            ("[limits]\ndaily_loss = 0.06", &["limits.daily_loss"]),
            (
                "[limits]\nconcurrent_positions = 0\nposition_value = 9",
                &["limits.concurrent_positions", "decisions.minimum_value"],
            ),
            ("[breakers.drawdown]\nred = { trigger = 0.1, clear = 0.1 }", &["breakers.drawdown.red.clear"]),
            ("[breakers.drawdown]\nyellow = { trigger = 0.2 }\nred = { trigger = 0.1 }", &["breakers.drawdown.red"]),
            ("[breakers.drawdown]\nred = { trigger = 0.3 }", &["breakers.drawdown.red.trigger"]),
            ("[breakers]\ndrawdown = {}", &["breakers.drawdown"]),
            (
                "[switches]\nvolatility = { trigger = 0, level = 'yellow' }",
                &["switches.volatility.trigger", "switches.volatility.level"],
            ),
            (
                "[hysteresis]\nclear = 1\nlatch_from = 'black'\non_fault = 'yellow'\ndwell_ms = 0",
                &["hysteresis.clear", "hysteresis.latch_from", "hysteresis.on_fault", "hysteresis.dwell_ms"],
            ),
            (
                "[flash_crash]\nreorder_ms = 1000\nsymbol_level = 'green'",
                &["flash_crash.reorder_ms", "flash_crash.symbol_level"],
            ),
            ("[flash_crash]\nwindow_ms = 300", &["flash_crash.reorder_ms"]),
            ("[regimes]\nnormal_from = 0.9", &["regimes", "regimes.band"]),
            ("[regimes]\nband = 0.2\nwarm_bars = 1000", &["regimes.band", "regimes.warm_bars"]),
            ("[regimes]\nleast_volatility = 0", &["regimes.least_volatility"]),
            (
                "[decisions]\nmarket_slippage = 0.1\nmemory_ms = 1000",
                &["decisions.market_slippage", "decisions.reservation_ms"],
            ),
            ("[people]\nreset = ['ann']\nkill = ['', 'bob', 'bob']", &["people.kill", "people.kill", "people.reset"]),
            ("[[overrides]]\nlimits = { gross = 0 }", &["overrides[0]", "overrides[0].limits.gross"]),
            (
                "[[overrides]]\naccount = 'a'\n[[overrides]]\naccount = 'a'\nsymbol = 'BTC'\n[[overrides]]\naccount = 'a'",
                &["overrides[1].symbol", "overrides[2]"],
            ),
            (
                "[[overrides]]\naccount = 'a'\nlimits = { single_position = 2.5 }",
                &["overrides[0].limits.single_position"],
            ),
            ("[[overrides]]\naccount = 'a'\nlimits = { single_position = 2.5, gross = 3 }", &[]),
        ];
        for (document, expected) in cases {
            assert_eq!(fields(&format!("version = 1\n{document}")), *expected, "{document}");
        }
        let mut many = Policy::with_version(1);
        let of = |number: usize| Override { account: Some(number.to_string()), ..Override::default() };
        many.overrides = (0..OVERRIDES_MAX + 1).map(of).collect();
        assert_eq!(many.problems().iter().map(|problem| &*problem.field).collect::<Vec<_>>(), ["overrides"]);
        assert_eq!(
            fields("version = 0\nday_boundary_minutes = 1440\nuniverse = ['b|B', 'a|A', 'x']"),
            ["version", "universe", "universe", "day_boundary_minutes",]
        );
    }

    #[test]
    fn what_is_not_known_or_not_a_number_is_refused() {
        for document in [
            "",
            "version = 1\nversoin = 2",
            "version = 1\n[limits]\ngros = 2",
            "version = 1\n[limits]\ngross = nan",
            "version = 1\n[limits]\ngross = inf",
            "version = 1\n[limits]\ngross = '2'",
            "version = 1\n[breakers.drawdown]\nred = { triger = 1 }",
            "version = 1\n[hysteresis]\non_fault = 'purple'",
            "version = 1\n[[overrides]]\naccount = 'a'\nlimits = { gros = 1 }",
            "version = -1",
        ] {
            assert!(toml::from_str::<Policy>(document).is_err(), "{document}");
        }
    }
}
