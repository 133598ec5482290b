//! The server: listeners, a clock and a coordinator, run until the puzzle is solved or someone
//! says stop.

use super::admission::{Admission, Limits, Seat};
use super::hub::{Hub, Outlets, ServerEvent};
use super::{FAREWELL_TIME, audit, classic, tcp, udp};
use crate::backend::Backend;
use crate::coordinator::Config;
use crate::jobs::JobSpec;
use crate::proto::Over;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

pub use super::audit::examine;
pub use super::tcp::listen;
pub use super::udp::bind;

/// How often leases and clients that may be over are looked at.
const EXPIRY_TICK: Duration = Duration::from_millis(50);

/// Pause after a failed accept, which means that the system is out of sockets: a connection that was
/// sent away meanwhile has closed its own.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A server that is not yet running.
pub struct Server {
    hub: Arc<Hub>,
    outlets: Outlets,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    classic: Option<classic::Problem>,
    auditor: Option<Arc<dyn Backend>>,
}

/// How a server came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its job has ended.
    Over(Over),
    /// Someone said stop.
    Stopped,
}

impl Server {
    /// A server without jobs on these sockets.
    pub fn new(config: Config, tcp: Option<TcpListener>, udp: Option<UdpSocket>) -> Self {
        let (hub, outlets) = Hub::new(config);
        Self { hub, outlets, tcp, udp, classic: None, auditor: None }
    }

    /// The same server with a job, at whose end it ends.
    ///
    /// # Errors
    /// It takes no jobs.
    pub fn with_job(self, spec: JobSpec) -> Result<Self, String> {
        self.hub.submit_main(spec)?;
        Ok(self)
    }

    /// The same server, which serves clients of the plain-text protocol too.
    pub fn with_classic(mut self, problem: classic::Problem) -> Self {
        self.classic = Some(problem);
        self
    }

    /// The same server, which audits with `backend` instead of the judge. It can search much more,
    /// so the [`audit_budget`](Config::audit_budget) may be larger.
    pub fn with_auditor(mut self, backend: Arc<dyn Backend>) -> Self {
        self.auditor = Some(backend);
        self
    }

    /// The same server, to which strangers may give jobs too. Without this only clients of its own
    /// machine may.
    pub fn open_to_all(self) -> Self {
        self.hub.open();
        self
    }

    /// What can be asked while it runs, and after.
    pub fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }

    /// Runs until the job ends or `shutdown` does; `show` is told what happens.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        show: impl Fn(ServerEvent) + Send + 'static,
    ) -> Ending {
        // Each client over TCP takes a socket. Where there are no more, the others are served.
        #[cfg(unix)]
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let Self { hub, outlets, tcp, udp, classic, auditor } = self;
        let Outlets { mut events, audits } = outlets;
        // Tasks end when the set is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(audit::run(hub.clone(), audits, auditor));
        tasks.spawn(expire(hub.clone()));
        if let Some(listener) = tcp {
            tasks.spawn(accept(listener, hub.clone(), classic.clone()));
        }
        if let Some(socket) = udp {
            let hub = hub.clone();
            tasks.spawn(async move { udp::serve(&socket, &hub, classic).await });
        }
        tokio::pin!(shutdown);
        let mut stopped = false;
        loop {
            tokio::select! {
                Some(event) = events.recv() => show(event),
                () = hub.closing_bell.notified() => break,
                () = &mut shutdown, if !stopped => {
                    stopped = true;
                    hub.close();
                }
            }
        }
        farewell(&hub).await;
        // So that the port is free when this returns.
        tasks.shutdown().await;
        while let Ok(event) = events.try_recv() {
            show(event);
        }
        if stopped { Ending::Stopped } else { Ending::Over(hub.closing().unwrap_or_default()) }
    }
}

/// Waits until everyone knows that the server closes, but not for ever.
async fn farewell(hub: &Hub) {
    let until = Instant::now() + FAREWELL_TIME;
    while !hub.all_know() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn accept(listener: TcpListener, hub: Arc<Hub>, classic: Option<classic::Problem>) {
    let classic = classic.map(Arc::new);
    let admission = Admission::new(Limits::of_system());
    let mut connections = JoinSet::new();
    loop {
        admission.settled().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let seat = admission.enter(address.ip());
                    let (hub, classic) = (hub.clone(), classic.clone());
                    connections.spawn(connection(stream, address, seat, hub, classic));
                }
                // It hung up before it was its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    admission.evict();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    seat: Seat,
    hub: Arc<Hub>,
    classic: Option<Arc<classic::Problem>>,
) {
    match classic {
        Some(problem) if !classic::is_native(&stream).await => {
            classic::serve(stream, address, &seat, &hub, &problem).await;
        }
        _ => tcp::serve(tcp::frames(stream), address, &seat, &hub).await,
    }
}

async fn expire(hub: Arc<Hub>) {
    let mut tick = tokio::time::interval(EXPIRY_TICK);
    loop {
        tick.tick().await;
        hub.with(|coordinator, now| {
            if coordinator.next_deadline().is_some_and(|deadline| deadline <= now) {
                coordinator.expire(now);
            }
        });
    }
}
