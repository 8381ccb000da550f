//! A userspace VMM on KVM whose reason to exist is live migration.
