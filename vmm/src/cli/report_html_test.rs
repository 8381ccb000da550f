//! The page is whole, holds the numbers, fetches nothing, and is there also of a failure.

use godwit_migration::{
    error::{Class, MigrationError},
    report::{Outcome, Report},
};

use super::{
    report_html::{ReportFile, html},
    report_text_test::report,
};

/// Elements that have no end.
const VOID: [&str; 1] = ["meta"];

/// Reads the page as strictly as XML: every element ends, in order, and every attribute is quoted.
fn well_formed(page: &str) {
    let mut open = vec![];
    let mut rest = page.strip_prefix("<!doctype html>").expect("a document type");
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bracket in text: {}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("the end of a tag");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

/// The document in the page, as who reads the page gets it.
fn embedded(page: &str) -> Report {
    let from = page.find("<pre id=\"document\">").unwrap() + "<pre id=\"document\">".len();
    let to = from + page[from..].find("</pre>").unwrap();
    let json = page[from..to]
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&json).unwrap()
}

fn stands_alone(page: &str) {
    well_formed(page);
    for from_outside in ["http:", "https:", "url(", "src=", "href=", "@import", "<script"] {
        assert!(!page.contains(from_outside), "{from_outside}");
    }
}

#[test]
fn a_completed_migration_with_all_that_is_known_of_it() {
    let mut report = report();
    report.bandwidth_cap = Some(125_000_000);
    report.stop_reason = Some("2 ms < 30 ms".into());
    report.rounds[0].by_encoding = [("raw".to_owned(), 65_000), ("zero".to_owned(), 536)].into();
    let page = html(&report);
    stands_alone(&page);
    for expected in [
        "<h2>Summary</h2>",
        "completed",
        "precopy",
        "119 MiB/s",
        "2 ms &lt; 30 ms",
        "270000000 (257 MiB)",
        "Downtime: 5.2 ms",
        "hand-over",
        "<td class=\"number\">6.00 ms</td><td class=\"number\">5.20 ms</td><td class=\"number\">+15%</td>",
        "Pages by round",
        "Bandwidth by round",
        "Guest slowed by",
        "raw 65000, zero 536",
        "<td class=\"number\">65536</td>",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert_eq!(serde_json::to_value(embedded(&page)).unwrap(), serde_json::to_value(report).unwrap());
}

#[test]
fn a_failure_s_words_stay_words() {
    let report = Report {
        outcome: Outcome::Failed,
        error: Some(MigrationError {
            class: Class::Peer,
            phase: "prepare".into(),
            round: 0,
            reason: "</pre><script>alert(\"&\")</script>".into(),
        }),
        rounds: vec![],
        ..report()
    };
    let page = html(&report);
    stands_alone(&page);
    assert!(page.contains("failed") && page.contains("&lt;script&gt;"));
    assert_eq!(embedded(&page).error, report.error);
}

#[test]
fn the_file_is_replaced_whole_and_only_at_the_end() {
    let folder = std::env::temp_dir().join(format!("godwit-report-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("report.html");
    std::fs::write(&path, "old").unwrap();
    drop(ReportFile::prepare(&path).unwrap());
    let file = ReportFile::prepare(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old", "nothing has happened yet");
    file.write(&report()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), html(&report()));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
    for bad in [folder.clone(), folder.join("no/such/folder.html"), "/".into()] {
        let said = ReportFile::prepare(&bad).unwrap_err().to_string();
        assert!(said.contains(&format!("cannot write the report {}", bad.display())), "{said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
