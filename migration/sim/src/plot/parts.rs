//! One bar cut into pieces, for a whole and what it is made of: a downtime and its steps, pages and their encodings.

use std::fmt::Write;

use super::{colour, document::escape, scale::short};

const WIDTH: f64 = 640.0;
const BAR: f64 = 26.0;
const LEGEND_LINE: f64 = 18.0;
const TOP: f64 = 26.0;

/// A bar of `parts`, each a name and a size in `unit`, as an SVG in a figure. Parts of no size are named and not drawn.
#[must_use]
pub fn parts(title: &str, unit: &str, parts: &[(&str, f64)]) -> String {
    let size = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
    let whole = parts.iter().fold(0.0, |sum, (_, value)| sum + size(*value));
    let height = TOP + BAR + 10.0 + LEGEND_LINE * parts.len() as f64;
    let mut svg = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\
         <text class=\"title\" x=\"0\" y=\"14\">{}: {} {}</text>\n",
        escape(title),
        short(whole),
        escape(unit)
    );
    let mut at = 0.0;
    for (n, (name, value)) in parts.iter().enumerate() {
        let share = if whole > 0.0 { size(*value) / whole } else { 0.0 };
        let label =
            format!("{}: {} {} ({:.0}%)", escape(name), short(size(*value)), escape(unit), share * 100.0);
        if share > 0.0 {
            let _ = writeln!(
                svg,
                "<rect x=\"{at:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{}\"><title>{label}</title></rect>",
                share * WIDTH,
                colour(n)
            );
        }
        at += share * WIDTH;
        let line = TOP + BAR + 8.0 + LEGEND_LINE * n as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"0\" y=\"{line:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"18\" y=\"{:.1}\">{label}</text>",
            colour(n),
            line + 11.0
        );
    }
    svg + "</svg></figure>\n"
}
