//! The CPU time of the server that is measured.

use std::io;

use crate::options::Options;

/// What the server had used at the beginning.
pub struct ServerCpu(Option<(i32, f64)>);

impl ServerCpu {
    /// Begins to measure, when the options say whom.
    pub fn begin(options: &Options) -> io::Result<Self> {
        let begin = |pid| seconds_of(pid).map(|used| (pid, used));
        Ok(Self(options.pid.map(begin).transpose()?))
    }

    /// A word for the line of figures: microseconds for each of `count`, or nothing.
    pub fn per(&self, count: f64) -> io::Result<String> {
        let Some((pid, before)) = self.0 else {
            return Ok(String::new());
        };
        let used = seconds_of(pid)? - before;
        Ok(format!(" cpu_us={:.4}", used / count * 1e6))
    }
}

fn seconds_of(pid: i32) -> io::Result<f64> {
    Ok(bench::cpu_time_of_tree(pid)?.as_secs_f64())
}
