//! The fold of equity samples.

use crate::exact::mul_div;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a day.
pub const DAY_NS: i64 = 86_400_000_000_000;

/// Equity at a time, in the account's base currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The end of what it counts, nanoseconds: events before it.
    pub time_ns: i64,
    /// Cash and unrealised, sixteen decimals; none where something had no mark or no rate.
    pub equity_e16: Option<i128>,
    /// Deposits less withdrawals since the sample before.
    pub flow_e16: i128,
}

/// The state after some samples.
///
/// The peak includes the first equity. Money put in or taken out is no profit and no loss: it scales the peak by what it did to the
/// equity, rounded half to even, so that the drawdown stays what it was. What was won or lost between two samples came before or
/// after a flow between them, which samples do not tell; so what was put in counts as there from the beginning, and what was taken out
/// as there until the end. Profit and loss are then measured by the larger equity, and a small loss beside a large deposit or
/// withdrawal is a small drawdown. Where all is taken out, the peak begins anew with what is put in next. Where all was lost and there is
/// still a peak, no share is left to scale by: what is put in then is added to the peak, so that the loss stays what it was in money,
/// and what is taken out leaves it; it begins anew once all is taken out. What the day began with is scaled in the same way, so that a flow
/// changes neither the share that is lost from the peak nor that of the day. A day's profit is the equity less that at the day's beginning
/// and less the day's flows. A sample without equity keeps its flows for the next that has one, and moves nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    /// Equity of the last sample that had one; zero before the first.
    pub equity_e16: i128,
    /// The running peak, none before the first sample.
    pub peak_e16: Option<i128>,
    /// The number of the day of the last sample.
    pub day: Option<i64>,
    /// Equity at the beginning of that day, flows that had no equity to be part of yet included.
    pub day_equity_e16: i128,
    /// Deposits less withdrawals of that day.
    pub day_flow_e16: i128,
    /// Equity at the beginning of that day, scaled by flows since as the peak is: what the day's loss is a share of.
    pub day_base_e16: i128,
    /// Flows of samples without equity.
    pub waiting_flow_e16: i128,
    /// The deepest drawdown so far: equity and peak at that time.
    pub deepest: Option<(i128, i128)>,
}

impl Curve {
    /// Takes the next sample, by time. Days begin `day_offset_ns` after midnight UTC. None if a number does not fit.
    #[must_use]
    pub fn step(mut self, point: &Point, day_offset_ns: i64) -> Option<Self> {
        let day = Self::day_of(point.time_ns, day_offset_ns);
        if self.day != Some(day) {
            // What waits came the day before: the day begins with it.
            let begun = self.equity_e16.checked_add(self.waiting_flow_e16)?;
            (self.day, self.day_equity_e16, self.day_flow_e16) = (Some(day), begun, 0);
            self.day_base_e16 = self.equity_e16;
        }
        let flow = self.waiting_flow_e16.checked_add(point.flow_e16)?;
        self.day_flow_e16 = self.day_flow_e16.checked_add(point.flow_e16)?;
        let Some(equity) = point.equity_e16 else {
            self.waiting_flow_e16 = flow;
            return Some(self);
        };
        let (put_in, taken_out) = (flow.max(0), flow.min(0));
        let peak = scaled(self.peak_e16, self.equity_e16, put_in)?;
        let before_taken_out = equity.checked_sub(taken_out)?;
        let peak = Some(peak.map_or(before_taken_out, |peak| peak.max(before_taken_out)));
        let peak = scaled(peak, before_taken_out, taken_out)?.unwrap_or(equity);
        let base = scaled(Some(self.day_base_e16), self.equity_e16, put_in)?;
        self.day_base_e16 = scaled(base, before_taken_out, taken_out)?.unwrap_or(equity);
        (self.waiting_flow_e16, self.equity_e16, self.peak_e16) = (0, equity, Some(peak));
        if peak > 0 && self.deepest.is_none_or(|deepest| ratio(equity, peak) < ratio(deepest.0, deepest.1)) {
            self.deepest = Some((equity, peak));
        }
        Some(self)
    }

    /// The number of the day that a sample closes or lies in: one at the very boundary closes the day before.
    pub const fn day_of(time_ns: i64, day_offset_ns: i64) -> i64 {
        time_ns.saturating_sub(1).saturating_sub(day_offset_ns).div_euclid(DAY_NS)
    }

    /// Lets days begin at another time from a time on. That alone begins no day: the one of the last sample goes on until the next
    /// boundary after that time.
    pub const fn move_days(&mut self, from_ns: i64, day_offset_ns: i64) {
        if self.day.is_some() {
            self.day = Some(Self::day_of(from_ns, day_offset_ns));
        }
    }

