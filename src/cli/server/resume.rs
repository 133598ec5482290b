//! Resume files: the state of a server that was stopped, for `seedrush-server --resume`.
//!
//! A file rather than `--start` and `--count`: many clients leave many gaps, a server may have many
//! jobs, and solutions found so far count too. It holds the coordinator's facts, so everything that
//! is confirmed. What was only claimed or leased is searched again.

use crate::coordinator::{Config, Coordinator, Fact, JobId};
use crate::jobs::JobSpec;
use crate::net::server::Service;
use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Changes whenever older programs would misread the file.
const FORMAT: u32 = 1;

/// Files of one port that may lie in one directory.
const MOST_FILES: u32 = 1000;

/// The state of a server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    format: u32,
    /// The job after which the server ends.
    pub(super) main: Option<JobId>,
    pub(super) facts: Vec<Fact>,
}

impl Saved {
    /// Takes the state of a server; `None` if no job is unfinished.
    pub(super) fn of(service: &Service) -> Option<Self> {
        let main = service.main_job();
        let (jobs, facts) = service
            .with(|coordinator, _| (coordinator.totals().active_jobs, coordinator.snapshot()));
        let facts = facts.into_iter().filter_map(for_another_server).collect();
        (jobs > 0).then_some(Self { format: FORMAT, main, facts })
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    /// It cannot be read, or it is no resume file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let saved: Self = serde_json::from_str(&text)
            .with_context(|| format!("{name} is no resume file of seedrush-server"))?;
        saved.check().with_context(|| format!("{name} is damaged"))?;
        Ok(saved)
    }

    fn check(&self) -> anyhow::Result<()> {
        let format = self.format;
        ensure!(format == FORMAT, "it has format {format}, and this program reads {FORMAT}");
        // Whatever contradicts itself shows here; nobody draws audits from this coordinator.
        Coordinator::restore(Config::default(), [0; 32], self.facts.clone())?;
        ensure!(self.main.is_none() || self.main_spec().is_some(), "its main job is missing");
        Ok(())
    }

    /// The job after which the server ends.
    pub(super) fn main_spec(&self) -> Option<JobSpec> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Submitted(submitted) if Some(submitted.job) == self.main => {
                Some(submitted.spec.clone())
            }
            _ => None,
        })
    }

    /// Writes the file: to `path`, or under a new name in the current directory, or where that cannot
    /// be written in the system's temporary one. Returns its path.
    ///
    /// # Errors
    /// No such file can be written.
    pub(super) fn write(&self, path: Option<&Path>, port: u16) -> anyhow::Result<PathBuf> {
        if let Some(path) = path {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let file = self.temporary(directory.unwrap_or(Path::new(".")))?;
            file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
            return Ok(path.to_owned());
        }
        self.write_new(Path::new(""), port)
            .or_else(|error| self.write_new(&std::env::temp_dir(), port).map_err(|_| error))
    }

    /// Writes a file whose name nothing else has: an older one may still be wanted.
    fn write_new(&self, directory: &Path, port: u16) -> anyhow::Result<PathBuf> {
        let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let mut file = self.temporary(here)?;
        for number in 1..=MOST_FILES {
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            let path = directory.join(format!("seedrush-{port}{number}.resume"));
            match file.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(error) if path.exists() => file = error.file,
                Err(error) => return Err(error.error).context("cannot write a resume file"),
            }
        }
        Err(anyhow!("there are {MOST_FILES} resume files of port {port} already: delete some"))
    }

    fn temporary(&self, directory: &Path) -> anyhow::Result<NamedTempFile> {
        let context = || format!("cannot write a resume file in {}", directory.display());
        let mut file = NamedTempFile::new_in(directory).with_context(context)?;
        serde_json::to_writer_pretty(&mut file, self).with_context(context)?;
        file.write_all(b"\n").with_context(context)?;
        file.as_file().sync_all().with_context(context)?;
        Ok(file)
    }
}

