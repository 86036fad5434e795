//! The devices that numerical tests run on.

use candle_core::Device;
use seglab::device::{open_device, set_tf32};

/// The processor, and a GPU where one can be used (computing in full f32). With `SEGLAB_REQUIRE_GPU` set its absence is a failure.
pub fn devices() -> Vec<Device> {
    set_tf32(false);
    match open_device("cuda") {
        Ok(gpu) => vec![Device::Cpu, gpu],
        Err(missing) => {
            assert!(std::env::var_os("SEGLAB_REQUIRE_GPU").is_none(), "{missing}");
            vec![Device::Cpu]
        }
    }
}
