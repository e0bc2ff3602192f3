//! Falls, regimes and rules by plain loops over all there was, in floats: slow, and nothing shared with the program.

/// `hysteresis.clear`, the default.
const CLEAR: f64 = 0.8;

/// Falls of a price from the second highest of a window to the higher of its last two.
pub struct Falls {
    window_ns: i64,
    fall: f64,
    prices: Vec<(i64, f64)>,
    is_fallen: bool,
}

impl Falls {
    pub const fn new(window_ns: i64, fall: f64) -> Self {
        Self { window_ns, fall, prices: Vec::new(), is_fallen: false }
    }

    /// Takes the next price; says whether it completes a fall.
    pub fn take(&mut self, time_ns: i64, price: f64) -> bool {
        let before = self.prices.last().copied();
        self.prices.push((time_ns, price));
        let window = self.prices.iter().rev().take_while(|(then_ns, _)| *then_ns >= time_ns - self.window_ns);
        let mut highest = [0.0, 0.0f64];
        for (_, price) in window {
            if *price > highest[0] {
                highest = [*price, highest[0]];
            } else if *price > highest[1] {
                highest[1] = *price;
            }
        }
        let Some((before_ns, before)) = before else { return false };
        if before_ns < time_ns - self.window_ns {
            return false;
        }
        let was_fallen = self.is_fallen;
        // It is over below the clear share of it.
        let over_at = if was_fallen { self.fall * CLEAR } else { self.fall };
        self.is_fallen = 1.0 - before.max(price) / highest[1] >= over_at;
        self.is_fallen && !was_fallen
    }
}

/// Whether the newest price of something is to be believed: near the one believed before it, or near the one before it.
pub struct Believed {
    window_ns: i64,
    fall: f64,
    prices: Vec<(i64, f64)>,
    believed: f64,
}

impl Believed {
    pub const fn new(window_ns: i64, fall: f64) -> Self {
        Self { window_ns, fall, prices: Vec::new(), believed: 0.0 }
    }

    /// Takes the next price.
    pub fn take(&mut self, time_ns: i64, price: f64) {
        let is_near = |other: f64| 1.0 - price.min(other) / price.max(other) < self.fall;
        let before = self.prices.last().map_or(price, |(_, before)| *before);
        if is_near(before) || is_near(self.believed) {
            self.believed = price;
        }
        self.prices.push((time_ns, price));
    }

    /// Whether what it is worth at a time can be told: what is not believed for a window is all there is.
    pub fn is_at(&self, time_ns: i64) -> bool {
        self.prices
            .last()
            .is_none_or(|(newest_ns, newest)| *newest == self.believed || time_ns - newest_ns > self.window_ns)
    }
}

/// The names of levels, ascending.
pub const LEVELS: [&str; 5] = ["green", "yellow", "orange", "red", "black"];
/// How long a value must be well before a level sinks, milliseconds.
const DWELL_MS: u64 = 1_800_000;

/// A rule: its level, and where it rises, by level.
pub struct Rule {
    name: &'static str,
    rungs: Vec<(usize, f64)>,
    level: usize,
    well_since_ms: Option<u64>,
}

impl Rule {
    /// One with thresholds of yellow, orange and red.
    pub fn graded(name: &'static str, triggers: &[f64; 3]) -> Self {
        Self { name, rungs: (1..).zip(triggers.iter().copied()).collect(), level: 0, well_since_ms: None }
    }

    /// One with a single threshold.
    pub fn switch(name: &'static str, level: usize, trigger: f64) -> Self {
        Self { name, rungs: vec![(level, trigger)], level: 0, well_since_ms: None }
    }

    /// Takes a value: `rule>level` for each level it rose to that is kept, `rule<level` where it sank. Below 80 % of a trigger it is well;
    /// from red on it stays.
    pub fn take(&mut self, now_ms: u64, value: f64) -> Vec<String> {
        let asked = self.rungs.iter().filter(|rung| value >= rung.1).map(|rung| rung.0).max().unwrap_or(0);
        if asked > self.level {
            let before = std::mem::replace(&mut self.level, asked);
            self.well_since_ms = None;
            let rose = self.rungs.iter().map(|rung| rung.0);
            let rose = rose.filter(|level| *level > before && (*level == asked || (*level < asked && *level >= 3)));
            return rose.map(|level| format!("{}>{}", self.name, LEVELS[level])).collect();
        }
        let clear = |level: usize| self.rungs.iter().find(|rung| rung.0 == level).map_or(0.0, |rung| 0.8 * rung.1);
        if self.level == 0 || self.level >= 3 || value >= clear(self.level) {
            self.well_since_ms = None;
            return Vec::new();
        }
        let since_ms = *self.well_since_ms.get_or_insert(now_ms);
        if now_ms - since_ms < DWELL_MS {
            return Vec::new();
        }
        let below = self.rungs.iter().map(|rung| rung.0).filter(|level| *level < self.level).max().unwrap_or(0);
        self.well_since_ms = (below > 0 && value < clear(below)).then_some(now_ms);
        self.level = below;
        vec![format!("{}<{}", self.name, LEVELS[below])]
    }
}

/// The regime of a symbol after each bar.
#[derive(Default)]
pub struct Regimes {
    regime: Option<usize>,
    well: usize,
}

impl Regimes {
    /// Takes all closes so far: the regime that it is now, if it was another one, and volatility over its median. It is warm with 60 bars;
    /// normal, high and extreme begin at 50, 85 and 97 % of the last 720; down goes it after three bars 5 % below that.
    pub fn take(&mut self, closes: &[f64]) -> (Option<&'static str>, Option<f64>) {
        const NAMES: [&str; 4] = ["low", "normal", "high", "extreme"];
        const BEGINS: [f64; 4] = [0.0, 0.5, 0.85, 0.97];
        let mut past: Vec<f64> = Vec::new();
        for pair in closes.windows(2) {
            let squared = (pair[1] / pair[0] - 1.0).powi(2);
            let variance = past.last().map_or(squared, |before: &f64| 0.94 * before + (1.0 - 0.94) * squared);
            past.push(variance);
        }
        if past.len() < 60 {
            return (None, None);
        }
        let mut past: Vec<f64> =
            past[past.len().saturating_sub(720)..].iter().map(|variance| variance.sqrt()).collect();
        let newest = past[past.len() - 1];
        let share = past.iter().filter(|held| **held < newest).count() as f64 / past.len() as f64;
        past.sort_by(f64::total_cmp);
        let spike = newest / past[(past.len() - 1) / 2];
        let asked = (0..4).rev().find(|regime| share >= BEGINS[*regime]).expect("the lowest begins with nothing");
        let change = match self.regime {
            Some(regime) if asked <= regime => {
                self.well = if share < BEGINS[regime] - 0.05 { self.well + 1 } else { 0 };
                (self.well >= 3).then(|| regime.saturating_sub(1))
            }
            _ => Some(asked),
        };
        if let Some(to) = change {
            (self.regime, self.well) = (Some(to), 0);
        }
        (change.map(|to| NAMES[to]), Some(spike))
    }
}
