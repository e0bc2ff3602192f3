//! Columns of positions and of the numbers of accounts.

use super::{decimal, integer, json, money};
use std::collections::BTreeMap;
use tidewheel_operators::risk::AccountReport;
use tidewheel_risk::book::{AccountNumbers, Component, Lines, PositionNumbers};
use tidewheel_risk::scenarios::Tail;
use tidewheel_risk::valuation::{Exposure, Group};
use tidewheel_schemas::{ColumnKind, Instrument, Value};

use ColumnKind::{Double, Integer, Text, Time};

/// Amounts are in `currency`, what the instrument settles in. `fees` is a JSON object by currency. `exact` is one of the columns that are
/// sums of money: what they are to the last digit, as decimal texts; null where they are.
pub(super) const POSITION: [(&str, ColumnKind); 19] = [
    ("account", Text),
    ("strategy", Text),
    ("currency", Text),
    ("quantity", Text),
    ("average_price", Text),
    ("mark_price", Text),
    ("mark_time", Time),
    ("realised", Double),
    ("unrealised", Double),
    ("funding", Double),
    ("fees", Text),
    ("gross_exposure", Double),
    ("net_exposure", Double),
    ("round_trips", Integer),
    ("won", Integer),
    ("lost", Integer),
    ("won_amount", Double),
    ("lost_amount", Double),
    ("exact", Text),
];

pub(super) fn position(position: &PositionNumbers) -> Box<[Value]> {
    let exposure = |of: fn(&Exposure) -> i128| money(position.exposure.as_ref().map(of));
    let fees: BTreeMap<_, _> =
        position.fees_e16.iter().map(|(currency, fee)| (currency, tidewheel_schemas::format_e16(*fee))).collect();
    let trips = &position.trips;
    let values: [Value; POSITION.len()] = [
        Value::Text(position.holder.account.clone()),
        Value::Text(position.holder.strategy.clone()),
        Value::Text(position.currency.clone()),
        decimal(position.quantity_e8),
        position.average_price_e8.map_or(Value::Null, decimal),
        position.mark.map_or(Value::Null, |(price_e8, _)| decimal(price_e8)),
        position.mark.map_or(Value::Null, |(_, time_ns)| Value::Time(time_ns)),
        money(Some(position.realised_e16)),
        money(position.unrealised_e16),
        money(Some(position.funding_e16)),
        json(&fees),
        exposure(|exposure| exposure.gross_e16),
        exposure(|exposure| exposure.net_e16),
        integer(trips.won + trips.lost + trips.even),
        integer(trips.won),
        integer(trips.lost),
        money(Some(trips.profit_e16)),
        money(Some(trips.loss_e16)),
        exact(&[
            ("realised", Some(position.realised_e16)),
            ("unrealised", position.unrealised_e16),
            ("funding", Some(position.funding_e16)),
            ("gross_exposure", position.exposure.map(|exposure| exposure.gross_e16)),
            ("net_exposure", position.exposure.map(|exposure| exposure.net_e16)),
            ("won_amount", Some(trips.profit_e16)),
            ("lost_amount", Some(trips.loss_e16)),
        ]),
    ];
    values.into()
}

/// Sums of money to the last digit, by column.
fn exact(sums: &[(&str, Option<i128>)]) -> Value {
    let texts: BTreeMap<_, _> = sums.iter().map(|(name, e16)| (name, e16.map(tidewheel_schemas::format_e16))).collect();
    json(&texts)
}

