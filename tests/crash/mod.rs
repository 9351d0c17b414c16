//! Processes killed at random moments under load. Every transaction that SQLite called committed is there afterwards,
//! nodes agree on where they are, and nothing is damaged.
//!
//! A few rounds for each journal mode run by default; `LITEFS_CRASH_ROUNDS=50` makes it fifty. The moments are random; a
//! failure names the seed, and `LITEFS_CRASH_SEED` takes it again, as far as the same moment on a clock is the same.

mod client;
mod node;

use std::time::Duration;

/// How many times a process is killed for each journal mode.
fn rounds() -> u32 {
    std::env::var("LITEFS_CRASH_ROUNDS").map_or(3, |text| text.parse().unwrap())
}

/// Moments within the first 150 ms or so after something.
#[derive(Debug)]
struct Moments(u64);

impl Moments {
    fn new(salt: &str) -> Self {
        let seed = std::env::var("LITEFS_CRASH_SEED").map_or_else(
            |_| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
            |text| text.parse().unwrap(),
        );
        println!("LITEFS_CRASH_SEED={seed}");
        Self(salt.bytes().fold(seed | 1, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())))
    }

    fn number(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// Passes a random time, during which the load goes on.
    fn pass(&mut self) {
        std::thread::sleep(Duration::from_micros(self.number() % 150_000));
    }
}