    /// Equity over its running peak less one, zero or below; none before the first sample or where the peak is not above zero.
    pub fn drawdown(&self) -> Option<f64> {
        let peak = self.peak_e16.filter(|peak| *peak > 0)?;
        Some(ratio(self.equity_e16, peak))
    }

    /// The deepest drawdown so far, zero or below; none before the first sample with a peak above zero.
    pub fn max_drawdown(&self) -> Option<f64> {
        self.deepest.map(|(equity, peak)| ratio(equity, peak))
    }

    /// Loss of the day of the last sample as of what it is a share of, up to the last that had equity; below zero for a profit.
    pub const fn day_loss_e16(&self) -> Option<i128> {
        self.day_base_e16.checked_sub(self.equity_e16)
    }

    /// Profit of the day of the last sample, up to the last that had equity.
    pub fn day_profit_e16(&self) -> Option<i128> {
        let equity = self.equity_e16.checked_add(self.waiting_flow_e16)?;
        equity.checked_sub(self.day_equity_e16)?.checked_sub(self.day_flow_e16)
    }
}

/// The peak after a flow at which equity was so much before it. None if a number does not fit.
fn scaled(peak_e16: Option<i128>, equity_e16: i128, flow_e16: i128) -> Option<Option<i128>> {
    if flow_e16 == 0 {
        return Some(peak_e16);
    }
    let after_e16 = equity_e16.checked_add(flow_e16)?;
    Some(match peak_e16 {
        // So much is put in beside what was left that the product does not fit: what was left is as good as nothing.
        Some(peak) if peak > 0 && equity_e16 > 0 && after_e16 > 0 => {
            Some(mul_div(peak, after_e16, equity_e16).or_else(|| peak.checked_add(flow_e16))?)
        }
        Some(peak) if peak > 0 && equity_e16 <= 0 => Some(peak.checked_add(flow_e16.max(0))?),
        _ => Some(after_e16),
    })
}

