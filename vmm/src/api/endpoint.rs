//! The endpoints: one row each. Adding one is a row here, a [`Call`] and its arm in the service.

use hyper::{Method, StatusCode};

use super::{
    CancelMigration, DirtyTrace, Refusal, Resize, ResizeDisk, Resolve, VmConfig,
    migration::{ReceiveMigration, SendMigration, SetBandwidth},
};

/// Where all endpoints live.
pub const ROOT: &str = "/api/v1/";

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `vmm.ping`: which VMM this is.
    Ping,
    /// `vmm.shutdown`: end the process, and the guest with it.
    EndProcess,
    /// `vm.info`: the machine and its state.
    Info,
    /// `vm.create`: what the next guest is made of.
    Create(Box<VmConfig>),
    /// `vm.boot`: make the machine that was created, and run it.
    Boot,
    /// `vm.reboot`: end the guest at once, and boot it anew.
    Reboot,
    /// `vm.delete`: forget what was created, and end the guest that is made of it.
    Delete,
    /// `vm.pause`.
    Pause,
    /// `vm.resume`.
    Resume,
    /// `vm.shutdown`: end the guest at once.
    EndGuest,
    /// `vm.power-button`: ask the guest to shut down.
    PowerButton,
    /// `vm.send-migration`: move the guest; answered when it has moved or failed.
    Send(Box<SendMigration>),
    /// `vm.receive-migration`: take a guest; answered when it runs here or failed.
    Receive(ReceiveMigration),
    /// `vm.cancel-migration`: give the migration under way up.
    Cancel(CancelMigration),
    /// `vm.migration-bandwidth`: another cap for the migration under way.
    Bandwidth(SetBandwidth),
    /// `vm.migration-progress`: how far the migration under way is.
    Progress,
    /// `vm.counters`: what the devices count.
    Counters,
    /// `vm.resize`: another size of the balloon.
    Resize(Resize),
    /// `vm.resize-disk`: another size of a disk.
    ResizeDisk(ResizeDisk),
    /// `vm.resolve-migration`: decide about a guest of which this side does not know what became of it.
    Resolve(Resolve),
    /// `vm.dirty-trace`: record which pages the guest writes; answered with a trace file.
    Record(DirtyTrace),
}

/// How a body becomes a [`Call`].
type Parse = fn(&Endpoint, &[u8]) -> Result<Call, Refusal>;

/// One endpoint.
pub struct Endpoint {
    /// Its name under [`ROOT`].
    pub name: &'static str,
    /// Its only method.
    pub method: Method,
    parse: Parse,
}

impl Endpoint {
    /// The call that `body` asks for.
    ///
    /// # Errors
    /// 400, saying what is wrong with the body.
    pub fn call(&self, body: &[u8]) -> Result<Call, Refusal> {
        (self.parse)(self, body)
    }
}

/// All endpoints.
pub static ENDPOINTS: [Endpoint; 21] = [
    Endpoint { name: "vmm.ping", method: Method::GET, parse: |e, b| plain(e, b, Call::Ping) },
    Endpoint { name: "vmm.shutdown", method: Method::PUT, parse: |e, b| plain(e, b, Call::EndProcess) },
    Endpoint { name: "vm.info", method: Method::GET, parse: |e, b| plain(e, b, Call::Info) },
    Endpoint {
        name: "vm.create",
        method: Method::PUT,
        parse: |e, b| VmConfig::parse(e.name, b).map(|config| Call::Create(Box::new(config))),
    },
    Endpoint { name: "vm.boot", method: Method::PUT, parse: |e, b| plain(e, b, Call::Boot) },
    Endpoint { name: "vm.reboot", method: Method::PUT, parse: |e, b| plain(e, b, Call::Reboot) },
    Endpoint { name: "vm.delete", method: Method::PUT, parse: |e, b| plain(e, b, Call::Delete) },
    Endpoint { name: "vm.pause", method: Method::PUT, parse: |e, b| plain(e, b, Call::Pause) },
    Endpoint { name: "vm.resume", method: Method::PUT, parse: |e, b| plain(e, b, Call::Resume) },
    Endpoint { name: "vm.shutdown", method: Method::PUT, parse: |e, b| plain(e, b, Call::EndGuest) },
    Endpoint { name: "vm.power-button", method: Method::PUT, parse: |e, b| plain(e, b, Call::PowerButton) },
    Endpoint {
        name: "vm.send-migration",
        method: Method::PUT,
        parse: |e, b| SendMigration::parse(e.name, b).map(|request| Call::Send(Box::new(request))),
    },
    Endpoint {
        name: "vm.receive-migration",
        method: Method::PUT,
        parse: |e, b| ReceiveMigration::parse(e.name, b).map(Call::Receive),
    },
    Endpoint {
        name: "vm.cancel-migration",
        method: Method::PUT,
        parse: |e, b| CancelMigration::parse(e.name, b).map(Call::Cancel),
    },
    Endpoint {
        name: "vm.migration-bandwidth",
        method: Method::PUT,
        parse: |e, b| SetBandwidth::parse(e.name, b).map(Call::Bandwidth),
    },
    Endpoint {
        name: "vm.migration-progress",
        method: Method::GET,
        parse: |e, b| plain(e, b, Call::Progress),
    },
    Endpoint { name: "vm.counters", method: Method::GET, parse: |e, b| plain(e, b, Call::Counters) },
    Endpoint {
        name: "vm.resize",
        method: Method::PUT,
        parse: |e, b| Resize::parse(e.name, b).map(Call::Resize),
    },
    Endpoint {
        name: "vm.resize-disk",
        method: Method::PUT,
        parse: |e, b| ResizeDisk::parse(e.name, b).map(Call::ResizeDisk),
    },
    Endpoint {
        name: "vm.resolve-migration",
        method: Method::PUT,
        parse: |e, b| Resolve::parse(e.name, b).map(Call::Resolve),
    },
    Endpoint {
        name: "vm.dirty-trace",
        method: Method::PUT,
        parse: |e, b| DirtyTrace::parse(e.name, b).map(Call::Record),
    },
];

/// The endpoint of a request line.
///
/// # Errors
/// 404 with the list of endpoints; 405 with the method that the endpoint has.
pub fn route(method: &Method, path: &str) -> Result<&'static Endpoint, Refusal> {
    let named = path.strip_prefix(ROOT).and_then(|name| ENDPOINTS.iter().find(|e| e.name == name));
    let Some(endpoint) = named else {
        let all: Vec<_> = ENDPOINTS.iter().map(|e| format!("{} {ROOT}{}", e.method, e.name)).collect();
        let path: String = path.chars().take(128).collect();
        return Err(Refusal::not_found(format!("there is no {path:?}; there are {}", all.join(", "))));
    };
    if *method != endpoint.method {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} is asked for with {}, not with {method}", endpoint.name, endpoint.method),
        ));
    }
    Ok(endpoint)
}

/// An endpoint that takes nothing: an empty body, or an empty object.
fn plain(endpoint: &Endpoint, body: &[u8], call: Call) -> Result<Call, Refusal> {
    match body.trim_ascii() {
        b"" | b"{}" | b"null" => Ok(call),
        _ => Err(Refusal::bad_request(format!("{} takes no body", endpoint.name))),
    }
}
