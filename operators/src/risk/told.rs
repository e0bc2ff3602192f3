//! What was told of positions and accounts, so that what is told of them last is how they are.
//!
//! A position moves with its mark though no fill touches it, and a part of an account may be no more: nothing would say so, and the last
//! row of either would be how it was. State: a mark a position, and the names of the parts that accounts were told with last. It is
//! base state, so that a run that goes on tells what one that was not stopped does.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_risk::book::{AccountBook, AccountNumbers, Component, PositionNumbers};
use tidewheel_risk::valuation::{Exposure, Group};

/// An account with its parts, as it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountReport {
    /// Its numbers, strategies included.
    pub numbers: AccountNumbers,
    /// Sectors, asset classes, venues and instruments in which it holds something. None where that is not known.
    pub parts: BTreeMap<Group, Option<Exposure>>,
    /// What each instrument contributes to its value at risk. None with too few scenarios, or without a rate.
    pub components: Option<Vec<Component>>,
    /// Parts, strategies included, that were given last time and are no more.
    pub gone: Vec<Group>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// By the numbers of positions in the book. None too where nothing was told.
    marks: Vec<Option<(i64, i64)>>,
    parts: BTreeMap<Arc<str>, BTreeSet<Group>>,
}

impl Told {
    /// Takes note of positions that are given, since they were touched.
    pub(super) fn touched(&mut self, book: &AccountBook, positions: Vec<PositionNumbers>) -> Vec<PositionNumbers> {
        for position in &positions {
            if let Some(number) = book.position_number(&position.holder, &position.instrument) {
                *self.mark_at(number) = position.mark;
            }
        }
        positions
    }

    /// Adds those that hold something and have another mark than they were given with.
    pub(super) fn marked(&mut self, book: &AccountBook, positions: Vec<PositionNumbers>) -> Vec<PositionNumbers> {
        let touched = positions.len();
        let mut positions = positions;
        for (number, mark) in book.open_marks() {
            if std::mem::replace(self.mark_at(number), mark) != mark {
                positions.extend(book.position_at(number));
            }
        }
        if positions.len() > touched {
            positions.sort_by(|one, other| (&one.holder, &one.instrument).cmp(&(&other.holder, &other.instrument)));
        }
        positions
    }

    fn mark_at(&mut self, number: usize) -> &mut Option<(i64, i64)> {
        if number >= self.marks.len() {
            self.marks.resize(number + 1, None);
        }
        &mut self.marks[number]
    }

    /// What is to be given of an account.
    pub(super) fn report(&mut self, book: &AccountBook, numbers: &AccountNumbers) -> AccountReport {
        let parts = book.parts(&numbers.account);
        let strategies = numbers.strategies.iter().map(|part| Group::Strategy(part.strategy.clone()));
        let now: BTreeSet<Group> = parts.keys().cloned().chain(strategies).collect();
        let before = self.parts.insert(numbers.account.clone(), now.clone()).unwrap_or_default();
        AccountReport {
            numbers: numbers.clone(),
            components: book.components(&numbers.account),
            gone: before.difference(&now).cloned().collect(),
            parts,
        }
    }
}
