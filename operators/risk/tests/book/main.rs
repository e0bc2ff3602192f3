//! The book of accounts from outside: against an oracle that recomputes everything after every record, and case by case.

mod cases;
mod flows;
mod histories;
mod names;
mod oracle;
mod rates;
mod refusals;
mod world;
