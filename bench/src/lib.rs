//! What the load client and the echo servers of this folder share: the few system calls that `std` does
//! not have, an echo server's loop, frames, and compressed messages.

pub mod deflate;
pub mod frames;
pub mod server;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// A poller; every registration carries a number of the caller's choice.
pub struct Epoll {
    fd: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Epoll {
    /// Makes a poller.
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointer.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call above has just opened this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            fd,
            ready: Vec::with_capacity(512),
        })
    }

    /// Watches for input, level-triggered.
    pub fn add_input(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, libc::EPOLLIN, token)
    }

    /// Watches for input and for room to write, edge-triggered.
    pub fn add_edges(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, socket, edges, token)
    }

    /// Ends the watch over a socket.
    pub fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket, 0, 0)
    }

    /// Waits until something is ready, or for `limit`, and puts the numbers of what is ready in `tokens`.
    pub fn wait(&mut self, limit: Option<Duration>, tokens: &mut Vec<usize>) -> io::Result<()> {
        let limit = limit.map_or(-1, |limit| limit.as_millis().min(i32::MAX as u128) as i32);
        let room = self.ready.capacity() as i32;
        // SAFETY: the buffer has room for as many events as are asked for.
        let got =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.ready.as_mut_ptr(), room, limit) };
        let got = match checked(got) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            got => got?,
        };
        // SAFETY: epoll_wait has written that many events.
        unsafe { self.ready.set_len(got as usize) };
        tokens.clear();
        tokens.extend(self.ready.iter().map(|event| event.u64 as usize));
        Ok(())
    }

    fn control(
        &self,
        operation: i32,
        socket: &impl AsRawFd,
        events: i32,
        token: usize,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token as u64,
        };
        // SAFETY: both descriptors are open, and the event lives through the call.
        checked(unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                operation,
                socket.as_raw_fd(),
                &mut event,
            )
        })
        .map(drop)
    }
}

/// Raises this process's limit of open files as far as it goes, and returns it.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is ours and lives through both calls.
    unsafe {
        checked(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        checked(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(limit.rlim_cur)
}

/// The CPU time that a process and its descendants have used, from the scheduler's own count: to the
/// nanosecond, and with the threads that have ended.
pub fn cpu_time_of_tree(root: i32) -> io::Result<Duration> {
    let parents = parents()?;
    let mut tree = vec![root];
    let mut next = 0;
    let mut total = Duration::ZERO;
    while next < tree.len() {
        let pid = tree[next];
        total += cpu_time_of(pid).unwrap_or_default();
        tree.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    Ok(total)
}

/// Every process and its parent.
fn parents() -> io::Result<Vec<(i32, i32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may have ended since its name was read.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The second field, the name in parentheses, may hold blanks and parentheses.
        let parent = stat
            .rfind(')')
            .and_then(|at| stat[at + 1..].split_whitespace().nth(1));
        parents.extend(
            parent
                .and_then(|parent| parent.parse().ok())
                .map(|parent| (pid, parent)),
        );
    }
    Ok(parents)
}

fn cpu_time_of(pid: i32) -> io::Result<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both structures are ours and live through the calls.
    unsafe {
        match libc::clock_getcpuclockid(pid, &mut clock) {
            0 => checked(libc::clock_gettime(clock, &mut time))?,
            error => return Err(io::Error::from_raw_os_error(error)),
        };
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Connects to a port of 127.0.0.1 with Nagle's algorithm off. The connection's number chooses the source
/// address, so that no count of connections runs out of ports.
pub fn connect(port: u16, number: usize) -> io::Result<TcpStream> {
    let source = Ipv4Addr::from(Ipv4Addr::LOCALHOST.to_bits() + (number / 8192) as u32);
    let on = 1i32;
    // SAFETY: socket takes no pointer; the fresh descriptor is nobody else's; the addresses and the option
    // are ours, live through the calls and have the lengths that are passed.
    unsafe {
        let fd = checked(libc::socket(
            libc::AF_INET,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            0,
        ))?;
        let socket = TcpStream::from_raw_fd(fd);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // The port is then chosen by connect, which knows the destination.
        checked(libc::setsockopt(
            fd,
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        ))?;
        let address = socket_address(SocketAddrV4::new(source, 0));
        checked(libc::bind(fd, (&raw const address).cast(), length))?;
        let address = socket_address(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        checked(libc::connect(fd, (&raw const address).cast(), length))?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }
}

fn socket_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: address.ip().to_bits().to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
