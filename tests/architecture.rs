//! The shape of the workspace, as rules that fail when somebody breaks them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Who may depend on whom in the workspace. Anything else is a new arrow, which needs a reason and a line here.
const ARROWS: &[(&str, &[&str])] = &[
    ("litefs", &["litefs-config-file", "litefs-core", "litefs-fuse", "litefs-net", "litefs-sim"]),
    ("litefs-config-file", &[]),
    ("litefs-core", &[]),
    ("litefs-fuse", &["litefs-core"]),
    ("litefs-fuzz", &["litefs-config-file", "litefs-core"]),
    ("litefs-net", &["litefs-core"]),
    ("litefs-sim", &["litefs-core"]),
];

/// What the core may use: codecs and derives, nothing that could reach the world.
const CORE_DEPENDENCIES: &[&str] = &["crc-fast", "lz4_flex", "thiserror", "twox-hash"];

#[test]
fn crates_depend_on_each_other_only_along_the_arrows() {
    let packages = packages();
    let members: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    assert_eq!(members, allowed.keys().copied().collect(), "crates of the workspace");
    for (name, package) in &packages {
        for dependency in dependencies(package, &[None, Some("build"), Some("dev")]) {
            if members.contains(dependency.as_str()) {
                assert!(allowed[name.as_str()].contains(&dependency.as_str()), "{name} -> {dependency}");
            }
        }
    }
}

#[test]
fn core_is_pure() {
    let packages = packages();
    let used = dependencies(&packages["litefs-core"], &[None, Some("build")]);
    for dependency in used {
        assert!(CORE_DEPENDENCIES.contains(&dependency.as_str()), "litefs-core -> {dependency}");
    }
    let root = std::fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        assert!(root.lines().any(|line| line == attribute), "{attribute} is missing in core/src/lib.rs");
    }
    assert!(!root.contains("extern crate std"), "litefs-core must not reach for std");
}

#[test]
fn daemon_has_nothing_of_the_simulator() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "litefs", "--edges", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("litefs-core"), "{tree}");
    for name in ["madsim", "litefs-sim", "corosensei"] {
        assert!(
            !tree.lines().any(|line| line.split(' ').next() == Some(name)),
            "the daemon depends on {name}"
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn packages() -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), package.clone())).collect()
}

/// The names of a package's dependencies of these kinds; `None` is a normal one.
fn dependencies(package: &Value, kinds: &[Option<&str>]) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let chosen = all.filter(|dependency| kinds.contains(&dependency["kind"].as_str()));
    chosen.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}