/// Numbers of an account (`kind` is `account`) or of a part of it: `strategy`, `sector`, `asset_class`, `venue` or `symbol`, each in
/// which it holds something. Of a part that was told before and is no more there is one row of zeros. Amounts are in `currency`, that of the
/// account.
///
/// `gross_exposure` sums the parts' sizes, `net_exposure` their signed values; `concentration` is gross over the equity of the account,
/// which of the whole account is its leverage on equity. Value at risk (`var`) and expected shortfall (`es`) are losses above zero over
/// one step of the bars that make scenarios, at 95 and 99 %: `historical` by the inverted distribution function, so an observation, and
/// the mean of the worst `ceil(n * 5 %)`; `parametric` of a normal distribution (ddof 1, mean included); `ewma` with a decay of 0.94
/// and mean zero. They are null with too few scenarios. `component_` columns are what a symbol contributes to the value at risk of the whole
/// account, below zero for a hedge: those of all symbols add up to it (`historical` is the loss in the scenario that is the account's,
/// so that contributions of one kind need not add up to another's). `exact` has the sums of money to the last digit, as that of
/// positions has. With anything in `faults`, a JSON list, the numbers must not be relied on.
pub(super) const RISK: [(&str, ColumnKind); 38] = [
    ("account", Text),
    ("kind", Text),
    ("name", Text),
    ("currency", Text),
    ("watermark", Time),
    ("equity", Double),
    ("cash", Double),
    ("deposits", Double),
    ("realised", Double),
    ("unrealised", Double),
    ("fees", Double),
    ("funding", Double),
    ("peak_equity", Double),
    ("drawdown", Double),
    ("max_drawdown", Double),
    ("day_profit", Double),
    ("day_base", Double),
    ("gross_exposure", Double),
    ("net_exposure", Double),
    ("concentration", Double),
    ("open_positions", Integer),
    ("scenarios", Integer),
    ("historical_var_95", Double),
    ("historical_var_99", Double),
    ("historical_es_95", Double),
    ("historical_es_99", Double),
    ("parametric_var_95", Double),
    ("parametric_var_99", Double),
    ("parametric_es_95", Double),
    ("parametric_es_99", Double),
    ("ewma_var_95", Double),
    ("ewma_var_99", Double),
    ("component_historical_var_95", Double),
    ("component_parametric_var_95", Double),
    ("component_parametric_var_99", Double),
    ("faults", Text),
    ("is_trusted", ColumnKind::Boolean),
    ("exact", Text),
];

/// What a row says of a part beside what it says of its account.
#[derive(Default)]
struct Part<'a> {
    lines: Option<&'a Lines>,
    exposure: Option<&'a Exposure>,
    open_positions: Option<i64>,
    tail: Option<&'a Tail>,
    component: Option<&'a Component>,
}

/// The rows of an account and its parts, those that are no more last: their qualifiers and values.
pub(super) fn parts(report: &AccountReport) -> Vec<(String, Box<[Value]>)> {
    let numbers = &report.numbers;
    let whole = Part {
        lines: Some(&numbers.lines),
        exposure: numbers.exposure.as_ref(),
        open_positions: Some(numbers.open_positions),
        tail: numbers.tail.as_ref(),
        component: None,
    };
    let mut rows = vec![part(numbers, ("account", &numbers.account), &whole)];
    for strategy in &numbers.strategies {
        let of_strategy = Part {
            lines: Some(&strategy.lines),
            exposure: strategy.exposure.as_ref(),
            open_positions: Some(strategy.open_positions),
            tail: strategy.tail.as_ref(),
            component: None,
        };
        rows.push(part(numbers, ("strategy", &strategy.strategy), &of_strategy));
    }
    let components: BTreeMap<&Instrument, &Component> =
        report.components.iter().flatten().map(|component| (&component.instrument, component)).collect();
    for (group, exposure) in &report.parts {
        let (kind, name) = named(group);
        let component = if let Group::Symbol(instrument) = group { components.get(instrument).copied() } else { None };
        rows.push(part(numbers, (kind, &name), &Part { exposure: exposure.as_ref(), component, ..Part::default() }));
    }
    let (nothing, lines) = (Exposure::default(), NOTHING);
    let tail = Tail::of(&[0, 0]).map(|tail| Tail { scenarios: 0, ..tail });
    for group in &report.gone {
        let (kind, name) = named(group);
        let is_strategy = matches!(group, Group::Strategy(_));
        let component = if let Group::Symbol(instrument) = group { Some(nothing_of(instrument)) } else { None };
        let gone = Part {
            lines: is_strategy.then_some(&lines),
            exposure: Some(&nothing),
            open_positions: is_strategy.then_some(0),
            tail: tail.as_ref().filter(|_| is_strategy),
            component: component.as_ref(),
        };
        rows.push(part(numbers, (kind, &name), &gone));
    }
    rows
}

/// What was made of nothing.
const NOTHING: Lines =
    Lines { realised_e16: Some(0), unrealised_e16: Some(0), fees_e16: Some(0), funding_e16: Some(0) };

fn nothing_of(instrument: &Instrument) -> Component {
    let instrument = instrument.clone();
    Component { instrument, parametric_var_95: 0.0, parametric_var_99: 0.0, historical_var_95_e16: 0 }
}

