//! The simulator of litefs.

#[cfg(all(feature = "sim", not(madsim)))]
compile_error!(
    "feature `sim` needs `--cfg madsim`: run cargo inside the repository and unset RUSTFLAGS, or add `--cfg madsim` to it"
);
