//! Where the server listens.

use super::ServerArgs;
use crate::cli::{Exit, Failure};
use crate::net::listener::{bind, listen};
use crate::net::{DEFAULT_PORT, team_port};
use anyhow::anyhow;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// The sockets of a server.
pub(super) struct Sockets {
    pub(super) tcp: Option<TcpListener>,
    pub(super) udp: Option<UdpSocket>,
    /// The address, with the port that was free for port 0.
    pub(super) address: SocketAddr,
}

/// The port, and the transports.
struct Place {
    port: u16,
    tcp: bool,
    udp: bool,
}

/// Opens the sockets that the arguments name.
pub(super) async fn open(args: &ServerArgs) -> Result<Sockets, Failure> {
    let place = place(args)?;
    let mut address = resolve(&args.bind, place.port).await?;
    let tcp = place.tcp.then(|| listen(address)).transpose();
    let tcp = tcp.map_err(|error| in_use(&error, address, "TCP"))?;
    if let Some(listener) = &tcp {
        address = listener.local_addr()?;
    }
    let udp = place.udp.then(|| bind(address)).transpose();
    let udp = udp.map_err(|error| in_use(&error, address, "UDP"))?;
    if let Some(socket) = &udp {
        address = socket.local_addr()?;
    }
    Ok(Sockets { tcp, udp, address })
}

fn place(args: &ServerArgs) -> Result<Place, Failure> {
    Ok(match args.team {
        Some(team) => {
            let (port, tcp) = team_port(team).map_err(|text| Failure::usage(anyhow!(text)))?;
            Place { port, tcp, udp: !tcp }
        }
        None => Place {
            port: args.port.unwrap_or(DEFAULT_PORT),
            tcp: !args.udp_only,
            udp: !args.tcp_only,
        },
    })
}

/// Looks up the address to listen on; of a name with several, the first IPv4 one.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let text = format!("--bind {host}: an IP address or a name of this machine is needed");
    first.copied().ok_or_else(|| Failure::usage(anyhow!(text)))
}

fn in_use(error: &io::Error, address: SocketAddr, transport: &str) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "something else listens there: choose another --port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights: choose a --port",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose another --bind"
        }
        _ => &error.to_string(),
    };
    let text = format!("cannot listen on {transport} {address}: {hint}");
    Failure::new(Exit::CannotListen, anyhow!(text))
}