/// Of a peak above zero. The difference is exact; one rounding to a float each and one division follow.
fn ratio(equity: i128, peak: i128) -> f64 {
    (equity - peak) as f64 / peak as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    fn fold(points: &[(i64, Option<i128>, i128)], offset_ns: i64) -> Curve {
        points.iter().fold(Curve::default(), |curve, (minute, equity_e16, flow_e16)| {
            let point = Point { time_ns: minute * MINUTE_NS, equity_e16: *equity_e16, flow_e16: *flow_e16 };
            curve.step(&point, offset_ns).expect("the numbers of the table fit")
        })
    }

    #[test]
    fn the_peak_includes_the_first_equity_and_flows_are_no_profit() {
        let curve = fold(&[(1, Some(1000), 1000), (2, Some(900), 0)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown(), curve.day_profit_e16()), (Some(1000), Some(-0.1), Some(-100)));
        // Half of it is taken out: the drawdown stays.
        let curve = fold(&[(1, Some(1000), 1000), (2, Some(900), 0), (3, Some(450), -450)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown(), curve.day_profit_e16()), (Some(500), Some(-0.1), Some(-100)));
        // All of it, and some put in again: a new beginning.
        let curve = fold(&[(1, Some(1000), 1000), (2, Some(0), -900), (3, Some(70), 70)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown(), curve.max_drawdown()), (Some(70), Some(0.0), Some(0.0)));
        assert_eq!(curve.day_profit_e16(), Some(-100));
    }

    #[test]
    fn a_small_loss_beside_a_large_flow_is_a_small_drawdown() {
        let drawdown = |points: &[_]| fold(points, 0).drawdown().expect("a sample with equity");
        assert_eq!(drawdown(&[(1, Some(2), 2), (2, Some(1_001), 1_000)]), -1.0 / 1_002.0);
        assert_eq!(drawdown(&[(1, Some(999), 1_000)]), -0.001);
        // A loss of 2 of 1,000, of which all but 10 is taken out: 8 are left, where 9.98 would be without rounding.
        let units = 1_000_000_000;
        let points = [(1, Some(1_000 * units), 1_000 * units), (2, Some(8 * units), -990 * units)];
        assert!((drawdown(&points) + 0.002).abs() < 1e-9);
        // What was won counts for the peak, though it is taken out at once.
        let curve = fold(&[(1, Some(100), 100), (2, Some(100), -100), (3, Some(50), 0)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown()), (Some(100), Some(-0.5)));
    }

    #[test]
    fn what_was_lost_to_below_nothing_stays_lost() {
        // 1,050 of 1,000 are lost; 500 more are put in.
        let points = [(1, Some(1000), 1000), (2, Some(-50), 0), (3, Some(450), 500)];
        let curve = fold(&points[..2], 0);
        assert_eq!((curve.peak_e16, curve.drawdown()), (Some(1000), Some(-1.05)));
        let curve = fold(&points, 0);
        assert_eq!((curve.peak_e16, curve.drawdown(), curve.max_drawdown()), (Some(1500), Some(-0.7), Some(-1.05)));
        // What is taken out of less than nothing is no profit either.
        let curve = fold(&[(1, Some(1000), 1000), (2, Some(-50), 0), (3, Some(-60), -10)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown()), (Some(1000), Some(-1.06)));
        // All is taken out: a new beginning.
        let curve = fold(&[points[0], points[1], points[2], (4, Some(0), -450), (5, Some(70), 70)], 0);
        assert_eq!((curve.peak_e16, curve.drawdown()), (Some(70), Some(0.0)));
        // The smallest amount is left, and a million beside it: the sample is not lost.
        let unit = 10i128.pow(16);
        let curve = fold(&[(1, Some(10i128.pow(6) * unit), 10i128.pow(6) * unit), (2, Some(1), 0)], 0);
        let point = Point {
            time_ns: 3 * MINUTE_NS,
            equity_e16: Some(10i128.pow(6) * unit + 1),
            flow_e16: 10i128.pow(6) * unit,
        };
        let curve = curve.step(&point, 0).expect("the numbers fit");
        assert_eq!((curve.peak_e16, curve.drawdown()), (Some(2 * 10i128.pow(6) * unit), Some(-0.5)));
    }

    #[test]
    fn a_sample_without_equity_moves_nothing_but_its_flow() {
        let curve = fold(&[(1, Some(1000), 1000), (2, None, 500), (3, Some(1500), 0)], 0);
        assert_eq!((curve.peak_e16, curve.day_profit_e16()), (Some(1500), Some(0)));
        assert_eq!(fold(&[(1, None, 0)], 0).drawdown(), None);
    }

    #[test]
    fn the_share_that_a_day_lost_is_of_what_it_began_with_whatever_comes_or_goes() {
        let day = DAY_NS / MINUTE_NS;
        let lost = |points: &[(i64, Option<i128>, i128)]| {
            let curve = fold(points, 0);
            (curve.day_loss_e16(), curve.day_base_e16)
        };
        let points = [(day, Some(1_000), 1_000), (day + 1, Some(960), 0), (day + 2, Some(240), -720)];
        assert_eq!(lost(&points[..1]), (Some(0), 1_000));
        assert_eq!(lost(&points[..2]), (Some(40), 1_000));
        // Three quarters are taken out: 10 of 250, the same share.
        assert_eq!(lost(&points), (Some(10), 250));
        assert_eq!(lost(&[points[0], points[1], (day + 2, Some(1_920), 960)]), (Some(80), 2_000));
        // Of what comes and goes again nothing is left, least of all a base that a loss is small beside.
        assert_eq!(
            lost(&[points[0], points[1], (day + 2, Some(1_920), 960), (day + 3, Some(960), -960)]),
            (Some(40), 1_000)
        );
        // The next day begins with what there is.
        assert_eq!(lost(&[points[0], points[1], points[2], (2 * day + 1, Some(240), 0)]), (Some(0), 240));
    }

    #[test]
    fn a_day_begins_with_the_sample_at_its_boundary() {
        let day = DAY_NS / MINUTE_NS;
        let points = [(day - 1, Some(100), 100), (day, Some(110), 0), (day + 1, Some(125), 10)];
        assert_eq!(fold(&points, 0).day_profit_e16(), Some(5));
        assert_eq!(fold(&points[..2], 0).day_profit_e16(), Some(10));
        // A flow that waits for equity over the boundary is the profit of no day.
        let waits = [(day - 10, Some(1000), 1000), (day - 5, None, 500), (day + 1, Some(1500), 0)];
        assert_eq!(fold(&waits[..2], 0).day_profit_e16(), Some(0), "as at the last equity");
        assert_eq!(fold(&waits, 0).day_profit_e16(), Some(0));
        let waits = [waits[0], (day - 5, None, -300), (day + 1, None, 200), (day + 2, Some(890), 0)];
        assert_eq!(fold(&waits, 0).day_profit_e16(), Some(-10));
        // A day that begins an hour later holds them all.
        assert_eq!(fold(&points, 60 * MINUTE_NS).day_profit_e16(), Some(15));
    }
}
