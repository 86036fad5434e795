//! The memory of this process and of the machine (Linux; elsewhere unknown).

use candle_core::DType;

use crate::error::Result;
use crate::fail;

/// What is always tried: reading how much memory is free costs more than such a tensor.
const SMALL: usize = 1 << 30;

/// Bytes that this process holds.
pub fn memory_in_use() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Bytes that this process can still get: what the machine has left, and within the limit of its container.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = available_of(&text)?;
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = limits.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let limit = limits.filter_map(|text| text.trim().parse::<u64>().ok()).min();
    let left = limit.map(|limit| limit.saturating_sub(memory_in_use().unwrap_or(0)));
    Some(left.map_or(free, |left| left.min(free)))
}

/// Refuse a tensor that no memory holds, before the allocation ends the process.
pub fn affordable(shape: &[usize], dtype: DType) -> Result<()> {
    let Some(bytes) = shape.iter().try_fold(dtype.size_in_bytes(), |n, d| n.checked_mul(*d)) else {
        fail!("a tensor of shape {shape:?} is larger than any memory")
    };
    if bytes <= SMALL || available_memory().is_none_or(|free| bytes as u64 <= free) {
        return Ok(());
    }
    fail!(
        "a tensor of shape {shape:?} needs {:.1} GB, more than the memory that is free",
        bytes as f64 / 1e9
    )
}

/// The line `MemAvailable:   12345 kB`.
fn available_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        assert_eq!(available_of("MemTotal: 9 kB\nMemAvailable:   2 kB\n"), Some(2048));
        assert_eq!(available_of("MemTotal: 9 kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(memory_in_use().unwrap() > 1 << 20 && available_memory().unwrap() > 1 << 20);
        }
    }
}
