//! Records which pages the guest writes, for `vm.dirty-trace`: on a thread of its own, with the tracking that migrations
//! use, so that only one of the two can be under way.
//!
//! Tracking ends with the recording, whatever the end is: the time is over, the client left, or the host failed.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use godwit_lab::trace::{About, Content, Rewrites, Sampler, Trace};
use godwit_migration::{
    host::{DirtySource, HostError, PageSource},
    page::PageSet,
};
use hyper::StatusCode;
use tokio::sync::oneshot;

use super::{Driving, Ongoing, Vmm};
use crate::api::{Answer, DirtyTrace, Refusal};

/// Most bytes of bitmaps that a recording may come to in this process.
const MAX_BITMAP_BYTES: u64 = 256 << 20;

/// What is recorded, and how.
struct Recorder {
    vmm: Arc<Vmm>,
    request: DirtyTrace,
    about: About,
    pages: Arc<dyn PageSource>,
    dirty: Arc<dyn DirtySource>,
    /// Nothing ever comes; it breaks when the client leaves.
    client: Receiver<()>,
}

/// Serves `vm.dirty-trace`: answers with a trace file.
pub(super) async fn record(vmm: &Arc<Vmm>, request: DirtyTrace) -> Result<Answer, Refusal> {
    // Dropped with this future, which the server drops when the client leaves.
    let (_here, client) = channel();
    let trace = begin(vmm, request, client)?.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the recording's thread ended without a trace")
    })?;
    let trace = trace.map_err(|error| Refusal::failed("recording dirty pages failed", &error))?;
    let mut bytes = Vec::new();
    trace.write(&mut bytes).map_err(|error| Refusal::failed("the trace cannot be written", &error))?;
    Ok(Answer::Bytes(bytes))
}

/// Starts to record a guest that runs.
fn begin(
    vmm: &Arc<Vmm>,
    request: DirtyTrace,
    client: Receiver<()>,
) -> Result<oneshot::Receiver<Result<Trace, HostError>>, Refusal> {
    let mut now = vmm.now();
    now.nothing_ongoing()?;
    let machine = now.guest.running("recording dirty pages")?;
    let pages = machine.pages();
    let intervals = (request.duration.as_nanos() / request.interval.as_nanos()) as u64;
    let bytes = u64::from(pages.pages()).div_ceil(8).saturating_mul(intervals);
    if bytes > MAX_BITMAP_BYTES {
        return Err(Refusal::bad_request(format!(
            "'duration_s' by 'interval_ms' makes {intervals} bitmaps of {} pages, {bytes} bytes; at most \
             {MAX_BITMAP_BYTES} can be recorded",
            pages.pages()
        )));
    }
    let payload = now.config.as_ref().map(|config| config.payload.clone()).unwrap_or_default();
    let about = About {
        guest: payload.kernel.map(|kernel| kernel.to_string()).unwrap_or_default(),
        workload: payload.cmdline.unwrap_or_default(),
        vcpus: machine.cpus(),
        writers: machine.cpus(),
        ..About::default()
    };
    let dirty = machine.dirty();
    let recorder = Recorder { vmm: Arc::clone(vmm), request, about, pages, dirty, client };
    let (trace_to, trace) = oneshot::channel();
    let recording = move || {
        let _driving = Driving(Arc::clone(&recorder.vmm));
        let trace = recorder.record();
        recorder.vmm.now().ongoing = None;
        // The client may have left; then nobody wants it.
        let _ = trace_to.send(trace);
    };
    std::thread::Builder::new()
        .name("recording".into())
        .spawn(recording)
        .map_err(|e| Refusal::failed("cannot start the recording's thread", &e))?;
    now.ongoing = Some(Ongoing::Recording);
    Ok(trace)
}

/// Ends tracking when it goes, also by a panic.
struct Tracking<'a>(&'a dyn DirtySource);

impl Drop for Tracking<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.end() {
            tracing::warn!("dirty tracking could not be ended: {error}");
        }
    }
}

impl Recorder {
    fn record(&self) -> Result<Trace, HostError> {
        let _tracking = Tracking(&*self.dirty);
        self.dirty.begin()?;
        let mut resident = PageSet::empty(self.pages.pages());
        self.pages.touched(&mut resident)?;
        let mut sampler = Sampler::new(&*self.pages, &resident);
        let mut trace = Trace::new(self.about.clone(), self.request.interval, resident).map_err(HostError)?;
        let mut rewrites = Rewrites::new(&*self.pages, trace.resident());
        // What was written while the pages were looked at is in no interval.
        self.dirty.harvest(&mut PageSet::empty(self.pages.pages()))?;
        let began = Instant::now();
        while began.elapsed() + self.request.interval / 2 < self.request.duration {
            let next = self.request.interval * (trace.intervals() as u32 + 1);
            self.wait(next.saturating_sub(began.elapsed()))?;
            let mut dirty = PageSet::empty(self.pages.pages());
            self.dirty.harvest(&mut dirty)?;
            trace.push(&dirty);
            rewrites.harvested(&dirty);
            sampler.look_again();
        }
        rewrites.set_reads_apart(&mut trace);
        let content = sampler.content();
        let delta_ratio = rewrites.delta_ratio().unwrap_or(content.delta_ratio);
        let packed_deltas = rewrites.packed_deltas();
        trace.about.content = Content { delta_ratio, packed_deltas, ..content };
        // A host that is busy makes intervals longer than they were asked for: the trace says how long they were.
        let intervals = trace.intervals().max(1) as u32;
        trace.with_interval(began.elapsed() / intervals).map_err(HostError)
    }

    /// Waits for so long, unless the client leaves.
    fn wait(&self, time: Duration) -> Result<(), HostError> {
        match self.client.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(HostError("the client has left".into())),
        }
    }
}