/// The kind of a part, and its name.
fn named(group: &Group) -> (&'static str, String) {
    match group {
        Group::Account => ("account", String::new()),
        Group::Strategy(name) => ("strategy", name.to_string()),
        Group::Symbol(instrument) => ("symbol", format!("{}|{}", instrument.venue, instrument.symbol)),
        Group::Sector(name) => ("sector", name.to_string()),
        Group::AssetClass(name) => ("asset_class", name.to_string()),
        Group::Venue(name) => ("venue", name.to_string()),
    }
}

fn part(numbers: &AccountNumbers, (kind, name): (&str, &str), part: &Part<'_>) -> (String, Box<[Value]>) {
    // What only the whole account has.
    let whole = (kind == "account").then_some(numbers);
    let own = |of: fn(&AccountNumbers) -> Option<i128>| money(whole.and_then(of));
    let line = |of: fn(&Lines) -> Option<i128>| money(part.lines.and_then(of));
    let loss = |of: fn(&Tail) -> f64| Value::number(part.tail.map(of));
    let lost = |of: fn(&Tail) -> i128| money(part.tail.map(of));
    let component = |of: fn(&Component) -> f64| Value::number(part.component.map(of));
    let values: [Value; RISK.len()] = [
        Value::Text(numbers.account.clone()),
        Value::text(kind),
        Value::text(name),
        Value::Text(numbers.base_currency.clone()),
        if numbers.now_ns == i64::MIN { Value::Null } else { Value::Time(numbers.now_ns) },
        own(|numbers| numbers.equity_e16),
        own(|numbers| numbers.cash_e16),
        own(|numbers| numbers.deposits_e16),
        line(|lines| lines.realised_e16),
        line(|lines| lines.unrealised_e16),
        line(|lines| lines.fees_e16),
        line(|lines| lines.funding_e16),
        own(|numbers| numbers.peak_e16),
        Value::number(whole.and_then(|numbers| numbers.drawdown)),
        Value::number(whole.and_then(|numbers| numbers.max_drawdown)),
        own(|numbers| numbers.day_profit_e16),
        own(|numbers| numbers.day_base_e16),
        money(part.exposure.map(|exposure| exposure.gross_e16)),
        money(part.exposure.map(|exposure| exposure.net_e16)),
        Value::number(part.exposure.and_then(|exposure| numbers.concentration(exposure))),
        part.open_positions.map_or(Value::Null, Value::Integer),
        part.tail.map_or(Value::Null, |tail| Value::Integer(tail.scenarios as i64)),
        lost(|tail| tail.historical_var_95_e16),
        lost(|tail| tail.historical_var_99_e16),
        lost(|tail| tail.historical_es_95_e16),
        lost(|tail| tail.historical_es_99_e16),
        loss(|tail| tail.parametric_var_95),
        loss(|tail| tail.parametric_var_99),
        loss(|tail| tail.parametric_es_95),
        loss(|tail| tail.parametric_es_99),
        loss(|tail| tail.ewma_var_95),
        loss(|tail| tail.ewma_var_99),
        money(part.component.map(|component| component.historical_var_95_e16)),
        component(|component| component.parametric_var_95),
        component(|component| component.parametric_var_99),
        json(&numbers.faults),
        Value::Boolean(numbers.is_valued()),
        exact(&[
            ("equity", whole.and_then(|numbers| numbers.equity_e16)),
            ("cash", whole.and_then(|numbers| numbers.cash_e16)),
            ("deposits", whole.and_then(|numbers| numbers.deposits_e16)),
            ("realised", part.lines.and_then(|lines| lines.realised_e16)),
            ("unrealised", part.lines.and_then(|lines| lines.unrealised_e16)),
            ("fees", part.lines.and_then(|lines| lines.fees_e16)),
            ("funding", part.lines.and_then(|lines| lines.funding_e16)),
            ("peak_equity", whole.and_then(|numbers| numbers.peak_e16)),
            ("day_profit", whole.and_then(|numbers| numbers.day_profit_e16)),
            ("day_base", whole.and_then(|numbers| numbers.day_base_e16)),
            ("gross_exposure", part.exposure.map(|exposure| exposure.gross_e16)),
            ("net_exposure", part.exposure.map(|exposure| exposure.net_e16)),
        ]),
    ];
    (format!("{}|{kind}|{name}", numbers.account), values.into())
}
