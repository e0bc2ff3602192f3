//! Every feature, one line each.

use super::kernel::{Kernel, State, settles_after};
use super::kernels::adx::{self, Adx};
use super::kernels::atr::{self, Atr};
use super::kernels::averages::{self, Ema};
use super::kernels::cvd::{self, Cvd};
use super::kernels::macd::{self, Macd};
use super::kernels::obv::{self, Obv};
use super::kernels::rsi::{self, Rsi};
use super::kernels::volatility::{self, EwmaVariance};
use super::kernels::{bollinger, cci, clock, depth, flow, order_flow, perpetual, returns, stochastic, touch, vpin};
use super::nearest::nearest;

/// What the features of a family have in common.
#[derive(Debug)]
pub struct Family {
    /// Unit of the values.
    pub unit: &'static str,
    /// The parts of a bar that they are made of.
    pub inputs: &'static str,
    /// The formula, in words and symbols: `O H L C` the prices of a bar, `n` the number in the name.
    pub formula: &'static str,
    /// Where the formula is from.
    pub source: &'static str,
    /// What the values depend on.
    pub scope: Scope,
}

/// What values depend on, and so over which intervals they have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On bars, whatever their interval.
    Bars,
    /// On the bars since midnight: only where these are shorter than a day.
    Day,
    /// On the bar's time alone: the same over every interval, and only where bars are shorter than a day.
    Clock,
    /// On what the market says beside its trades: only where bars are a minute or longer.
    Market,
}

/// One feature. Its name carries the convention behind the `@`; the same name and version is the same number for ever.
#[derive(Debug)]
pub struct Feature {
    /// `rsi_14@talib`.
    pub name: &'static str,
    /// Counts the changes of its values under that name, from 1.
    pub version: u32,
    /// Unit, inputs, formula, source.
    pub family: &'static Family,
    /// What computes it.
    pub kernel: Kernel,
}

impl Feature {
    /// The feature of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FEATURES.iter().find(|feature| feature.name == name)
    }

    /// The name that a mistyped one is nearest to.
    pub fn nearest(name: &str) -> &'static str {
        nearest(name, FEATURES.iter().map(|feature| feature.name)).unwrap_or_default()
    }
}

const fn window(bars: usize, value: fn(&[super::FeatureBar]) -> f64) -> Kernel {
    Kernel::Window { bars, value }
}

const fn recursive(needs: usize, keep: f64, start: fn() -> State) -> Kernel {
    Kernel::Recursive { needs, warm_up: needs + settles_after(keep), start }
}

/// A recursion that forgets nothing, or all at once: it has no seed that fades.
const fn running(start: fn() -> State) -> Kernel {
    Kernel::Recursive { needs: 1, warm_up: 1, start }
}

const fn of(name: &'static str, family: &'static Family, kernel: Kernel) -> Feature {
    Feature { name, version: 1, family, kernel }
}

/// A feature whose values are others than those of an earlier version were.
const fn changed(version: u32, feature: Feature) -> Feature {
    Feature { version, ..feature }
}

/// What Wilder's averages over 14 keep at each step.
const WILDER_14: f64 = 13.0 / 14.0;

