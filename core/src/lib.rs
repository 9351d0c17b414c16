//! Formats and state machines of litefs.
//!
//! Nothing here does I/O, reads a clock, draws a random number or starts a thread: what happens arrives as an
//! argument, `now` included, and what must change on disk leaves as data. The same code therefore runs under the
//! kernel and under the simulator. `no_std` makes that a compile error to break.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
