//! HTML around the charts: escaped text, sections, tables, and the page that holds it all with its own style.

use std::fmt::Write;

/// The look of a page, dark where the reader's system is.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c1e21;--faint:#6b7280;--line:#d5d9de;--paper:#fff;--mark:#fff3c4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--faint:#9aa3ad;--line:#3a4048;--paper:#16181b;--mark:#4d4420}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:76rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
td.number{text-align:right}td.best{background:var(--mark);font-weight:600}th{color:var(--faint);font-weight:600}
figure{display:inline-block;margin:.5rem 1rem .5rem 0;vertical-align:top;max-width:100%}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
svg .faint{fill:var(--faint)}svg .axis{stroke:var(--faint)}svg .grid{stroke:var(--line)}svg .title{font-weight:600}
";

/// Text as it stands in HTML and SVG, in elements and in quoted attributes. Control characters become spaces.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A document that needs nothing but itself. `title` is text, `body` is what the functions of this module gave.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n"
    )
}

/// A heading, which is text, and what stands under it.
#[must_use]
pub fn section(heading: &str, body: &str) -> String {
    format!("<section><h2>{}</h2>\n{body}</section>\n", escape(heading))
}

/// A paragraph of text.
#[must_use]
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words, to the left.
    Text(String),
    /// A number as it shall be read, to the right.
    Number(String),
    /// A number that stands out: the best of its column.
    Best(String),
}

/// A table with a head.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut html = String::from("<table><thead><tr>");
    for name in head {
        let _ = write!(html, "<th>{}</th>", escape(name));
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let (class, text) = match cell {
                Cell::Text(text) => ("", text),
                Cell::Number(text) => (" class=\"number\"", text),
                Cell::Best(text) => (" class=\"number best\"", text),
            };
            let _ = write!(html, "<td{class}>{}</td>", escape(text));
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table>\n"
}
