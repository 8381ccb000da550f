//! The architecture as a check: which package may depend on which. The table is `docs/architecture.md` §1 in code; a
//! new edge changes both, in a commit that says why.

use anyhow::Result;

use crate::metadata::{Metadata, Package};

/// What a package may depend on from outside the workspace.
enum Outside {
    /// On these only; the second list is for its tests.
    Only(&'static [&'static str], &'static [&'static str]),
    /// On anything, but never, not even by way of another, on what begins with these.
    Never(&'static [&'static str]),
}

/// A package and its edges.
struct Room {
    package: &'static str,
    /// Packages of the workspace that it may use, in its code and its tests.
    uses: &'static [&'static str],
    outside: Outside,
}

/// KVM, in whatever crate.
const KVM: &[&str] = &["kvm-"];
/// KVM and everything that makes a machine.
const MACHINE: &[&str] =
    &["kvm-", "vm-memory", "vm-superio", "linux-loader", "virtio-", "event-manager", "acpi_tables"];
/// Everything that reaches the world: a room that is pure has none of it.
const WORLD: &[&str] =
    &["kvm-", "vm-memory", "vmm-sys-util", "tokio", "mio", "hyper", "rustls", "nix", "rustix", "socket2"];
const NETWORK: &[&str] = &["kvm-", "tokio", "hyper", "rustls"];

const ROOMS: &[Room] = &[
    Room {
        package: "godwit-state",
        uses: &[],
        outside: Outside::Only(&["serde", "postcard", "thiserror"], &["proptest"]),
    },
    Room {
        package: "godwit-migration",
        uses: &["godwit-state"],
        outside: Outside::Only(
            &["serde", "postcard", "thiserror", "crc32fast", "zstd"],
            &["proptest", "serde_json"],
        ),
    },
    Room {
        package: "godwit-transport",
        uses: &["godwit-state", "godwit-migration"],
        outside: Outside::Never(MACHINE),
    },
    Room {
        package: "godwit-lab",
        uses: &["godwit-state", "godwit-migration"],
        outside: Outside::Never(WORLD),
    },
    Room { package: "godwit-devices", uses: &["godwit-state"], outside: Outside::Never(NETWORK) },
    Room {
        package: "godwit",
        uses: &[
            "godwit-state",
            "godwit-migration",
            "godwit-transport",
            "godwit-lab",
            "godwit-devices",
            "guest-images",
        ],
        outside: Outside::Never(&[]),
    },
    Room { package: "guest-images", uses: &[], outside: Outside::Never(WORLD) },
    Room {
        package: "godwit-tests",
        uses: &[
            "godwit-state",
            "godwit-migration",
            "godwit-transport",
            "godwit-lab",
            "godwit-devices",
            "godwit",
            "guest-images",
            "godwit-ci",
        ],
        outside: Outside::Never(&[]),
    },
    Room { package: "godwit-ci", uses: &[], outside: Outside::Never(KVM) },
];

/// Checks every edge of the workspace; one sentence for each that is not allowed.
///
/// # Errors
/// Where cargo cannot be asked.
pub fn check() -> Result<Vec<String>> {
    Ok(violations(&Metadata::load()?))
}

pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let members: Vec<&Package> = metadata.members().collect();
    let mut found = Vec::new();
    for package in &members {
        match ROOMS.iter().find(|room| room.package == package.name) {
            None => found.push(format!(
                "package '{}' has no room: say in docs/architecture.md §1 and in ci/src/rooms.rs what it may use",
                package.name
            )),
            Some(room) => {
                found.extend(inside(room, package, &members));
                found.extend(outside(room, package, &members, metadata));
            }
        }
    }
    found
}

/// Edges to other packages of the workspace.
fn inside(room: &Room, package: &Package, members: &[&Package]) -> Vec<String> {
    let edges = package.dependencies.iter().filter(|dependency| is_member(&dependency.name, members));
    let wrong = edges.filter(|dependency| !room.uses.contains(&dependency.name.as_str()));
    wrong
        .map(|dependency| {
            let tests = if dependency.is_dev() { " in its tests" } else { "" };
            format!(
                "'{}' must not use '{}'{tests}: docs/architecture.md §1 has no such edge",
                package.name, dependency.name
            )
        })
        .collect()
}

/// Edges to packages from elsewhere.
fn outside(room: &Room, package: &Package, members: &[&Package], metadata: &Metadata) -> Vec<String> {
    match room.outside {
        Outside::Only(code, tests) => {
            let edges =
                package.dependencies.iter().filter(|dependency| !is_member(&dependency.name, members));
            let wrong = edges.filter(|dependency| {
                let name = dependency.name.as_str();
                !(code.contains(&name) || dependency.is_dev() && tests.contains(&name))
            });
            wrong
                .map(|it| format!("'{}' must not use '{}': it uses {code:?} only", package.name, it.name))
                .collect()
        }
        Outside::Never(prefixes) => {
            let never = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            let direct = package.dependencies.iter().map(|dependency| dependency.name.as_str());
            let mut names: Vec<&str> = metadata.linked_into(package).into_iter().chain(direct).collect();
            names.retain(|name| never(name));
            names.sort_unstable();
            names.dedup();
            names
                .iter()
                .map(|name| format!("'{}' must never know '{name}', not even indirectly", package.name))
                .collect()
        }
    }
}

fn is_member(name: &str, members: &[&Package]) -> bool {
    members.iter().any(|member| member.name == name)
}