/// All features, by subject.
pub const FEATURES: &[Feature] = &[
    of("return_1@simple", &returns::SIMPLE, window(2, returns::simple)),
    of("return_5@simple", &returns::SIMPLE, window(6, returns::simple)),
    of("return_15@simple", &returns::SIMPLE, window(16, returns::simple)),
    of("return_60@simple", &returns::SIMPLE, window(61, returns::simple)),
    of("return_1@log", &returns::LOG, window(2, returns::log)),
    of("return_5@log", &returns::LOG, window(6, returns::log)),
    of("return_15@log", &returns::LOG, window(16, returns::log)),
    of("return_60@log", &returns::LOG, window(61, returns::log)),
    of("sma_10@talib", &averages::SMA, window(10, averages::sma)),
    of("sma_20@talib", &averages::SMA, window(20, averages::sma)),
    of("sma_50@talib", &averages::SMA, window(50, averages::sma)),
    of("ema_12@talib", &averages::EMA, recursive(12, averages::kept(12), || State::Ema(Ema::new(12)))),
    of("ema_20@talib", &averages::EMA, recursive(20, averages::kept(20), || State::Ema(Ema::new(20)))),
    of("ema_26@talib", &averages::EMA, recursive(26, averages::kept(26), || State::Ema(Ema::new(26)))),
    of("ema_50@talib", &averages::EMA, recursive(50, averages::kept(50), || State::Ema(Ema::new(50)))),
    of("macd_12_26_9@talib", &macd::MACD, macd_line(|| State::Macd(Macd::new(macd::Line::Macd)))),
    of("macd_signal_12_26_9@talib", &macd::MACD, macd_line(|| State::Macd(Macd::new(macd::Line::Signal)))),
    of("macd_histogram_12_26_9@talib", &macd::MACD, macd_line(|| State::Macd(Macd::new(macd::Line::Histogram)))),
    of("rsi_14@talib", &rsi::RSI, recursive(15, WILDER_14, || State::Rsi(Rsi::new(14)))),
    of("atr_14@talib", &atr::ATR, recursive(15, WILDER_14, || State::Atr(Atr::new(14)))),
    of("natr_14@talib", &atr::NATR, recursive(15, WILDER_14, || State::Atr(Atr::normalised(14)))),
    of("bollinger_upper_20_2@talib", &bollinger::BANDS, window(20, bollinger::upper)),
    of("bollinger_lower_20_2@talib", &bollinger::BANDS, window(20, bollinger::lower)),
    of("bollinger_percent_b_20_2@talib", &bollinger::PERCENT_B, window(20, bollinger::percent_b)),
    of("bollinger_width_20_2@talib", &bollinger::WIDTH, window(20, bollinger::width)),
    of("adx_14@talib", &adx::ADX, recursive(28, WILDER_14, || State::Adx(Adx::new(adx::Line::Adx, 14)))),
    of("plus_di_14@talib", &adx::DI, recursive(15, WILDER_14, || State::Adx(Adx::new(adx::Line::Plus, 14)))),
    of("minus_di_14@talib", &adx::DI, recursive(15, WILDER_14, || State::Adx(Adx::new(adx::Line::Minus, 14)))),
    of("stochastic_k_5_3_3@talib", &stochastic::STOCHASTIC, window(stochastic::NEEDS, stochastic::slow_k)),
    of("stochastic_d_5_3_3@talib", &stochastic::STOCHASTIC, window(stochastic::NEEDS, stochastic::slow_d)),
    of("cci_14@talib", &cci::CCI, window(14, cci::cci)),
    of("williams_r_14@talib", &stochastic::WILLIAMS_R, window(14, stochastic::williams_r)),
    of("obv@talib", &obv::OBV, running(|| State::Obv(Obv::default()))),
    of("close_to_close_volatility_30@per_bar", &volatility::CLOSE_TO_CLOSE, window(30, volatility::close_to_close)),
    of("realised_volatility_15@sum", &volatility::REALISED, window(16, volatility::realised)),
    of("realised_volatility_60@sum", &volatility::REALISED, window(61, volatility::realised)),
    of("parkinson_volatility_30@per_bar", &volatility::PARKINSON, window(30, volatility::parkinson)),
    of("garman_klass_volatility_30@per_bar", &volatility::GARMAN_KLASS, window(30, volatility::garman_klass)),
    of("rogers_satchell_volatility_30@per_bar", &volatility::ROGERS_SATCHELL, window(30, volatility::rogers_satchell)),
    of("yang_zhang_volatility_30@per_bar", &volatility::YANG_ZHANG, window(31, volatility::yang_zhang)),
    of("ewma_volatility_94@per_bar", &volatility::EWMA, ewma(|| State::EwmaVariance(EwmaVariance::default()))),
    of("volume_imbalance_1@taker", &flow::IMBALANCE, window(1, flow::imbalance)),
    of("volume_imbalance_15@taker", &flow::IMBALANCE, window(15, flow::imbalance)),
    of("volume_imbalance_60@taker", &flow::IMBALANCE, window(60, flow::imbalance)),
    of("trade_intensity_1@per_second", &flow::INTENSITY, window(1, flow::intensity)),
    of("trade_intensity_15@per_second", &flow::INTENSITY, window(15, flow::intensity)),
    of("average_trade_size_1@base", &flow::TRADE_SIZE, window(1, flow::trade_size)),
    of("average_trade_size_15@base", &flow::TRADE_SIZE, window(15, flow::trade_size)),
    of("vwap_deviation_15@close", &flow::VWAP_DEVIATION, window(15, flow::vwap_deviation)),
    of("vwap_deviation_60@close", &flow::VWAP_DEVIATION, window(60, flow::vwap_deviation)),
    of("amihud_30@quote_volume", &flow::AMIHUD, window(31, flow::amihud)),
    of("kyle_lambda_30@close_no_intercept", &flow::KYLE_LAMBDA, window(31, flow::kyle_lambda)),
    of("cvd@utc_day", &cvd::CVD, running(|| State::Cvd(Cvd::default()))),
    of("vpin_50@200_bars", &vpin::VPIN, window(vpin::BARS, vpin::vpin)),
    of("time_of_day_sin@utc", &clock::TIME_OF_DAY, window(1, clock::day_sin)),
    of("time_of_day_cos@utc", &clock::TIME_OF_DAY, window(1, clock::day_cos)),
    of("time_of_week_sin@utc", &clock::TIME_OF_WEEK, window(1, clock::week_sin)),
    of("time_of_week_cos@utc", &clock::TIME_OF_WEEK, window(1, clock::week_cos)),
    of("mid@touch", &touch::MID, window(1, touch::mid)),
    of("spread_bps@touch", &touch::SPREAD, window(1, touch::spread_bps)),
    of("weighted_mid_deviation_bps@touch", &touch::WEIGHTED_MID, window(1, touch::weighted_mid_deviation_bps)),
    of("touch_age@seconds", &touch::AGE, window(1, touch::age)),
    of("quote_intensity_1@per_second", &touch::INTENSITY, window(1, touch::intensity)),
    of("book_valid@close", &depth::VALID, window(1, depth::valid)),
    of("depth_imbalance_1@book", &depth::IMBALANCE, window(1, depth::imbalance::<0>)),
    changed(2, of("depth_imbalance_5@book", &depth::IMBALANCE, window(1, depth::imbalance::<1>))),
    changed(2, of("depth_imbalance_10@book", &depth::IMBALANCE, window(1, depth::imbalance::<2>))),
    changed(2, of("depth_imbalance_20@book", &depth::IMBALANCE, window(1, depth::imbalance::<3>))),
    changed(2, of("order_flow_imbalance_1@ofi", &order_flow::OFI, window(1, order_flow::ofi))),
    changed(2, of("order_flow_imbalance_15@ofi", &order_flow::OFI, window(15, order_flow::ofi))),
    changed(2, of("order_flow_imbalance_1@ofi_per_depth", &order_flow::PER_DEPTH, window(1, order_flow::per_depth))),
    changed(2, of("order_flow_imbalance_15@ofi_per_depth", &order_flow::PER_DEPTH, window(15, order_flow::per_depth))),
    of("funding_rate@last", &perpetual::FUNDING, window(1, perpetual::funding)),
    of("funding_rate@settled", &perpetual::SETTLED, window(1, perpetual::settled)),
    of("minutes_to_funding@last", &perpetual::TO_FUNDING, window(1, perpetual::minutes_to_funding)),
    of("basis_bps@mark_index", &perpetual::BASIS, window(1, perpetual::basis_bps)),
    of("liquidation_volume_15@lower_bound", &perpetual::LIQUIDATED, window(15, perpetual::liquidated)),
    of("liquidation_volume_60@lower_bound", &perpetual::LIQUIDATED, window(60, perpetual::liquidated)),
    of("liquidation_net_volume_15@lower_bound", &perpetual::NET_LIQUIDATED, window(15, perpetual::net_liquidated)),
    of("liquidation_net_volume_60@lower_bound", &perpetual::NET_LIQUIDATED, window(60, perpetual::net_liquidated)),
];

