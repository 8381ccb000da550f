//! Comparisons: what came of many replays, as rows, tables and one HTML study. Who runs them, on how many threads, is not
//! known here.

mod check;
mod forecast;
pub mod front;
mod row;
pub mod study;

#[cfg(test)]
mod compare_test;

pub use self::{
    check::{Check, check},
    forecast::{Forecast, by_predictors, forecast},
    row::{Row, csv, text},
};
