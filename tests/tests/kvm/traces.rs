//! A running guest's dirty pages, recorded: the trace is of what the guest did, and tracking is off afterwards.

use std::{io::Write, os::unix::net::UnixStream, thread, time::Duration};

use godwit_lab::trace::Trace;
use godwit_tests::{
    api::put,
    program::{alone, has},
    site::{Listen, Site},
    vmm::Vmm,
};

const MIB_PAGES: u32 = 256;

fn boot(site: &Site, dirty: &str) -> Vmm {
    let vmm = site
        .boot("memory=32M working_set=8M rate=5000", &["--memory", "64M", "--cpus", "2", "--dirty", dirty]);
    vmm.wait_beats(2);
    vmm
}

#[test]
fn a_trace_is_of_what_the_guest_writes_and_the_guest_can_move_afterwards() {
    let _turn = alone();
    for dirty in ["log", "ring"] {
        let site = Site::open();
        let source = boot(&site, dirty);
        let file = site.file("guest.trace");
        let out = file.to_str().unwrap();
        let ended = source.ask(&["trace", "--interval", "50ms", "--for", "1s", "-o", out]);
        assert_eq!(ended.status, 0, "{}", ended.err);
        let trace = Trace::read(&std::fs::read(&file).unwrap()[..]).unwrap();
        assert_eq!((trace.pages(), trace.intervals(), trace.about.vcpus), (64 * MIB_PAGES, 20, 2));
        assert_eq!(trace.about.guest, "builtin:load");
        assert!(trace.resident().count() >= 32 * MIB_PAGES, "{}", trace.resident().count());
        // 5000 writes a second in 8 MiB; the guest writes some pages of its own, and a busy host less than it should.
        let (rate, set) = (trace.dirty_pages_per_s(), trace.working_set_pages());
        assert!((500.0..8000.0).contains(&rate), "{rate}");
        assert!((300..=9 * MIB_PAGES).contains(&set), "{set}");
        assert!(trace.about.content.ratio > 1.5, "{:?}", trace.about.content);

        let target = site.receive(Listen::Unix, &["--dirty", dirty]);
        let report = source.migrate(&target.address(), &[]).completed();
        assert_eq!(report.pages.total, u64::from(trace.pages()));
        target.wait_more_beats(2);
    }
}

#[test]
fn a_client_that_leaves_ends_the_recording_and_meanwhile_nothing_else_begins() {
    let _turn = alone();
    let site = Site::open();
    let vmm = boot(&site, "log");
    let body = "{\"interval_ms\": 20, \"duration_s\": 600}";
    let head = "PUT /api/v1/vm.dirty-trace HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut client = UnixStream::connect(&vmm.api).unwrap();
    client.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let busy = "the guest's dirty pages are being recorded";
    let recording = || put(&vmm.api, "vm.dirty-trace", "{\"duration_s\": 0.1}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while put(&vmm.api, "vm.resume", "").sentences().contains("not possible") {
        assert!(std::time::Instant::now() < deadline, "the recording never began");
        thread::sleep(Duration::from_millis(5));
    }
    has(&recording().sentences(), &[busy]);
    has(&put(&vmm.api, "vm.pause", "").sentences(), &[busy]);
    has(
        &put(&vmm.api, "vm.send-migration", "{\"destination_url\": \"tcp:127.0.0.1:1\"}").sentences(),
        &[busy],
    );
    assert_eq!(put(&vmm.api, "vm.cancel-migration", "").status, 405);
    drop(client);
    while put(&vmm.api, "vm.pause", "").status != 204 {
        assert!(std::time::Instant::now() < deadline, "the recording never ended");
        thread::sleep(Duration::from_millis(5));
    }
    has(
        &put(&vmm.api, "vm.dirty-trace", "{}").sentences(),
        &["recording dirty pages is not possible", "paused"],
    );
    has(
        &put(&vmm.api, "vm.dirty-trace", "{\"interval_ms\": 0.1}").sentences(),
        &["'interval_ms'", "from 1 to"],
    );
    has(&put(&vmm.api, "vm.dirty-trace", "{\"length_s\": 1}").sentences(), &["length_s", "duration_s"]);
}

#[test]
fn a_prediction_says_what_a_migration_then_does() {
    let _turn = alone();
    let site = Site::open();
    let vmm = boot(&site, "log");
    let ended =
        vmm.ask(&["predict", "--bandwidth", "125MB/s", "--for", "1s", "--downtime", "100ms", "--json"]);
    assert_eq!(ended.status, 0, "{}", ended.err);
    let said: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let forecasts = said["forecasts"].as_array().unwrap();
    let names: Vec<_> = forecasts.iter().map(|forecast| forecast["by"].as_str().unwrap()).collect();
    assert_eq!(names, ["lab", "avg", "hist"]);
    for forecast in forecasts {
        assert_eq!(forecast["converges"], true, "{forecast}");
        let figure = |name: &str| forecast[name].as_f64().unwrap();
        let on_the_link = figure("bytes") / 125e6;
        assert!(on_the_link > 0.0 && figure("total_s") >= on_the_link, "{forecast}");
    }
}
