#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| litefs_fuzz::configuration(data));
