//! Runs every fuzz target over its corpus, and over each input cut off anywhere and with each bit flipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::path::Path;

use litefs_fuzz::{Body, TARGETS};

/// Inputs are kept this small, in bytes, so that all their variants can be run.
const MAX_SEED: usize = 4096;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no inputs in {}", directory.display());
    let seeds = paths.iter().map(|path| {
        let seed = fs::read(path).unwrap();
        assert!(seed.len() <= MAX_SEED, "{} has {} bytes", path.display(), seed.len());
        seed
    });
    seeds.collect()
}

/// Names the input while a promise is broken over it.
struct Input<'a>(&'a str, &'a [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} broke a promise over these {} bytes: {:02x?}", self.0, self.1.len(), self.1);
        }
    }
}

fn run(target: &str, body: Body, data: &[u8]) {
    let _named = Input(target, data);
    body(data);
}

fn replay(target: &str, body: Body, seed: &[u8]) {
    run(target, body, seed);
    for len in 0..seed.len() {
        run(target, body, &seed[..len]);
    }
    let mut flipped = seed.to_vec();
    for bit in 0..seed.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        run(target, body, &flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn no_input_and_no_variant_of_it_breaks_a_promise() {
    for (target, body) in TARGETS {
        for seed in seeds(target) {
            replay(target, body, &seed);
        }
    }
}

#[test]
fn every_corpus_and_every_fuzzer_belongs_to_a_target() {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = |directory: &str| {
        let mut found: Vec<_> = fs::read_dir(root.join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        found
    };
    assert_eq!(list("corpus"), names);
    assert_eq!(list("targets/bin"), names);
}
