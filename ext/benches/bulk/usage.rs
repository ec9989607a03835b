//! What processes have taken of the machine.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::Result;

/// Processor time of this process, in user and in system mode.
pub fn cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(
        time.num_microseconds(),
    )?))
}

/// Processor time of another process.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process.try_into()?))?;
    Ok(clock.now()?.into())
}

/// The peak of resident memory of this process, in MiB. What `getrusage` says of it would include the peak of the
/// process that started this one.
pub fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| {
        let peak = line.strip_prefix("VmHWM:")?.strip_suffix("kB")?;
        peak.trim().parse::<f64>().ok()
    });
    Ok(peak.ok_or("no peak of memory is known")? / 1024.0)
}
