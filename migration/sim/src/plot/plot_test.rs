//! What is drawn is what was given; nothing that was given can become markup; nothing is fetched.

use super::{
    scale::{Scale, short},
    *,
};

const NASTY: &str = "<script>\"'&\u{1b}</script>";

fn nasty_chart() -> Chart {
    let series =
        |mark| Series { name: NASTY.into(), points: vec![(1.0, 2.0), (f64::NAN, 1.0), (2.0, 4.0)], mark };
    Chart {
        title: NASTY.into(),
        x: NASTY.into(),
        y: NASTY.into(),
        series: [Mark::Line, Mark::Steps, Mark::Bars, Mark::Dots].map(series).to_vec(),
    }
}

#[test]
fn no_text_becomes_markup() {
    let body = [
        nasty_chart().svg(),
        parts(NASTY, NASTY, &[(NASTY, 1.0), ("nothing", f64::INFINITY)]),
        paragraph(NASTY),
        section(NASTY, &table(&[NASTY], &[vec![Cell::Text(NASTY.into()), Cell::Best(NASTY.into())]])),
    ];
    let page = page(NASTY, &body.concat());
    assert!(
        !page.contains("<script")
            && !page.contains('\u{1b}')
            && !page.contains("NaN")
            && !page.contains("inf")
    );
    assert!(page.contains("&lt;script&gt;&quot;&#39;&amp; &lt;/script&gt;"));
}

#[test]
fn a_page_stands_alone() {
    let page = page("A title", &nasty_chart().svg());
    for from_outside in ["http:", "https:", "url(", "src=", "href=", "@import"] {
        assert!(!page.contains(from_outside), "{from_outside}");
    }
    assert!(page.starts_with("<!doctype html>") && page.contains("<title>A title</title>"));
}

#[test]
fn every_finite_point_is_drawn_in_place() {
    let svg = nasty_chart().svg();
    assert_eq!(svg.matches("<circle").count(), 2);
    assert_eq!(svg.matches("<rect").count(), 2 + 4, "two bars and four colours of the legend");
    let line = Chart { series: vec![Series::line("a", vec![(0.0, 0.0), (10.0, 5.0)])], ..Chart::default() };
    assert!(line.svg().contains("M64.0 256.0L624.0 30.0"), "{}", line.svg());
}

#[test]
fn bars_of_two_series_stand_side_by_side() {
    let bars = |name| Series::bars(name, vec![(1.0, 1.0), (2.0, 1.0)]);
    let chart = Chart { series: vec![bars("a"), bars("b")], ..Chart::default() };
    let svg = chart.svg();
    let lefts: Vec<f64> = svg
        .lines()
        .filter(|line| line.contains("<title>"))
        .map(|line| line.split('"').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(lefts[0] < lefts[2] && lefts[2] < lefts[1] && lefts[1] < lefts[3], "{lefts:?}");
}

#[test]
fn an_empty_chart_is_a_chart() {
    assert!(Chart::default().svg().contains("</svg>"));
    assert!(parts("none", "ms", &[]).contains("none: 0 ms"));
}

#[test]
fn ticks_are_round_and_within() {
    let ticks = |high: f64| Scale::over([high].into_iter(), 0.0, 1.0).ticks();
    assert_eq!(ticks(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    assert_eq!(ticks(0.3).len(), 7);
    let below = Scale::over([-3.0, 9.0].into_iter(), 0.0, 120.0);
    assert_eq!((below.ticks()[0], below.place(-3.0), below.place(9.0)), (-2.0, 0.0, 120.0));
}

#[test]
fn numbers_are_short() {
    let shown = [0.0, 0.25, 1.5, 12.34, 1234.0, 12_345.0, 1.5e6, 125e6, 2e9].map(short);
    assert_eq!(shown, ["0", "0.25", "1.5", "12.3", "1234", "12.3K", "1.5M", "125M", "2G"]);
}
