//! What stands between a device and a region: a TCP relay that can lose either direction, cut, and stay shut.
//!
//! A device sees what a phone sees when its network or its region goes: no goodbye, bytes that never arrive.

use std::net::SocketAddr;

use sterna_gateway::edge::bind;
use sterna_process::{End, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are relayed at a time.
const PIECE: usize = 16 * 1024;

/// What a door lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// Everything.
    Both,
    /// Only what the device sends: the region hears it, and is not heard.
    Inward,
    /// Nothing, and the device is not told.
    Nothing,
    /// Nobody: connections are cut, new ones end at once.
    Nobody,
}

/// A door in front of one region.
pub(crate) struct Door {
    address: SocketAddr,
    passing: watch::Sender<Passing>,
}

impl Door {
    /// A door on a free port of this machine, to `region`.
    pub(crate) fn to(region: SocketAddr, listener: TcpListener, owner: &Process) -> Self {
        let address = listener.local_addr().unwrap();
        let (passing, watched) = watch::channel(Passing::Both);
        let inside = owner.clone();
        owner.spawn_local("a door", End::Expected, async move {
            while let Ok((device, _)) = listener.accept().await {
                if *watched.borrow() != Passing::Nobody {
                    inside.spawn_local("a relay", End::Expected, relay(device, region, watched.clone()));
                }
            }
        });
        Self { address, passing }
    }

    /// Where devices connect.
    pub(crate) fn url(&self) -> String {
        url(self.address)
    }

    /// Changes what goes through, from the next byte on.
    pub(crate) fn let_through(&self, passing: Passing) {
        self.passing.send(passing).unwrap();
    }
}

/// The gateway's URL at an address.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("ws://{address}/v1/connect")
}

/// A listener on a free port.
pub(crate) fn free() -> TcpListener {
    bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

async fn relay(device: TcpStream, region: SocketAddr, mut passing: watch::Receiver<Passing>) {
    let Ok(region) = TcpStream::connect(region).await else { return };
    let (from_device, to_device) = device.into_split();
    let (from_region, to_region) = region.into_split();
    let inward = |passing| matches!(passing, Passing::Both | Passing::Inward);
    let there = one_way(from_device, to_region, passing.clone(), inward);
    let back = one_way(from_region, to_device, passing.clone(), |passing| passing == Passing::Both);
    tokio::select! {
        biased;
        _ = passing.wait_for(|passing| *passing == Passing::Nobody) => {}
        () = there => {}
        () = back => {}
    }
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passing: watch::Receiver<Passing>,
    goes: impl Fn(Passing) -> bool,
) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let goes = goes(*passing.borrow());
        if goes && to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
