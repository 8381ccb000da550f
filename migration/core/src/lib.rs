//! The migration engine: wire format, source and target state machines, policies, codecs, report; no I/O.
