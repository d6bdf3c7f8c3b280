//! gRPC over real sockets: who subscribes gets each match once and in order, who publishes is told what lasts, and neither keeps the run waiting.

mod binary;
mod clients;
mod embedded;
mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

/// An address of this test alone, free until it is used: all of 127.0.0.0/8 is this machine.
fn own_address() -> SocketAddr {
    static USED: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, process[2] | 1, process[3], USED.fetch_add(1, Ordering::Relaxed));
    SocketAddr::new(IpAddr::V4(ip), 7171)
}
