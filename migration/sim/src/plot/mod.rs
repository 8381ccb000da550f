//! Charts and pages for reports: data in, text out, nothing fetched from anywhere.
//!
//! A [`Chart`] becomes one inline SVG, [`parts()`] one bar cut in pieces, [`table`] an HTML table, and [`page`] puts such
//! bodies into a document that stands alone. All text is escaped here, once, so that a guest's name or an error in a
//! peer's words cannot become markup. Numbers that are not finite are left out.

mod chart;
mod document;
mod parts;
mod scale;

#[cfg(test)]
mod plot_test;

pub use self::{
    chart::{Chart, Mark, Series},
    document::{Cell, escape, page, paragraph, section, table},
    parts::parts,
};

/// Colours of series, told apart also by who sees red and green as one (Okabe and Ito 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"];

/// The colour of the series of that number; they repeat after eight.
fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}
