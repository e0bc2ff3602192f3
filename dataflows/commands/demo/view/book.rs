//! The paper book in the view of the demo: the account, its positions, what was decided, what risk said; and what it came to.

use crate::commands::demo::paper::{Known, Stands};
use crate::commands::summary::number;
use std::fmt::Write as _;
use tidewheel_schemas::{Instrument, parse_e8};

/// Positions, decisions and events on the screen.
const POSITIONS: usize = 8;
const DECISIONS: usize = 4;
const EVENTS: usize = 6;

/// The account in a line; nothing before it has money.
pub fn account(known: &Known) -> Option<String> {
    let account = known.watched.account.as_ref()?;
    let Stands { level, causes } = known.watched.stands();
    let cause = if causes.is_empty() { String::new() } else { format!(" by {causes}") };
    let mut text = format!(
        "paper account: equity {} {}, unrealised {}, realised {}, fees {}, drawdown {}, value at risk {}, {} positions, level {level}{cause}",
        money(account.equity),
        account.currency,
        money(account.unrealised),
        money(account.realised),
        money(account.fees),
        percent(account.drawdown.map(f64::abs)),
        money(account.historical_var_95),
        account.open_positions.unwrap_or_default(),
    );
    if account.faults != "[]" {
        let _ = write!(text, ", not to be relied on: {}", account.faults);
    }
    Some(text)
}

/// Decisions and events that came after so many of each.
pub fn news(known: &Known, seen: [u64; 2]) -> impl Iterator<Item = String> {
    let decisions = known.watched.decisions.since(seen[0]).map(|line| format!("decision: {line}"));
    decisions.chain(known.watched.events.since(seen[1]).map(|line| format!("risk: {line}")))
}

/// How many of each there were.
pub const fn seen(known: &Known) -> [u64; 2] {
    [known.watched.decisions.all(), known.watched.events.all()]
}

/// The part of the screen.
pub fn screen(known: &Known) -> String {
    let mut text = String::new();
    let watched = &known.watched;
    let _ = writeln!(text, "\n{}", account(known).unwrap_or_else(|| "paper account: no money yet".to_owned()));
    let levels = watched.levels.iter().filter(|(scope, _)| scope.starts_with("symbol:"));
    let levels: Vec<String> =
        levels.map(|(scope, Stands { level, causes })| format!("{scope} {level} by {causes}")).collect();
    if !levels.is_empty() {
        let _ = writeln!(text, "{}", levels.join("; "));
    }
    for position in watched.positions.values().take(POSITIONS) {
        let price = Instrument::new(&position.venue, &position.symbol).ok().and_then(|of| known.trader.price_of(&of));
        let _ = writeln!(
            text,
            "  {:<12}{:>18} at {:>12}, now {:>12}, unrealised {:>9}, realised {:>9}",
            position.symbol,
            position.quantity,
            position.average_price.as_deref().unwrap_or("-"),
            price.map_or_else(|| "-".to_owned(), |price_e8| tidewheel_schemas::format_e8(price_e8.into())),
            money(unrealised(&position.quantity, position.average_price.as_deref(), price)),
            money(Some(position.realised)),
        );
    }
    if watched.positions.len() > POSITIONS {
        let _ = writeln!(text, "  and {} more", watched.positions.len() - POSITIONS);
    }
    for line in watched.decisions.last(DECISIONS) {
        let _ = writeln!(text, "decision: {line}");
    }
    for line in watched.events.last(EVENTS) {
        let _ = writeln!(text, "risk: {line}");
    }
    text
}

/// What it came to, from what the topics said; `published` are the decisions, events and rows of numbers of the run.
pub fn summary(known: &Known, published: [u64; 3]) -> String {
    let [intents, waiting, fills] = known.trader.counts();
    let watched = &known.watched;
    let [approved, reduced, rejected] = watched.rulings.map(number);
    let waiting = if waiting > 0 { format!(" + unanswered {}", number(waiting)) } else { String::new() };
    let mut text = format!(
        "paper intents {} = approved {approved} + reduced {reduced} + rejected {rejected}{waiting}; fills {}\n",
        number(intents),
        number(fills),
    );
    if let Some(account) = &watched.account {
        let _ = writeln!(
            text,
            "paper profit {} {}: equity {} of {}, realised {}, unrealised {}, fees {}, drawdown {}",
            money(account.equity.zip(account.deposits).map(|(equity, deposits)| equity - deposits)),
            account.currency,
            money(account.equity),
            money(account.deposits),
            money(account.realised),
            money(account.unrealised),
            money(account.fees),
            percent(account.drawdown.map(f64::abs)),
        );
    }
    if let Some((scope, Stands { level, causes })) = &watched.highest {
        let _ = writeln!(text, "highest level {level} ({scope} by {causes})");
    }
    let kinds: Vec<String> = watched.kinds.iter().map(|(kind, count)| format!("{kind} {}", number(*count))).collect();
    let _ = writeln!(text, "risk events {}: {}", number(watched.heard()[1]), kinds.join(", "));
    if !watched.has_heard(published) {
        let [decisions, events, numbers] = published;
        let _ = writeln!(
            text,
            "not all of that was read: {decisions} decisions, {events} events and {numbers} rows of numbers were published"
        );
    }
    text
}

/// What a position would bring at a price, in the quote currency: for the screen only, as the account's own number is the pipeline's.
fn unrealised(quantity: &str, average_price: Option<&str>, price_e8: Option<i64>) -> Option<f64> {
    let e8 = |text: &str| parse_e8(text.as_bytes()).ok();
    let gained_e8 = i128::from(price_e8? - e8(average_price?)?);
    Some((gained_e8 * i128::from(e8(quantity)?)) as f64 / 1e16)
}

fn money(amount: Option<f64>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| format!("{amount:.2}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.3} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sold_gains_by_a_fall() {
        let price = Some(90 * 100_000_000);
        assert_eq!(unrealised("2", Some("100"), price), Some(-20.0));
        assert_eq!(unrealised("-0.5", Some("100"), price), Some(5.0));
        assert_eq!(unrealised("0", None, price), None);
    }
}
