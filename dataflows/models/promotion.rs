//! Promoting and rolling back: a change of an alias, made of the history so far and appended to it.

use super::{ModelsError, load, title};
use tidewheel_connectors::registry::Registry;
use tidewheel_models::manifest::ANY_SYMBOL;
use tidewheel_models::score::{ActiveError, check_members};
use tidewheel_models::{Alias, Ensemble, EnsembleDefinition, Manifest, PromotedMember, Promotion};

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
    registry.append(|history: &[Promotion]| {
        let (symbol, target) = (symbol.to_owned(), target.to_owned());
        let ensemble = ensemble.definition().clone();
        let is_other = |change: &&Promotion| change.ensemble.redefines(&ensemble);
        if let Some(number) = history.iter().find(is_other).map(|change| change.number) {
            return Err(ModelsError::Redefined { ensemble: ensemble.to_string(), number });
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
    registry.append(|history: &[Promotion]| {
        let subject = who(alias, symbol, target);
        let current = in_force(history, alias, symbol, target)
            .ok_or_else(|| ModelsError::Rollback(format!("nothing was ever promoted to {subject}")))?;
        // Rolled back twice, it goes back twice: from what is in force, not from what was said last.
        let standing = meant(current);
        let number = match to {
            Some(number) => Some(number),
            // What was in force just before the promotion that stands, which may itself have been a rollback.
            None => of(history, alias, symbol, target).rev().find(|change| change.number < standing).map(meant),
        };
        let mut earlier = of(history, alias, symbol, target).filter(|promotion| promotion.rolled_back_to.is_none());
        let found = earlier.find(|promotion| Some(promotion.number) == number);
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

/// The promotion that an alias means now.
pub fn in_force<'a>(history: &'a [Promotion], alias: Alias, symbol: &str, target: &str) -> Option<&'a Promotion> {
    of(history, alias, symbol, target).next_back()
}

/// An alias of a target, as it is written.
pub fn who(alias: Alias, symbol: &str, target: &str) -> String {
    format!("{alias} of {symbol}-{target}")
}

fn of<'a>(
    history: &'a [Promotion],
    alias: Alias,
    symbol: &str,
    target: &str,
) -> impl DoubleEndedIterator<Item = &'a Promotion> {
    history.iter().filter(move |it| it.alias == alias && it.symbol == symbol && it.target == target)
}

/// The number of the promotion that is in force by a change: its own, or that of the one it goes back to.
fn meant(change: &Promotion) -> u64 {
    change.rolled_back_to.unwrap_or(change.number)
}

fn next(history: &[Promotion]) -> u64 {
    history.last().map_or(1, |last| last.number.saturating_add(1))
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
