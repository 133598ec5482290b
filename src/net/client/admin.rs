//! What is asked of a server without a hello: submit, list, cancel, ban. Who may is the server's to
//! say.

use super::link::{Link, LinkError, Route, Status};
use super::worker::describe;
use crate::jobs::JobSpec;
use crate::net::random;
use crate::proto::{
    self, Answer, BanLine, Call, ClientLine, JobLine, MAX_DATAGRAM, Party, RefusalReason, Refused,
    State, Submit, Work,
};
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;

/// How often a job that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Why nothing came of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The server said no.
    #[error("{0}")]
    Refused(String),
    /// The server was not there.
    #[error("the server is unreachable: {0}")]
    Unreachable(String),
    /// Another server is there now.
    #[error("the server was started anew, and with it the job is gone: submit it again")]
    Gone,
}

/// A server to ask things of.
pub struct Admin {
    link: Link,
}

impl Admin {
    /// Asks the server at `route`, in the current runtime.
    pub fn new(route: Route) -> Self {
        Self { link: Link::start(route, None).0 }
    }

    /// Waits until the server is there, or never will be.
    pub fn answered(&self) -> impl Future<Output = ()> + use<> {
        let mut status = self.link.status();
        async move {
            // An error means that the link has ended, and with it the waiting.
            let _ = status.wait_for(|status| !matches!(status, Status::Connecting)).await;
        }
    }

    /// How the connection stands, and every change of it.
    pub fn connection(&self) -> watch::Receiver<Status> {
        self.link.status()
    }

    /// Counts the clients that are connected, up to as many as one page of their list holds.
    ///
    /// # Errors
    /// The server is unreachable.
    pub async fn connected_clients(&self) -> Result<usize, AdminError> {
        match self.call(Call::Clients(0)).await? {
            Answer::Clients(lines, _) => Ok(lines.iter().filter(|line| line.connected).count()),
            _ => Err(confused()),
        }
    }

    /// Submits a job; returns its number, and the instance of the server that has it.
    ///
    /// # Errors
    /// The server takes it not, or is not there.
    pub async fn submit(&self, work: Work, priority: u32) -> Result<(u64, u64), AdminError> {
        let call = Call::Submit(Submit { key: random::key(), work, priority });
        match self.call(call).await? {
            Answer::Submitted { job, server } => Ok((job, server)),
            _ => Err(confused()),
        }
    }

    /// How a job stands.
    ///
    /// # Errors
    /// There is no such job, or the server is not there.
    pub async fn job(&self, job: u64) -> Result<JobLine, AdminError> {
        self.job_from(job, 0).await
    }

    /// The same, its result from solution `offset` on.
    async fn job_from(&self, job: u64, offset: u32) -> Result<JobLine, AdminError> {
        match self.call(Call::Job { job, offset }).await? {
            Answer::Jobs(mut lines, _) if lines.len() == 1 => Ok(lines.remove(0)),
            _ => Err(confused()),
        }
    }

    /// What a job is.
    ///
    /// # Errors
    /// There is no such job, or the server is not there.
    pub async fn describe(&self, job: u64) -> Result<JobSpec, AdminError> {
        self.watched(describe(&self.link, None, job)).await
    }

