//! Listens for connections and datagrams, and hands each to the protocol that it speaks, until the
//! main job has ended or the server is stopped.

mod datagrams;

pub use super::sockets::{bind, listen};

use super::limits::{ACCEPT_PAUSE, CLOSE_POLL, CLOSE_TIME, EXPIRY_TICK, FRAME_BUFFER, RESULT_TIME};
use super::plaintext::{self, Problem};
use super::server::admission::{Admission, Seat, SeatLimits};
use super::server::service::Outlets;
use super::server::{ServerEvent, Service, auditor, tcp};
use super::{framing, sockets};
use crate::backend::Backend;
use crate::coordinator::{Config, Fact, RestoreError};
use crate::jobs::JobSpec;
use crate::proto::Over;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A server that does not run yet.
pub struct Server {
    service: Arc<Service>,
    outlets: Outlets,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    plaintext: Option<Problem>,
    auditor: Option<Arc<dyn Backend>>,
}

/// The reason why a server has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEnding {
    /// Its main job has ended.
    Over(Over),
    /// It was told to stop.
    Stopped,
}

impl Server {
    /// Creates a server without jobs on these sockets.
    pub fn new(config: Config, tcp: Option<TcpListener>, udp: Option<UdpSocket>) -> Self {
        let (service, outlets) = Service::new(config);
        Self { service, outlets, tcp, udp, plaintext: None, auditor: None }
    }

    /// Creates a server that goes on where another one was when it took the snapshot `facts`.
    ///
    /// # Errors
    /// The facts contradict each other.
    pub fn restored(
        config: Config,
        facts: Vec<Fact>,
        tcp: Option<TcpListener>,
        udp: Option<UdpSocket>,
    ) -> Result<Self, RestoreError> {
        let (service, outlets) = Service::restored(config, facts)?;
        Ok(Self { service, outlets, tcp, udp, plaintext: None, auditor: None })
    }

    /// Adds a main job: when it ends, so does the server.
    ///
    /// # Errors
    /// It takes no more jobs.
    pub fn with_job(self, spec: JobSpec) -> Result<Self, String> {
        self.service.submit_main(spec)?;
        Ok(self)
    }

    /// Serves clients of the plain-text protocol too.
    pub fn with_plaintext(mut self, problem: Problem) -> Self {
        self.plaintext = Some(problem);
        self
    }

    /// Audits with `backend` instead of the judge. It is much faster, so the
    /// [`audit_budget`](Config::audit_budget) may be larger.
    pub fn with_auditor(mut self, backend: Arc<dyn Backend>) -> Self {
        self.auditor = Some(backend);
        self
    }

    /// Ends after its own job although others are under way.
    pub fn ending_after_its_job(self) -> Self {
        self.service.close_after_main();
        self
    }

    /// Lets clients on other machines submit jobs too.
    pub fn open_to_all(self) -> Self {
        self.service.open();
        self
    }

    /// Returns the service, for questions while the server runs and after.
    pub fn service(&self) -> Arc<Service> {
        self.service.clone()
    }

    /// Runs until the main job or `shutdown` ends. Calls `show` with every event. Does not wait for
    /// its clients when `shutdown` ends after the main job.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        show: impl Fn(ServerEvent) + Send + 'static,
    ) -> ServerEnding {
        // Each client over TCP takes a descriptor. Where the limit cannot be raised, clients beyond
        // it are refused.
        #[cfg(unix)]
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let Self { service, outlets, tcp, udp, plaintext, auditor } = self;
        let Outlets { mut events, audits } = outlets;
        // Its tasks end when the set is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(auditor::run(service.clone(), audits, auditor));
        tasks.spawn(expire(service.clone()));
        if let Some(listener) = tcp {
            tasks.spawn(accept(listener, service.clone(), plaintext.clone()));
        }
        if let Some(socket) = udp {
            let service = service.clone();
            tasks.spawn(async move { datagrams::serve(&socket, &service, plaintext).await });
        }
        tokio::pin!(shutdown);
        let mut stopped = false;
        loop {
            tokio::select! {
                Some(event) = events.next() => show(event),
                () = service.closes.notified() => break,
                () = &mut shutdown, if !stopped => {
                    stopped = true;
                    service.close();
                }
            }
        }
        tokio::select! {
            () = farewell(&service, stopped) => {}
            () = &mut shutdown, if !stopped => {}
        }
        // The port is free when this returns.
        tasks.shutdown().await;
        while let Some(event) = events.try_next() {
            show(event);
        }
        if stopped {
            return ServerEnding::Stopped;
        }
        ServerEnding::Over(service.closing().unwrap_or_default())
    }
}

/// Leaves the clients time to learn that the server closes.
async fn farewell(service: &Service, stopped: bool) {
    if service.has_lingered() && !stopped {
        tokio::time::sleep(RESULT_TIME).await;
    }
    // Clients that do not answer are not waited for any longer.
    let _ = timeout(CLOSE_TIME, acknowledged(service)).await;
}

/// Waits until every client knows that the server closes.
async fn acknowledged(service: &Service) {
    while !service.all_acknowledged() {
        tokio::time::sleep(CLOSE_POLL).await;
    }
}

async fn expire(service: Arc<Service>) {
    let mut tick = tokio::time::interval(EXPIRY_TICK);
    loop {
        tick.tick().await;
        service.expire();
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>, plaintext: Option<Problem>) {
    let plaintext = plaintext.map(Arc::new);
    let admission = Admission::new(SeatLimits::of_system());
    let mut connections = JoinSet::new();
    loop {
        admission.settled().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    sockets::prepare(&stream);
                    let seat = admission.enter(address.ip());
                    let (service, plaintext) = (service.clone(), plaintext.clone());
                    connections.spawn(async move {
                        serve(stream, address, seat, &service, plaintext.as_deref()).await;
                    });
                }
                // It hung up before it was accepted.
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

/// Serves one connection, whatever its stream and protocol.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    address: SocketAddr,
    seat: Seat,
    service: &Service,
    plaintext: Option<&Problem>,
) {
    let Some(problem) = plaintext else {
        return tcp::serve(framing::frames(stream, &[]), address, &seat, service).await;
    };
    let mut stream = BufReader::with_capacity(FRAME_BUFFER, stream);
    if plaintext::is_native(&mut stream).await {
        let read = stream.buffer().to_vec();
        let frames = framing::frames(stream.into_inner(), &read);
        tcp::serve(frames, address, &seat, service).await;
    } else {
        plaintext::serve(stream, address, &seat, service, problem).await;
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod stop_tests;
