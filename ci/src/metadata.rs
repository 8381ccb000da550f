//! What `cargo metadata` says of the workspace: its packages, their dependencies and test targets.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::steps::cargo;

/// The workspace, and everything that it is resolved to.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// A package, of the workspace or not.
#[derive(Debug, Deserialize)]
pub struct Package {
    id: String,
    /// Its name.
    pub name: String,
    /// What its manifest asks for.
    pub dependencies: Vec<Dependency>,
    /// What cargo builds of it.
    pub targets: Vec<Target>,
}

/// One entry of a manifest's dependencies.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's name, whatever it is renamed to.
    pub name: String,
    kind: Option<String>,
}

/// One target of a package.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `bin`, `test` and so on.
    pub kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Dependency {
    /// Whether it is for tests only.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// What cargo says.
    pub fn load() -> Result<Self> {
        let said = cargo(["metadata", "--format-version", "1", "--locked"])
            .output()
            .context("cargo does not start")?;
        if !said.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&said.stderr).trim());
        }
        Self::parse(&said.stdout)
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("cargo metadata printed what cannot be read")
    }

    /// The packages of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Everything that is linked into `package`, by name: its dependencies and theirs, those of builds and tests left
    /// out.
    #[must_use]
    pub fn linked_into(&self, package: &Package) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let (mut seen, mut open) = (BTreeSet::new(), vec![package.id.as_str()]);
        while let Some(node) = open.pop().and_then(|id| nodes.get(id)) {
            let linked =
                node.deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(linked.map(|edge| edge.pkg.as_str()).filter(|&id| seen.insert(id)));
        }
        seen.into_iter().filter_map(|id| names.get(id).copied()).collect()
    }
}
