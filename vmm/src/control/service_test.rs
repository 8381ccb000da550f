//! What the API's calls do, to real guests on this host's KVM: two VMMs in one process, a Unix socket between them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use guest_images::Heartbeat;
use hyper::StatusCode;
use tokio::sync::mpsc;

use super::{Ending, Tenure, Vmm};
use crate::{
    DeviceSet, DirtyKind, IncomingConfig, SerialConfig,
    api::{
        Answer, Call, CancelMigration, Cpus, Memory, Payload, ReceiveMigration, Refusal, Security,
        SendMigration, Service, SetBandwidth, VmConfig, VmState,
    },
    record::Ledger,
};

/// How long anything here may take.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A VMM under test, with the file that its guest's console goes to.
pub(super) struct Subject {
    pub(super) vmm: Arc<Vmm>,
    pub(super) endings: mpsc::UnboundedReceiver<Ending>,
    pub(super) console: Scratch,
}

/// A path for a test's file or socket, which is gone when this is dropped.
pub(super) struct Scratch(PathBuf);

impl std::ops::Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn file(name: &str) -> Scratch {
    let path = std::env::temp_dir().join(format!("godwit-service-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    Scratch(path)
}

/// A VMM whose guest runs, writing to its memory.
pub(super) fn booted(name: &str) -> Subject {
    booted_with(name, DeviceSet::default())
}

/// As [`booted`], with these devices.
pub(super) fn booted_with(name: &str, devices: DeviceSet) -> Subject {
    let console = file(&format!("{name}-console"));
    let (to, endings) = mpsc::unbounded_channel();
    let side = IncomingConfig::without_devices(DirtyKind::Log);
    let vmm = Vmm::empty(Tenure::Guest, side, to, Ledger::default());
    vmm.create(config(&console, devices)).unwrap();
    vmm.boot().unwrap();
    Subject { vmm, endings, console }
}

/// The load guest with `devices`, its console in a file.
pub(super) fn config(console: &Path, devices: DeviceSet) -> VmConfig {
    VmConfig {
        cpus: Cpus::of(1),
        memory: Memory { size: 64 << 20 },
        payload: Payload {
            kernel: Some("builtin:load".parse().unwrap()),
            cmdline: Some("memory=8M rate=1000 heartbeat=20".into()),
            initramfs: None,
        },
        serial: SerialConfig::File(console.to_owned()),
        devices,
    }
}

/// A VMM without a guest.
pub(super) fn empty(name: &str) -> Subject {
    empty_with(name, DeviceSet::default())
}

/// As [`empty`], with these devices for its guest.
pub(super) fn empty_with(name: &str, devices: DeviceSet) -> Subject {
    let console = file(&format!("{name}-console"));
    let (to, endings) = mpsc::unbounded_channel();
    let config =
        IncomingConfig { serial: SerialConfig::File(console.to_owned()), dirty: DirtyKind::Ring, devices };
    Subject { vmm: Vmm::empty(Tenure::Guest, config, to, Ledger::default()), endings, console }
}

impl Subject {
    pub(super) async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        tokio::time::timeout(LIMIT, self.vmm.call(call)).await.expect("an answer in time")
    }

    pub(super) async fn refused(&self, call: Call) -> (StatusCode, String) {
        let refusal = self.call(call).await.unwrap_err();
        (refusal.status, refusal.sentences.join(": "))
    }

    /// The heartbeats so far.
    pub(super) fn beats(&self) -> Vec<Heartbeat> {
        let text = std::fs::read(&*self.console).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(Heartbeat::parse).collect()
    }

    /// Waits until the guest has been heard of here, `more` times from now on.
    pub(super) async fn hear(&self, more: usize) {
        let (began, wanted) = (Instant::now(), self.beats().len() + more);
        while self.beats().len() < wanted {
            assert!(began.elapsed() < LIMIT, "the guest fell silent: {:?}", self.beats().last());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(super) fn to(path: &std::path::Path) -> SendMigration {
    SendMigration { destination_url: format!("unix:{}", path.display()), ..SendMigration::default() }
}

/// Starts to wait for a guest at `path`, and returns when it does.
pub(super) async fn waiting(
    target: &Subject,
    path: &std::path::Path,
) -> tokio::task::JoinHandle<Result<Answer, Refusal>> {
    let vmm = Arc::clone(&target.vmm);
    let call = Call::Receive(ReceiveMigration {
        receiver_url: format!("unix:{}", path.display()),
        security: Security::default(),
    });
    let receiving = tokio::spawn(async move { vmm.call(call).await });
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < LIMIT, "the target does not listen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receiving
}

#[tokio::test]
async fn a_guest_moves_there_and_back_and_carries_on() {
    let mut source = booted("there");
    let mut target = empty("back");
    source.hear(3).await;
    let path = file("there-socket");
    let receiving = waiting(&target, &path).await;
    let Answer::Document(report) = source.call(Call::Send(to(&path).into())).await.unwrap() else {
        panic!("a report")
    };
    assert_eq!(report["outcome"], "completed");
    assert_eq!(receiving.await.unwrap(), Ok(Answer::Done));
    assert_eq!(source.endings.recv().await, Some(Ending::MovedTo(format!("unix:{}", path.display()))));
    assert_eq!(source.vmm.now().guest.state(), VmState::Shutdown);
    assert_eq!(target.vmm.now().guest.state(), VmState::Running);
    target.hear(5).await;

    let home = empty("home");
    let path = file("back-socket");
    let receiving = waiting(&home, &path).await;
    target.call(Call::Send(to(&path).into())).await.unwrap();
    receiving.await.unwrap().unwrap();
    assert!(matches!(target.endings.recv().await, Some(Ending::MovedTo(_))));
    home.hear(5).await;
    let (first, last) = (source.beats()[0], *home.beats().last().unwrap());
    assert!(last.sequence > first.sequence + 10 && last.pages > first.pages, "{first:?} {last:?}");
    assert_eq!(last.bad, 0, "{last:?}");
}

#[tokio::test]
async fn after_a_refused_connection_the_guest_goes_on_and_can_move_at_once() {
    let source = booted("refused");
    let nowhere = file("refused-nowhere");
    let (status, said) = source.refused(Call::Send(to(&nowhere).into())).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        said.contains("the guest goes on here") && said.contains("godwit-service-refused-nowhere"),
        "{said}"
    );
    let Answer::Document(progress) = source.call(Call::Progress).await.unwrap() else { panic!("a document") };
    assert_eq!((&progress["state"], &progress["report"]["outcome"]), (&"ended".into(), &"failed".into()));
    source.hear(2).await;

    let target = empty("refused-target");
    let path = file("refused-socket");
    let receiving = waiting(&target, &path).await;
    source.call(Call::Send(to(&path).into())).await.unwrap();
    receiving.await.unwrap().unwrap();
    target.hear(2).await;
}

#[tokio::test]
async fn one_migration_at_a_time_and_it_can_be_cancelled() {
    let source = booted("silent");
    let path = file("silent-socket");
    let silent = std::os::unix::net::UnixListener::bind(&*path).unwrap();
    let vmm = Arc::clone(&source.vmm);
    let call = Call::Send(to(&path).into());
    let sending = tokio::spawn(async move { vmm.call(call).await });
    while source.vmm.now().ongoing.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for call in [Call::Send(to(&path).into()), Call::Pause, Call::Resume] {
        let (status, said) = source.refused(call).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(said.contains("being moved away"), "{said}");
    }
    source.call(Call::Bandwidth(SetBandwidth { bandwidth: Some(1_000_000) })).await.unwrap();
    let Answer::Document(progress) = source.call(Call::Progress).await.unwrap() else { panic!("a document") };
    assert_eq!(progress["state"], "sending");
    source.call(Call::Cancel(CancelMigration::default())).await.unwrap();
    let said = sending.await.unwrap().unwrap_err().sentences.join(": ");
    assert!(said.contains("was cancelled and the guest goes on here"), "{said}");
    source.hear(2).await;
    drop(silent);
    std::fs::remove_file(&*path).unwrap();
}

#[tokio::test]
async fn a_paused_guest_does_not_move() {
    let source = booted("paused");
    source.call(Call::Pause).await.unwrap();
    let (status, said) = source.refused(Call::Send(to(&file("paused-socket")).into())).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(said.contains("resume it"), "{said}");
    source.call(Call::Resume).await.unwrap();
    source.hear(2).await;
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused_before_anything_begins() {
    let source = booted("requests");
    let socket = file("requests-socket");
    let with = |change: fn(&mut SendMigration)| {
        let mut request = to(&socket);
        change(&mut request);
        Call::Send(request.into())
    };
    for (call, expected) in [
        (with(|r| r.preset = Some("nope".into())), "there are: auto"),
        (with(|r| r.connections = Some(0)), "1 to 16"),
        (with(|r| r.connections = Some(17)), "1 to 16"),
        (with(|r| r.destination_url = "localhost".into()), "tcp:HOST:PORT"),
        (with(|r| r.dscp = "ef".parse().ok()), "for tcp:HOST:PORT"),
        (with(|r| r.priority = "1".parse().ok()), "for tcp:HOST:PORT"),
        (with(|r| r.congestion = "reno".parse().ok()), "for tcp:HOST:PORT"),
    ] {
        let (status, said) = source.refused(call).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert!(source.vmm.now().report.is_none());
}

#[tokio::test]
async fn an_empty_process_says_so() {
    let mut target = empty("nothing");
    assert_eq!(target.refused(Call::Info).await.0, StatusCode::NOT_FOUND);
    assert_eq!(target.refused(Call::Progress).await.0, StatusCode::NOT_FOUND);
    for call in [Call::EndGuest, Call::Pause, Call::Resume, Call::PowerButton, Call::Boot, Call::Reboot] {
        assert_eq!(target.refused(call).await.0, StatusCode::NOT_FOUND);
    }
    let cap = Call::Bandwidth(SetBandwidth { bandwidth: None });
    for call in [Call::Cancel(CancelMigration::default()), cap, Call::Delete] {
        assert_eq!(target.refused(call).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
    target.call(Call::EndProcess).await.unwrap();
    assert_eq!(target.endings.recv().await, Some(Ending::Asked));
}

#[tokio::test]
async fn waiting_for_a_guest_can_be_cancelled_and_begun_again() {
    let target = empty("wait");
    let path = file("wait-socket");
    for _ in 0..2 {
        let receiving = waiting(&target, &path).await;
        let again = Call::Receive(ReceiveMigration {
            receiver_url: "tcp:127.0.0.1:0".into(),
            security: Security::default(),
        });
        assert_eq!(target.refused(again).await.0, StatusCode::CONFLICT);
        target.call(Call::Cancel(CancelMigration::default())).await.unwrap();
        let said = receiving.await.unwrap().unwrap_err().sentences.join(": ");
        assert!(said.contains("cancelled"), "{said}");
        assert!(!path.exists(), "its socket is gone");
    }
}
