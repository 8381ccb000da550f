//! Edges that are allowed, and edges that are not, in workspaces made of words.

use serde_json::{Value, json};

use crate::{metadata::Metadata, rooms::violations};

/// A workspace of `edges`: package, dependency, kind ("" is a normal one). Names beginning with `godwit` are members.
fn workspace(edges: &[(&str, &str, &str)]) -> Metadata {
    let mut names: Vec<&str> =
        edges.iter().flat_map(|edge| [edge.0, edge.1]).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let kind = |kind: &str| if kind.is_empty() { Value::Null } else { json!(kind) };
    let of =
        |name: &&str| edges.iter().filter(|edge| edge.0 == *name && !edge.1.is_empty()).collect::<Vec<_>>();
    let packages = names.iter().map(|name| {
        let dependencies: Vec<Value> =
            of(name).iter().map(|edge| json!({"name": edge.1, "kind": kind(edge.2)})).collect();
        json!({"id": name, "name": name, "dependencies": dependencies, "targets": []})
    });
    let nodes = names.iter().map(|name| {
        let deps: Vec<Value> = of(name)
            .iter()
            .map(|edge| json!({"pkg": edge.1, "dep_kinds": [{"kind": kind(edge.2)}]}))
            .collect();
        json!({"id": name, "deps": deps})
    });
    let members: Vec<&&str> = names.iter().filter(|name| name.starts_with("godwit")).collect();
    let all = json!({
        "packages": packages.collect::<Vec<_>>(),
        "workspace_members": members,
        "resolve": {"nodes": nodes.collect::<Vec<_>>()},
    });
    Metadata::parse(all.to_string().as_bytes()).unwrap()
}

#[test]
fn edges_of_the_table_are_allowed() {
    let fine = workspace(&[
        ("godwit-migration", "godwit-state", ""),
        ("godwit-migration", "zstd", ""),
        ("godwit-migration", "proptest", "dev"),
        ("godwit-transport", "tokio", ""),
        ("godwit-devices", "vm-memory", ""),
        ("godwit-tests", "godwit-ci", "dev"),
    ]);
    assert_eq!(violations(&fine), Vec::<String>::new());
}

#[test]
fn any_other_edge_is_named() {
    for (package, dependency, kind) in [
        ("godwit-state", "godwit-migration", ""),
        ("godwit-devices", "godwit-migration", "dev"),
        ("godwit-migration", "tokio", ""),
        ("godwit-migration", "proptest", ""),
        ("godwit-migration", "libc", "dev"),
        ("godwit-transport", "kvm-ioctls", ""),
        ("godwit-lab", "tokio", "dev"),
        ("godwit-devices", "kvm-bindings", ""),
        ("godwit-ci", "godwit", ""),
    ] {
        let found = violations(&workspace(&[(package, dependency, kind)]));
        let wanted = (format!("'{package}'"), format!("'{dependency}'"));
        assert!(
            found.len() == 1 && found[0].contains(&wanted.0) && found[0].contains(&wanted.1),
            "{package} -> {dependency}: {found:?}"
        );
    }
}

#[test]
fn what_must_never_be_known_is_not_known_by_way_of_another() {
    let found = violations(&workspace(&[("godwit-devices", "odd", ""), ("odd", "kvm-ioctls", "")]));
    assert_eq!(found, ["'godwit-devices' must never know 'kvm-ioctls', not even indirectly"]);
    let only_built = workspace(&[("godwit-devices", "odd", ""), ("odd", "tokio", "build")]);
    assert_eq!(violations(&only_built), Vec::<String>::new());
}

#[test]
fn a_package_without_a_room_is_named() {
    let found = violations(&workspace(&[("godwit-new", "", "")]));
    assert!(found.len() == 1 && found[0].contains("'godwit-new' has no room"), "{found:?}");
}
