//! Jobs and clients as lines of lists, a page at a time.

use super::hub::refused;
use crate::coordinator::{ClientStatus, Coordinator, JobEnd, JobId, JobStatus, Standing};
use crate::jobs::{JobResult, JobSpec};
use crate::proto::{
    Answer, ClientLine, JobLine, MAX_NAME, MAX_RESULT, MAX_TITLE, Reason, State, cleaned,
};

/// Lines of a page that fit a datagram at their largest, with a notice beside them.
const LINES_PER_DATAGRAM: usize = 2;

/// Lines of a page that fit a frame at their largest.
const LINES_PER_FRAME: usize = 100;

/// Lines of a page; `roomy` where it travels in a frame.
fn per_page(roomy: bool) -> usize {
    if roomy { LINES_PER_FRAME } else { LINES_PER_DATAGRAM }
}

pub(super) fn jobs(coordinator: &Coordinator, offset: u32, roomy: bool) -> Answer {
    let all = coordinator.jobs();
    let (page, next) = page(&all, offset, per_page(roomy));
    Answer::Jobs(page.iter().map(|status| job_line(coordinator, status)).collect(), next)
}

pub(super) fn job(coordinator: &Coordinator, job: JobId) -> Answer {
    match coordinator.job(job) {
        Some(status) => Answer::Jobs(vec![job_line(coordinator, &status)], 0),
        None => refused(Reason::Unknown, &format!("there is no job {job}")),
    }
}

pub(super) fn clients(coordinator: &Coordinator, offset: u32, roomy: bool) -> Answer {
    let all = coordinator.clients();
    let (page, next) = page(&all, offset, per_page(roomy));
    Answer::Clients(page.iter().map(client_line).collect(), next)
}

/// The lines from `offset` on, and where the next page begins (0: nowhere).
fn page<T>(all: &[T], offset: u32, most: usize) -> (&[T], u32) {
    let from = (offset as usize).min(all.len());
    let to = (from + most).min(all.len());
    (&all[from..to], if to < all.len() { to as u32 } else { 0 })
}

fn job_line(coordinator: &Coordinator, status: &JobStatus) -> JobLine {
    let state = match status.ended {
        Some((_, JobEnd::Finished { .. })) => State::Finished,
        Some((_, JobEnd::Exhausted)) => State::Exhausted,
        Some((_, JobEnd::Cancelled)) => State::Cancelled,
        None if status.leases == 0 && status.done == 0 => State::Waiting,
        None => State::Running,
    };
    let winner = match status.ended {
        Some((_, JobEnd::Finished { winner: Some(winner) })) => winner.0,
        _ => 0,
    };
    let whole = match &status.spec {
        JobSpec::Md5Search(search) => search.puzzle().difficulty().expected_work(),
        JobSpec::SumOfSquares(_) => status.whole as f64,
    };
    let ended = matches!(state, State::Finished);
    JobLine {
        job: status.id.0,
        title: cleaned(&status.spec.to_string(), MAX_TITLE),
        state,
        done: status.done as f64,
        whole,
        rate: 0.0,
        priority: status.priority,
        winner,
        result: if ended { result(coordinator, status.id) } else { String::new() },
    }
}

fn result(coordinator: &Coordinator, job: JobId) -> String {
    match coordinator.result(job) {
        Some(JobResult::Md5Search { solutions, .. }) => {
            let seeds: Vec<_> = solutions.iter().map(|solution| solution.seed.as_str()).collect();
            cleaned(&seeds.join(" "), MAX_RESULT)
        }
        Some(JobResult::SumOfSquares(sum)) => sum.to_string(),
        None => String::new(),
    }
}

fn client_line(status: &ClientStatus) -> ClientLine {
    let standing = match status.standing {
        Standing::Good => "good".to_owned(),
        Standing::Distrusted(reason) => format!("distrusted: {reason}"),
        Standing::Banned(reason) => format!("banned: {reason}"),
    };
    ClientLine {
        client: status.id.0,
        name: cleaned(&status.name, MAX_NAME),
        address: cleaned(&status.address, MAX_NAME),
        backend: cleaned(&status.backend, MAX_NAME),
        threads: status.threads,
        claimed_rate: status.claimed_rate as f64,
        proven_rate: status.proved_rate as f64,
        done: status.units as f64,
        false_hits: status.false_claims,
        standing: cleaned(&standing, MAX_TITLE),
        connected: status.connected,
        leases: status.leases as u32,
        finished: status.finished_leases,
    }
}
