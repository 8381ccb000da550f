//! godwit on this machine's own KVM, with the load guest: it boots, ends, is paused and moved as a user would do it, and
//! the guest's own heartbeats say whether it came to harm.

mod api;
mod boot;
mod escalation;
mod failures;
mod life;
mod moves;
mod network;
mod recovery;
mod tls;
mod traces;