const fn macd_line(start: fn() -> State) -> Kernel {
    recursive(macd::NEEDS, averages::kept(26), start)
}

const fn ewma(start: fn() -> State) -> Kernel {
    recursive(2, volatility::LAMBDA, start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_carry_a_convention() {
        let names: BTreeSet<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), FEATURES.len());
        for name in names {
            let (subject, convention) = name.split_once('@').expect("a convention behind the @");
            let is_plain = |text: &str| {
                !text.is_empty()
                    && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            assert!(is_plain(subject) && is_plain(convention), "{name}");
        }
    }

    #[test]
    fn warm_ups_are_those_of_the_literature() {
        // Steps until a seed weighs less than 1 %: EMA 12, 26, 200, Wilder 14, 50.
        let steps = [averages::kept(12), averages::kept(26), averages::kept(200), WILDER_14, 49.0 / 50.0];
        assert_eq!(steps.map(settles_after), [28, 60, 461, 63, 228]);
        assert_eq!(Feature::find("rsi_14@talib").map(|rsi| rsi.kernel.warm_up()), Some(15 + 63));
    }

    #[test]
    fn a_mistyped_name_has_a_nearest_one() {
        assert_eq!(Feature::nearest("rsi_14"), "rsi_14@talib");
        assert_eq!(Feature::nearest("rsi14@talib"), "rsi_14@talib");
        assert_eq!(Feature::nearest("realized_volatility_60"), "realised_volatility_60@sum");
    }
}
