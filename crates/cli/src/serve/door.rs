//! Where a server listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::refusals;
use crate::failure::Failure;

/// The socket for requests, and its address.
#[derive(Debug)]
pub(super) struct Door {
    /// Taken by the HTTP server.
    listener: Option<TcpListener>,
    address: SocketAddr,
}

impl Door {
    pub(super) fn open(address: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).map_err(|error| refusals::of_listen(&error, address))?;
        let bound = listener.set_nonblocking(true).and_then(|()| listener.local_addr());
        let bound = bound.map_err(|error| refusals::of_listen(&error, address))?;
        Ok(Self { listener: Some(listener), address: bound })
    }

    /// The address for clients on this machine.
    pub(super) fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
            });
        }
        format!("http://{address}")
    }

    /// The socket, for the runtime of the caller.
    pub(super) fn listener(&mut self) -> Result<tokio::net::TcpListener, Failure> {
        let listener = self.listener.take().expect("serving happens once");
        tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Failure::new(format!("cannot listen: {error}")))
    }
}
