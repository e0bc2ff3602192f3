//! Promoting, rolling back and withdrawing: a change of an alias, made of the history so far and appended to it.

use super::{ModelsError, load, title};
use tidewheel_connectors::registry::Registry;
use tidewheel_models::manifest::ANY_SYMBOL;
use tidewheel_models::score::{ActiveError, check_members};
use tidewheel_models::{Alias, Change, Ensemble, EnsembleDefinition, Manifest, PromotedMember, Promotion, Withdrawal};

/// Gives an alias of a target an ensemble, and says so in the history.
///
/// # Errors
/// If a member is not registered, changed since, does not agree with its golden vectors, or does not fit the others, the
/// symbol or the target.
pub fn promote(
    registry: &Registry,
    alias: Alias,
    symbol: &str,
    target: &str,
    definition: EnsembleDefinition,
) -> Result<Promotion, ModelsError> {
    let ensemble = Ensemble::new(definition)?;
    let members = check(registry, &ensemble, symbol, target)?;
    append(registry, |history| {
        let (symbol, target) = (symbol.to_owned(), target.to_owned());
        let ensemble = ensemble.definition().clone();
        let is_other = |promotion: &&Promotion| promotion.ensemble.redefines(&ensemble);
        if let Some(other) = history.iter().filter_map(Change::promotion).find(is_other) {
            return Err(ModelsError::Redefined { ensemble: ensemble.to_string(), number: other.number });
        }
        Ok(Promotion { number: next(history), alias, symbol, target, ensemble, members, rolled_back_to: None })
    })
}

/// Gives an alias what it was before its last promotion, or what a certain promotion gave it.
///
/// # Errors
/// If there is no such promotion, or what it named cannot be loaded any more.
pub fn rollback(
    registry: &Registry,
    alias: Alias,
    symbol: &str,
    target: &str,
    to: Option<u64>,
) -> Result<Promotion, ModelsError> {
    append(registry, |history| {
        let subject = who(alias, symbol, target);
        let current = of(history, alias, symbol, target)
            .next_back()
            .ok_or_else(|| ModelsError::Rollback(format!("nothing was ever promoted to {subject}")))?;
        // Rolled back twice, it goes back twice: from what is in force, not from what was said last.
        let standing = current.promotion().map_or(current.number(), meant);
        let mut promotions = of(history, alias, symbol, target).filter_map(Change::promotion);
        let number = match to {
            Some(number) => Some(number),
            // What was in force just before the promotion that stands, which may itself have been a rollback.
            None => promotions.clone().rev().find(|promotion| promotion.number < standing).map(meant),
        };
        let found = promotions.find(|it| it.rolled_back_to.is_none() && Some(it.number) == number);
        let found = found.ok_or_else(|| {
            ModelsError::Rollback(match to {
                Some(number) => format!("{number} is not the number of a promotion of {subject}"),
                None => format!("{subject} has nothing before promotion {standing}"),
            })
        })?;
        let ensemble = Ensemble::new(found.ensemble.clone())?;
        let members = check(registry, &ensemble, symbol, target)?;
        if let Some((given, member)) = members.iter().zip(&found.members).find(|(given, member)| given != member) {
            let (model, wanted) = (title(&member.model, member.version), member.sha256.clone());
            return Err(ModelsError::Promoted { model, given: given.sha256.clone(), wanted });
        }
        Ok(Promotion { number: next(history), rolled_back_to: Some(found.number), ..found.clone() })
    })
}

/// Leaves an alias of a target without an ensemble, and says so in the history.
///
/// # Errors
/// If it has none.
pub fn withdraw(registry: &Registry, alias: Alias, symbol: &str, target: &str) -> Result<Withdrawal, ModelsError> {
    let appended = registry.append(|history: &[Change]| {
        if in_force(history, alias, symbol, target).is_none() {
            return Err(ModelsError::NothingInForce(who(alias, symbol, target)));
        }
        let (symbol, target) = (symbol.to_owned(), target.to_owned());
        Ok(Change::Withdrawal(Withdrawal { number: next(history), alias, symbol, target }))
    })?;
    match appended {
        Change::Withdrawal(withdrawal) => Ok(withdrawal),
        Change::Promotion(_) => unreachable!("a withdrawal was appended"),
    }
}

/// Appends a promotion that `make` makes of the history before it.
fn append(
    registry: &Registry,
    make: impl FnOnce(&[Change]) -> Result<Promotion, ModelsError>,
) -> Result<Promotion, ModelsError> {
    let mut made = None;
    registry.append(|history: &[Change]| {
        let promotion = make(history)?;
        made = Some(promotion.clone());
        Ok::<_, ModelsError>(Change::Promotion(promotion))
    })?;
    Ok(made.expect("what was appended was made before"))
}

/// The promotion that an alias means now, if it was not withdrawn.
pub fn in_force<'a>(history: &'a [Change], alias: Alias, symbol: &str, target: &str) -> Option<&'a Promotion> {
    of(history, alias, symbol, target).next_back().and_then(Change::promotion)
}

/// An alias of a target, as it is written.
pub fn who(alias: Alias, symbol: &str, target: &str) -> String {
    format!("{alias} of {symbol}-{target}")
}

fn of<'a>(
    history: &'a [Change],
    alias: Alias,
    symbol: &str,
    target: &str,
) -> impl DoubleEndedIterator<Item = &'a Change> + Clone {
    history.iter().filter(move |change| change.of() == (alias, symbol, target))
}

/// The number of the promotion that is in force by another: its own, or that of the one it goes back to.
fn meant(promotion: &Promotion) -> u64 {
    promotion.rolled_back_to.unwrap_or(promotion.number)
}

fn next(history: &[Change]) -> u64 {
    history.last().map_or(1, |last| last.number().saturating_add(1))
}

/// Loads and verifies all members, and checks that they go together.
fn check(
    registry: &Registry,
    ensemble: &Ensemble,
    symbol: &str,
    target: &str,
) -> Result<Vec<PromotedMember>, ModelsError> {
    let mut members = Vec::new();
    let mut manifests: Vec<Manifest> = Vec::new();
    for member in &ensemble.definition().members {
        let id = &member.model;
        let refused = |detail: String| ActiveError { model: id.to_string(), detail };
        if id.symbol != ANY_SYMBOL && id.symbol != symbol {
            return Err(refused(format!("it serves symbol {}, not {symbol}", id.symbol)).into());
        }
        if id.target != target {
            return Err(refused(format!("its target is {}, not {target}", id.target)).into());
        }
        let loaded = load(registry, id, member.version, None)?;
        loaded.model.verify().map_err(|difference| {
            let model = title(id, member.version);
            ModelsError::Golden { model, difference: Box::new(difference) }
        })?;
        members.push(PromotedMember { model: id.clone(), version: member.version, sha256: loaded.sha256 });
        manifests.push(loaded.model.manifest().clone());
    }
    check_members(ensemble, &manifests)?;
    Ok(members)
}
