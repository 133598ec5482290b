//! The server: listeners, a clock and a coordinator, run until the puzzle is solved or someone
//! says stop.

pub(in crate::net) mod admission;
mod auditor;
mod bans;
mod convert;
mod cookies;
pub(in crate::net) mod networks;
mod pages;
pub(in crate::net) mod service;
pub(in crate::net) mod sessions;
mod suspicion;
mod tcp;
mod udp;

pub use super::sockets::{bind, listen};
pub use auditor::examine;
pub use service::{ServerEvent, Service};

use super::{FAREWELL_TIME, framing, plaintext};
use crate::backend::Backend;
use crate::coordinator::Config;
use crate::jobs::JobSpec;
use crate::proto::Over;
use admission::{Admission, Limits, Seat};
use service::Outlets;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How often leases and clients that may be over are looked at.
const EXPIRY_TICK: Duration = Duration::from_millis(50);

/// Pause after a failed accept, which means that the system is out of sockets: a connection that was
/// sent away meanwhile has closed its own.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A server that is not yet running.
pub struct Server {
    service: Arc<Service>,
    outlets: Outlets,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    classic: Option<plaintext::Problem>,
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
        let (service, outlets) = Service::new(config);
        Self { service, outlets, tcp, udp, classic: None, auditor: None }
    }

    /// The same server with a job, at whose end it ends.
    ///
    /// # Errors
    /// It takes no jobs.
    pub fn with_job(self, spec: JobSpec) -> Result<Self, String> {
        self.service.submit_main(spec)?;
        Ok(self)
    }

    /// The same server, which ends after its own job although others are under way.
    pub fn ending_after_its_job(self) -> Self {
        self.service.close_after_main();
        self
    }

    /// The same server, which serves clients of the plain-text protocol too.
    pub fn with_classic(mut self, problem: plaintext::Problem) -> Self {
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
        self.service.open();
        self
    }

    /// What can be asked while it runs, and after.
    pub fn service(&self) -> Arc<Service> {
        self.service.clone()
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
        let Self { service, outlets, tcp, udp, classic, auditor } = self;
        let Outlets { mut events, audits } = outlets;
        // Tasks end when the set is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(auditor::run(service.clone(), audits, auditor));
        tasks.spawn(expire(service.clone()));
        if let Some(listener) = tcp {
            tasks.spawn(accept(listener, service.clone(), classic.clone()));
        }
        if let Some(socket) = udp {
            let service = service.clone();
            tasks.spawn(async move { udp::serve(&socket, &service, classic).await });
        }
        tokio::pin!(shutdown);
        let mut stopped = false;
        loop {
            tokio::select! {
                Some(event) = events.recv() => show(event),
                () = service.closing_bell.notified() => break,
                () = &mut shutdown, if !stopped => {
                    stopped = true;
                    service.close();
                }
            }
        }
        farewell(&service).await;
        // So that the port is free when this returns.
        tasks.shutdown().await;
        while let Ok(event) = events.try_recv() {
            show(event);
        }
        if stopped { Ending::Stopped } else { Ending::Over(service.closing().unwrap_or_default()) }
    }
}

/// Waits until everyone knows that the server closes, but not for ever.
async fn farewell(service: &Service) {
    let until = Instant::now() + FAREWELL_TIME;
    while !service.all_know() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>, classic: Option<plaintext::Problem>) {
    let classic = classic.map(Arc::new);
    let admission = Admission::new(Limits::of_system());
    let mut connections = JoinSet::new();
    loop {
        admission.settled().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let seat = admission.enter(address.ip());
                    let (service, classic) = (service.clone(), classic.clone());
                    connections.spawn(connection(stream, address, seat, service, classic));
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
    service: Arc<Service>,
    classic: Option<Arc<plaintext::Problem>>,
) {
    match classic {
        Some(problem) if !plaintext::is_native(&stream).await => {
            plaintext::serve(stream, address, &seat, &service, &problem).await;
        }
        _ => tcp::serve(framing::frames(stream), address, &seat, &service).await,
    }
}

async fn expire(service: Arc<Service>) {
    let mut tick = tokio::time::interval(EXPIRY_TICK);
    loop {
        tick.tick().await;
        service.with(|coordinator, now| {
            if coordinator.next_deadline().is_some_and(|deadline| deadline <= now) {
                coordinator.expire(now);
            }
        });
    }
}
