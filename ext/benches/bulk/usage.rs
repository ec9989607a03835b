//! Processor time and memory of processes.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::Result;

/// Returns the processor time of this process, in user and system mode.
pub fn cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(
        time.num_microseconds(),
    )?))
}

/// Returns the processor time of another process.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process.try_into()?))?;
    Ok(clock.now()?.into())
}

/// Returns the peak resident memory of this process, in MiB. The figure of `getrusage` would include
/// the parent process's peak.
pub fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| {
        let peak = line.strip_prefix("VmHWM:")?.strip_suffix("kB")?;
        peak.trim().parse::<f64>().ok()
    });
    Ok(peak.ok_or("no VmHWM in /proc/self/status")? / 1024.0)
}