    /// Waits until a job of the server with this instance has ended; `show` is told how it stands
    /// meanwhile. The line that is returned has the whole result.
    ///
    /// # Errors
    /// There is no such job, or the server is not there, or another one.
    pub async fn wait(
        &self,
        (job, server): (u64, u64),
        show: impl Fn(&JobLine),
    ) -> Result<JobLine, AdminError> {
        let check = |line: JobLine| (line.server == server).then_some(line).ok_or(AdminError::Gone);
        loop {
            let line = check(self.job(job).await?)?;
            show(&line);
            if !matches!(line.state, State::Waiting | State::Running | State::Checking) {
                return check(self.with_all_results(line).await?);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Adds the results of a job that its line has no room for.
    ///
    /// # Errors
    /// The server is unreachable, or another one now.
    pub async fn with_all_results(&self, mut line: JobLine) -> Result<JobLine, AdminError> {
        let mut seeds = line.result.split_whitespace().count() as u32;
        while seeds < line.solutions {
            let more = self.job_from(line.job, seeds).await?;
            if more.server != line.server {
                return Err(AdminError::Gone);
            }
            if more.result.is_empty() {
                break;
            }
            seeds += more.result.split_whitespace().count() as u32;
            line.result = line.result + " " + &more.result;
        }
        Ok(line)
    }

    /// Ends a job.
    ///
    /// # Errors
    /// There is none that could be ended, or the server is not there.
    pub async fn cancel(&self, job: u64) -> Result<(), AdminError> {
        self.done(Call::Cancel(job)).await
    }

    /// All jobs.
    ///
    /// # Errors
    /// The server is not there.
    pub async fn jobs(&self) -> Result<Vec<JobLine>, AdminError> {
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            let Answer::Jobs(lines, next) = self.call(Call::Jobs(offset)).await? else {
                return Err(confused());
            };
            all.extend(lines);
            // A list that goes nowhere would never end.
            if next <= offset {
                return Ok(all);
            }
            offset = next;
        }
    }

    /// All clients.
    ///
    /// # Errors
    /// The server is not there.
    pub async fn clients(&self) -> Result<Vec<ClientLine>, AdminError> {
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            let Answer::Clients(lines, next) = self.call(Call::Clients(offset)).await? else {
                return Err(confused());
            };
            all.extend(lines);
            if next <= offset {
                return Ok(all);
            }
            offset = next;
        }
    }

    /// Turns someone away from now on.
    ///
    /// # Errors
    /// The server rejects it or is unreachable.
    pub async fn ban(&self, who: Party) -> Result<(), AdminError> {
        self.done(Call::Ban(who)).await
    }

    /// Lets someone in again.
    ///
    /// # Errors
    /// They are not banned, or the server rejects it or is unreachable.
    pub async fn unban(&self, who: Party) -> Result<(), AdminError> {
        self.done(Call::Unban(who)).await
    }

    /// Who is turned away.
    ///
    /// # Errors
    /// The server rejects it or is unreachable.
    pub async fn bans(&self) -> Result<Vec<BanLine>, AdminError> {
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            let Answer::Bans(lines, next) = self.call(Call::Bans(offset)).await? else {
                return Err(confused());
            };
            all.extend(lines);
            if next <= offset {
                return Ok(all);
            }
            offset = next;
        }
    }

    /// Asks for what is answered with "done".
    async fn done(&self, call: Call) -> Result<(), AdminError> {
        match self.call(call).await? {
            Answer::Ok => Ok(()),
            _ => Err(confused()),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, AdminError> {
        self.watched(self.link.call(call)).await
    }

    /// Waits for an answer, unless the link ends.
    async fn watched<T>(
        &self,
        answer: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, AdminError> {
        let mut status = self.link.status();
        let ended = status.wait_for(|s| matches!(s, Status::Refused(_) | Status::Unreachable(_)));
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(answer) => return Ok(answer),
                Err(LinkError::Refused(refused)) => return Err(AdminError::Refused(refused.text)),
                Err(LinkError::OtherServer | LinkError::Ended) => {}
            },
            _ = ended => {}
        }
        Err(match self.link.status().borrow().clone() {
            Status::Refused(Refused { text, .. }) => AdminError::Refused(text),
            Status::Unreachable(why) => AdminError::Unreachable(why),
            Status::Connecting | Status::Up(_) => {
                AdminError::Unreachable("the connection was lost".into())
            }
        })
    }
}

fn confused() -> AdminError {
    let reason = RefusalReason::Malformed;
    AdminError::Refused(
        Refused { reason, text: "the answer does not fit the question".into() }.text,
    )
}

/// Whether a submission fits a datagram; a longer one needs TCP.
pub fn fits_datagram(work: &Work) -> bool {
    let submit = Submit { key: [0; 16], work: work.clone(), priority: 100 };
    let request = proto::Request {
        number: u64::MAX,
        session: 0,
        notices_seen: 0,
        cookie: vec![0; proto::MAX_COOKIE],
        call: Call::Submit(submit),
    };
    request.encode(0).len() <= MAX_DATAGRAM
}
