//! Answers that list jobs, clients and bans, a page at a time.

use super::bans::Bans;
use crate::coordinator::{
    ClientId, ClientStatus, Coordinator, JobEnd, JobId, JobState, JobStatus, Standing,
};
use crate::net::limits::{LINES_PER_DATAGRAM, LINES_PER_FRAME, LISTED_SEEDS};
use crate::proto::{
    Answer, ClientLine, JobLine, MAX_NAME, MAX_RESULT, MAX_TITLE, RefusalReason, State, cleaned,
    refused,
};
use std::time::Duration;

/// Returns the lines of a page; more where it travels in a frame (`roomy`).
fn per_page(roomy: bool) -> usize {
    if roomy { LINES_PER_FRAME } else { LINES_PER_DATAGRAM }
}

/// Lists jobs from number `offset` on. Pages go by number, since jobs come and go between two.
pub(super) fn jobs(coordinator: &Coordinator, offset: u32, roomy: bool) -> Answer {
    let most = per_page(roomy);
    let mut page = coordinator.jobs_from(JobId(offset.into()), most + 1);
    let next = next(most, &mut page, |status| status.id.0);
    let line = |status| job_line(coordinator, status, 0, LISTED_SEEDS);
    Answer::Jobs(page.iter().map(line).collect(), next)
}

/// Describes one job, with as many seeds from number `offset` on as fit.
pub(super) fn job(coordinator: &Coordinator, job: JobId, offset: u32) -> Answer {
    match coordinator.job(job) {
        Some(status) => {
            Answer::Jobs(vec![job_line(coordinator, &status, offset as usize, MAX_RESULT)], 0)
        }
        None => refused(RefusalReason::Unknown, &format!("there is no job {job}")),
    }
}

/// Lists clients from number `offset` on.
pub(super) fn clients(
    coordinator: &Coordinator,
    offset: u32,
    roomy: bool,
    now: Duration,
) -> Answer {
    let most = per_page(roomy);
    let mut page = coordinator.clients_from(ClientId(offset.into()), most + 1);
    let next = next(most, &mut page, |status| status.id.0);
    Answer::Clients(page.iter().map(|status| client_line(status, now)).collect(), next)
}

/// Lists bans from number `offset` on.
pub(super) fn bans(bans: &Bans, offset: u32, roomy: bool, now: Duration) -> Answer {
    let most = per_page(roomy);
    let mut page = bans.page(offset, most + 1, now);
    let next = next(most, &mut page, |&(number, _)| number.into());
    Answer::Bans(page.into_iter().map(|(_, line)| line).collect(), next)
}

/// Cuts a page to `most` lines; returns the number at which the next one begins, 0 if there is none.
fn next<T>(most: usize, page: &mut Vec<T>, number: impl Fn(&T) -> u64) -> u32 {
    let next = page.get(most).map_or(0, number);
    page.truncate(most);
    // The list ends after four billion clients.
    u32::try_from(next).unwrap_or(0)
}

/// Describes a job, with at most `most` seeds from number `offset` on.
fn job_line(coordinator: &Coordinator, status: &JobStatus, offset: usize, most: usize) -> JobLine {
    let state = match status.ended {
        Some((_, JobEnd::Finished { .. })) => State::Finished,
        Some((_, JobEnd::Exhausted)) => State::Exhausted,
        Some((_, JobEnd::Cancelled)) => State::Cancelled,
        None => match status.state {
            JobState::Waiting => State::Waiting,
            JobState::Checking => State::Checking,
            _ => State::Running,
        },
    };
    let winner = match status.ended {
        Some((_, JobEnd::Finished { winner: Some(winner) })) => winner.0,
        _ => 0,
    };
    JobLine {
        job: status.id.0,
        title: cleaned(&status.spec.title(MAX_TITLE), MAX_TITLE),
        state,
        done: status.confirmed as f64,
        whole: status.spec.expected_work(),
        priority: status.priority,
        winner,
        result: result(coordinator, status, offset, most),
        solutions: status.solutions,
        server: coordinator.instance(),
    }
}

/// Returns the result of a job: the seeds from number `offset` on, as many as fit and at most
/// `most`, or else its complete result. Only seeds that are sent are computed.
fn result(coordinator: &Coordinator, status: &JobStatus, offset: usize, most: usize) -> String {
    if !status.spec.has_solutions() {
        let complete = status.ended.is_some() && status.free == 0;
        let result = complete.then(|| coordinator.result(status.id)).flatten();
        return result.map_or_else(String::new, |result| result.to_string());
    }
    let mut text = String::new();
    for seed in coordinator.seeds(status.id, offset).take(most) {
        let blank = if text.is_empty() { "" } else { " " };
        if text.len() + blank.len() + seed.len() > MAX_RESULT {
            break;
        }
        text += blank;
        text += &seed;
    }
    text
}

fn client_line(status: &ClientStatus, now: Duration) -> ClientLine {
    ClientLine {
        client: status.id.0,
        name: cleaned(&status.name, MAX_NAME),
        address: cleaned(&status.address, MAX_NAME),
        backend: cleaned(&status.backend, MAX_NAME),
        threads: status.threads,
        claimed_rate: status.current_rate(now) as f64,
        proven_rate: status.proved_rate as f64,
        done: status.units as f64,
        false_hits: status.false_claims,
        standing: standing_text(status, now),
        connected: status.connected,
        leases: status.leases as u32,
        finished: status.finished_leases,
    }
}

/// Describes the standing of a client, for people.
pub(super) fn standing_text(status: &ClientStatus, now: Duration) -> String {
    let silent = if status.is_silent(now) { ", silent" } else { "" };
    let standing = match status.standing {
        Standing::Good if status.suspect => "good, suspect address".to_owned(),
        Standing::Good => "good".to_owned(),
        Standing::Distrusted(reason) => format!("distrusted: {reason}"),
        Standing::Banned(reason) => format!("banned: {reason}"),
    };
    cleaned(&(standing + silent), MAX_TITLE)
}
