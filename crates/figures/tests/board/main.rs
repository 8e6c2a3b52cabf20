//! The board as children and readers use it, and what is written of it.

mod clients;
mod counts;
mod deaths;
mod output;
mod rates;
mod requests;
mod support;
