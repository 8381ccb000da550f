//! A chart of series over one pair of axes, as an inline SVG.

use std::{fmt::Write, ops::Range};

use super::{
    colour,
    document::escape,
    scale::{Scale, short},
};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// Room for the numbers at the left, the title above, the axis below, and an edge at the right.
const LEFT: f64 = 64.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 16.0;
/// Height of a line of the legend, which stands under the chart.
const LEGEND_LINE: f64 = 18.0;
const LEGEND_COLUMNS: usize = 3;

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Joined by a line.
    #[default]
    Line,
    /// Each holds until the next one.
    Steps,
    /// A bar from zero, about its x. Series of bars stand side by side.
    Bars,
    /// Alone.
    Dots,
}

/// Points under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points by ascending x, in the units of the chart's axes. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub mark: Mark,
}

/// A chart. Both axes begin at zero, or below where a value does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis is, with its unit.
    pub x: String,
    /// What the vertical axis is, with its unit.
    pub y: String,
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
}

impl Chart {
    /// The chart as an SVG in a figure, fit to stand in a [`page`](super::page).
    #[must_use]
    pub fn svg(&self) -> String {
        let bar = self.bar_width();
        let all = || self.series.iter().flat_map(Series::finite);
        // Bars stand about their x: leave room for half of the outermost.
        let right = all().map(|(x, _)| x).fold(0.0, f64::max) + bar / 2.0;
        let x = Scale::over(all().map(|(x, _)| x).chain([right]), LEFT, WIDTH - RIGHT);
        let y = Scale::over(all().map(|(_, y)| y), HEIGHT - BOTTOM, TOP);
        let height = HEIGHT + LEGEND_LINE * self.series.len().div_ceil(LEGEND_COLUMNS) as f64;
        let mut svg = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\
             <text class=\"title\" x=\"{LEFT}\" y=\"14\">{}</text>\n",
            escape(&self.title)
        );
        self.axes(&mut svg, &x, &y);
        let bars = self.series.iter().filter(|series| series.mark == Mark::Bars).count();
        let mut nth_bar = 0;
        for (n, series) in self.series.iter().enumerate() {
            match series.mark {
                Mark::Line | Mark::Steps => series.draw_line(&mut svg, &x, &y, colour(n)),
                Mark::Dots => series.draw_dots(&mut svg, &x, &y, colour(n)),
                Mark::Bars => {
                    let left = bar * (nth_bar as f64 / bars as f64 - 0.5);
                    series.draw_bars(&mut svg, &x, &y, colour(n), left..left + bar / bars as f64);
                    nth_bar += 1;
                }
            }
            self.legend(&mut svg, n, &series.name);
        }
        svg + "</svg></figure>\n"
    }

    /// Width of a group of bars in units of x: most of the smallest step between two of them; 0 where there are none.
    fn bar_width(&self) -> f64 {
        let bars = self.series.iter().filter(|series| series.mark == Mark::Bars);
        let steps = bars.clone().flat_map(|series| {
            let points: Vec<_> = series.finite().collect();
            points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect::<Vec<_>>()
        });
        match steps.filter(|step| *step > 0.0).min_by(f64::total_cmp) {
            Some(step) => step * 0.8,
            None if bars.count() > 0 => 0.8,
            None => 0.0,
        }
    }

    fn axes(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(tick)
            );
        }
        for tick in x.ticks() {
            let _ = writeln!(
                svg,
                "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x.place(tick),
                bottom + 16.0,
                short(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"faint\" x=\"{right}\" y=\"14\" text-anchor=\"end\">{}</text>",
            f64::midpoint(LEFT, right),
            bottom + 34.0,
            escape(&self.x),
            escape(&self.y)
        );
    }

    fn legend(&self, svg: &mut String, n: usize, name: &str) {
        let column = (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS as f64;
        let x = LEFT + column * (n % LEGEND_COLUMNS) as f64;
        let y = HEIGHT - 2.0 + LEGEND_LINE * (n / LEGEND_COLUMNS) as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            colour(n),
            x + 18.0,
            y + 11.0,
            escape(name)
        );
    }
}

impl Series {
    /// A line.
    #[must_use]
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, mark: Mark::Line }
    }

    /// Bars.
    #[must_use]
    pub fn bars(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, mark: Mark::Bars }
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn draw_line(&self, svg: &mut String, x: &Scale, y: &Scale, colour: &str) {
        let mut path = String::new();
        for (at_x, at_y) in self.finite() {
            let (at_x, at_y) = (x.place(at_x), y.place(at_y));
            let _ = match (path.is_empty(), self.mark) {
                (true, _) => write!(path, "M{at_x:.1} {at_y:.1}"),
                (false, Mark::Steps) => write!(path, "H{at_x:.1}V{at_y:.1}"),
                (false, _) => write!(path, "L{at_x:.1} {at_y:.1}"),
            };
        }
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
    }

    fn draw_dots(&self, svg: &mut String, x: &Scale, y: &Scale, colour: &str) {
        for (at_x, at_y) in self.finite() {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"><title>{}: {}, {}</title></circle>",
                x.place(at_x),
                y.place(at_y),
                escape(&self.name),
                short(at_x),
                short(at_y)
            );
        }
    }

    /// Bars that reach from `about.start` to `about.end` beside their x.
    fn draw_bars(&self, svg: &mut String, x: &Scale, y: &Scale, colour: &str, about: Range<f64>) {
        for (at_x, at_y) in self.finite() {
            let (left, right) = (x.place(at_x + about.start), x.place(at_x + about.end));
            let (top, bottom) = (y.place(at_y.max(0.0)), y.place(at_y.min(0.0)));
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"><title>{}: {}, {}</title></rect>",
                (right - left).max(0.5),
                bottom - top,
                escape(&self.name),
                short(at_x),
                short(at_y)
            );
        }
    }
}
