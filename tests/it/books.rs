//! Quotes, books, marks, funding and liquidations through the whole graph, beside a market of trades full of trouble.

mod cuts;
mod graph;
mod market;