/// Changes a fact so that it holds for a server whose clock and clients begin anew.
fn for_another_server(mut fact: Fact) -> Option<Fact> {
    match &mut fact {
        // Its clients come one by one again.
        Fact::Started => return None,
        Fact::Submitted(submitted) => submitted.at = Duration::ZERO,
        Fact::Ended { at, .. } => *at = Duration::ZERO,
        Fact::Accused(accused) => accused.at = Duration::ZERO,
        _ => {}
    }
    Some(fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobResult, SumOfSquares};
    use crate::net::server::Server;
    use crate::span::Span;

    const JOB: JobId = JobId(7);

    fn submitted() -> Fact {
        let sum = JobSpec::SumOfSquares(SumOfSquares::new(0, 100).unwrap());
        let mut coordinator = Coordinator::new(Config::default(), [0; 32]);
        coordinator.submit(Duration::from_secs(9), 5, sum, 3).unwrap();
        let Fact::Submitted(submitted) = coordinator.snapshot().remove(0) else { panic!() };
        Fact::Submitted(crate::coordinator::Submitted { job: JOB, ..submitted })
    }

    fn confirmed(start: u128, end: u128) -> Fact {
        let span = Span::new(start, end);
        let outcome = crate::jobs::Outcome::SumOfSquares(SumOfSquares::add_up(span));
        Fact::Confirmed { job: JOB, span, outcome: Some(outcome) }
    }

    fn saved(main: Option<JobId>, facts: Vec<Fact>) -> Saved {
        Saved { format: FORMAT, main, facts }
    }

    fn server(saved: Saved) -> Server {
        Server::restored(Config::default(), None, None, saved.facts, saved.main).unwrap()
    }

    #[test]
    fn a_server_goes_on_where_another_was_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let facts = vec![submitted(), confirmed(0, 50), confirmed(60, 101)];
        let before = server(saved(Some(JOB), facts));
        let path = directory.path().join("file");
        Saved::of(&before.service()).unwrap().write(Some(&path), 1800).unwrap();
        let read = Saved::read(&path).unwrap();
        assert!(matches!(read.main_spec(), Some(JobSpec::SumOfSquares(_))));
        let after = server(read).service();
        assert_eq!(after.main_job(), Some(JOB));
        let (status, result) = after.with(|coordinator, _| {
            (coordinator.job(JOB).unwrap(), coordinator.result(JOB).unwrap())
        });
        assert_eq!((status.confirmed, status.free, status.priority), (91, 10, 3));
        assert_eq!(status.submitted, Duration::ZERO, "the clock begins anew");
        let expected: u128 = (0..50).chain(60..101).map(|n: u128| n * n).sum();
        let JobResult::SumOfSquares(sum) = result else { panic!("{result:?}") };
        assert_eq!(sum.to_string(), expected.to_string());
    }

    #[test]
    fn a_server_without_unfinished_jobs_saves_nothing() {
        let finished = server(saved(None, vec![submitted(), confirmed(0, 101)]));
        assert!(Saved::of(&finished.service()).is_none());
    }

    #[test]
    fn a_new_file_never_replaces_another() {
        let directory = tempfile::tempdir().unwrap();
        let saved = saved(None, vec![submitted()]);
        let first = saved.write_new(directory.path(), 1800).unwrap();
        let second = saved.write_new(directory.path(), 1800).unwrap();
        assert!(first.ends_with("seedrush-1800.resume"), "{first:?}");
        assert!(second.ends_with("seedrush-1800-2.resume"), "{second:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn damaged_files_are_refused() {
        let reason = |saved: Saved| format!("{:#}", saved.check().unwrap_err());
        assert!(reason(Saved { format: 2, ..saved(None, vec![]) }).contains("format 2"));
        assert!(reason(saved(Some(JOB), vec![])).contains("main job is missing"));
        assert!(reason(saved(None, vec![confirmed(0, 1)])).contains("not submitted"));
        let twice = vec![submitted(), confirmed(0, 2), confirmed(1, 3)];
        assert!(reason(saved(None, twice)).contains("cannot be confirmed"));
        let outside = vec![submitted(), confirmed(100, 102)];
        assert!(reason(saved(None, outside)).contains("cannot be confirmed"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for text in ["", "{}", "[1]", r#"{"format":1,"main":null,"facts":[],"more":1}"#] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Saved::read(&path).unwrap_err());
            assert!(error.contains("no resume file"), "{text}: {error}");
        }
    }
}
