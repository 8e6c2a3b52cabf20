//! Processes: what tells one from another that gets its number later, whether it lives, and what it may have.

use std::fs;

/// This process's number, and when it has started, in ticks since the system has; 0 when /proc does not say.
pub fn this() -> (u32, u32) {
    let pid = std::process::id();
    (pid, status(pid).map_or(0, |(_, started)| started))
}

/// Whether the process of this number that has started then still lives. One that has ended and that its parent has
/// not noticed yet does not.
pub fn is_alive(pid: u32, started: u32) -> bool {
    let Ok(number) = libc::pid_t::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 only asks whether the process is there.
    let is_there = unsafe { libc::kill(number, 0) } == 0
        || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
    is_there
        && match status(pid) {
            Some((state, other)) => {
                !matches!(state, 'Z' | 'X' | 'x') && (started == 0 || other == started)
            }
            // /proc may be hidden from us.
            None => true,
        }
}

/// How many file descriptors this process may have, and those that it makes (RLIMIT_NOFILE); `None`: any number.
pub fn descriptor_limit() -> Option<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the call fills in the structure, or leaves it as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let is_limited = limit.rlim_cur != libc::RLIM_INFINITY;
    is_limited.then(|| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// A process's state and when it has started (proc(5)), of which the low 32 bits will do.
fn status(pid: u32) -> Option<(char, u32)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, in which anything may stand.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&text[end + 1..]).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let started: u64 = fields.nth(18)?.parse().ok()?;
    Some((state, started as u32))
}
