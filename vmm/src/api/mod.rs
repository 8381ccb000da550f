//! The API: HTTP/1.1 and JSON on a Unix socket, in the shape of Cloud Hypervisor's REST API.
//!
//! Same paths under `/api/v1/`, same field names, same form of errors (a JSON array of sentences, outermost first),
//! so that `ch-remote` and tools that speak it drive godwit for every endpoint that it serves. `vm.cancel-migration`,
//! `vm.migration-progress` and `vm.dirty-trace` are godwit's own, and so is the field `preset` of `vm.send-migration`.
//!
//! This room turns bytes into [`Call`]s and answers into bytes. It knows neither KVM nor migration: a [`Service`]
//! does the work (the neighbour `control`). The CLI is its other neighbour, through [`Client`].

mod cancel;
mod client;
#[cfg(test)]
mod client_test;
mod create;
#[cfg(test)]
mod create_test;
mod dirty_trace;
#[cfg(test)]
mod dirty_trace_test;
mod endpoint;
#[cfg(test)]
mod endpoint_test;
mod fields;
#[cfg(test)]
mod fields_test;
#[cfg(test)]
mod fuzz_test;
mod info;
mod migration;
#[cfg(test)]
mod migration_test;
mod refusal;
mod resize;
mod resize_disk;
#[cfg(test)]
mod resize_test;
mod resolve;
mod security;
mod server;
#[cfg(test)]
mod server_test;
mod socket;
#[cfg(test)]
mod socket_test;
mod vm_config;

pub use cancel::{CancelMigration, CancelReason};
pub use client::{Client, ClientError};
pub use dirty_trace::DirtyTrace;
pub use endpoint::{Call, ENDPOINTS, Endpoint, ROOT};
pub use info::{Ping, Unsettled, VmInfo, VmState};
pub use migration::{ReceiveMigration, SendMigration, SetBandwidth, TimeoutStrategy};
pub use refusal::Refusal;
pub use resize::Resize;
pub use resize_disk::ResizeDisk;
pub use resolve::Resolve;
pub use security::Security;
pub use server::{Answer, MAX_BODY_BYTES, MAX_CONNECTIONS, Service, serve};
pub use socket::{ApiSocket, SocketError, SocketFile};
pub use vm_config::{Cpus, DEFAULT_MEMORY_BYTES, Memory, Payload, VmConfig};
