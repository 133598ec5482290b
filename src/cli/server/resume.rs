//! Resume files: the jobs of a server that was stopped, for `seedrush-server --resume`.
//!
//! A file rather than `--start` and `--count`: many clients leave many gaps, a server may have many
//! jobs, and solutions and results count too. It is a snapshot of the coordinator as [`Fact`]s, each
//! on a line of its own. What was only claimed or leased is searched again.

use crate::coordinator::{Config, Coordinator, Fact, JobStatus, Submitter};
use crate::jobs::JobSpec;
use crate::net::server::Service;
use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Changes whenever older programs would misread the file.
const FORMAT: u32 = 1;

/// Files of one port that may lie in one directory.
const MOST_FILES: u32 = 1000;

/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 28;

/// First line of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    seedrush_resume_format: u32,
    /// Lines that follow: a file that was cut must not pass for a whole one.
    facts: usize,
}

/// The state of a server that has unfinished jobs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    facts: Vec<Fact>,
}

impl Saved {
    /// Takes a snapshot of a server; `None` if it has no unfinished job.
    pub(super) fn of(service: &Service) -> Option<Self> {
        service.read(|coordinator| {
            (coordinator.totals().active_jobs > 0).then(|| Self::of_coordinator(coordinator))
        })
    }

    /// Takes a snapshot of a server, whether or not it has unfinished jobs.
    pub(super) fn whole(service: &Service) -> Self {
        service.read(Self::of_coordinator)
    }

    fn of_coordinator(coordinator: &Coordinator) -> Self {
        // The clients of the next server come one by one again.
        let facts = coordinator.snapshot().into_iter();
        Self { facts: facts.filter(|fact| !matches!(fact, Fact::Started)).collect() }
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    /// It cannot be read, or it is no resume file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let no_resume_file = || anyhow!("{name} is no resume file of seedrush-server");
        let about = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?;
        ensure!(about.is_file() && about.len() <= MOST_BYTES, no_resume_file());
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(bytes).map_err(|_| no_resume_file())?;
        let mut lines = text.lines();
        let header = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let Header { seedrush_resume_format: format, facts: count } =
            header.ok_or_else(no_resume_file)?;
        ensure!(format == FORMAT, "{name} has format {format}, and this program reads {FORMAT}");
        let facts = lines.zip(2..).map(|(line, number)| {
            // The parser's own words name a line and a column of this line alone.
            serde_json::from_str(line).map_err(|_| anyhow!("{name} is damaged in line {number}"))
        });
        let saved = Self { facts: facts.collect::<anyhow::Result<_>>()? };
        let found = saved.facts.len();
        ensure!(found == count, "{name} is damaged: it has {found} of {count} lines of facts");
        saved.check().with_context(|| format!("{name} is damaged"))?;
        Ok(saved)
    }

    fn check(&self) -> anyhow::Result<()> {
        let restored = Coordinator::restore(Config::default(), [0; 32], self.facts.clone())?;
        ensure!(!restored.jobs().is_empty(), "it holds no job");
        Ok(())
    }

    /// Returns the job after which the server was to end.
    pub(super) fn main_spec(&self) -> Option<JobSpec> {
        self.facts.iter().rev().find_map(|fact| match fact {
            Fact::Submitted(job) if job.submitter == Submitter::Server => Some(job.spec.clone()),
            _ => None,
        })
    }

    /// Returns what a server is restored from.
    pub(super) fn into_facts(self) -> Vec<Fact> {
        self.facts
    }

    /// Writes the file: to `path`, or under a new name in the current directory, or where that cannot
    /// be written in the system's temporary one. Returns its path, and the reason why it is not `path`.
    ///
    /// # Errors
    /// No such file can be written.
    pub(super) fn write(
        &self,
        path: Option<&Path>,
        port: u16,
    ) -> anyhow::Result<(PathBuf, Option<anyhow::Error>)> {
        let failure = match path {
            Some(path) => match self.replace(path) {
                Ok(()) => return Ok((path.to_owned(), None)),
                Err(error) => Some(error),
            },
            None => None,
        };
        let new = self
            .write_new(Path::new(""), port)
            .or_else(|error| self.write_new(&std::env::temp_dir(), port).map_err(|_| error))?;
        Ok((new, failure))
    }

    /// Writes the file to `path`. One that is there stays whole if this fails.
    ///
    /// # Errors
    /// It cannot be written there.
    pub(super) fn replace(&self, path: &Path) -> anyhow::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = self.temporary(directory.unwrap_or(Path::new(".")))?;
        file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
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
        self.write_lines(&mut file).with_context(context)?;
        file.as_file().sync_all().with_context(context)?;
        Ok(file)
    }

    fn write_lines(&self, file: &mut NamedTempFile) -> anyhow::Result<()> {
        let mut out = BufWriter::new(file);
        serde_json::to_writer(
            &mut out,
            &Header { seedrush_resume_format: FORMAT, facts: self.facts.len() },
        )?;
        for fact in &self.facts {
            out.write_all(b"\n")?;
            serde_json::to_writer(&mut out, fact)?;
        }
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
}

/// Returns the unfinished jobs of a server that was restored.
pub(super) fn unfinished(service: &Service) -> Vec<JobStatus> {
    let mut jobs = service.read(Coordinator::jobs);
    jobs.retain(|job| job.ended.is_none());
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobSpec, SumOfSquares};
    use crate::net::listener::Server;

    fn running() -> Server {
        let server = Server::new(Config::default(), None, None);
        let sum = JobSpec::SumOfSquares(SumOfSquares::new(0, 100).unwrap());
        server.with_job(sum).unwrap()
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_never_overwrites_another() {
        let directory = tempfile::tempdir().unwrap();
        let saved = Saved::of(&running().service()).unwrap();
        let first = saved.write_new(directory.path(), 1800).unwrap();
        let second = saved.write_new(directory.path(), 1800).unwrap();
        assert!(first.ends_with("seedrush-1800.resume"), "{first:?}");
        assert!(second.ends_with("seedrush-1800-2.resume"), "{second:?}");
        let (written, failure) = saved.write(Some(&first), 1800).unwrap();
        assert!(written == first && failure.is_none(), "{failure:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        let read = Saved::read(&first).unwrap();
        assert_eq!(format!("{:?}", read.facts), format!("{:?}", saved.facts));
        assert!(matches!(read.main_spec(), Some(JobSpec::SumOfSquares(_))));
        let server = Server::restored(Config::default(), read.into_facts(), None, None).unwrap();
        let service = server.service();
        let [job] = &unfinished(&service)[..] else { panic!("one job") };
        assert_eq!((Some(job.id), job.whole), (service.main_job(), 101));
    }

    #[test]
    fn a_server_without_unfinished_jobs_saves_nothing() {
        assert!(Saved::of(&Server::new(Config::default(), None, None).service()).is_none());
    }

    #[test]
    fn damaged_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let saved = Saved::of(&running().service()).unwrap();
        let path = saved.write_new(directory.path(), 1).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let count = lines.len() - 1;
        let recounted = |wrong: usize, text: &str| {
            text.replacen(&format!("facts\":{count}"), &format!("facts\":{wrong}"), 1)
        };
        let twice = format!("{good}{}\n", lines[1]);
        for (text, reason) in [
            (String::new(), "is no resume file"),
            ("{}".into(), "is no resume file"),
            (good.replacen("format\":1", "format\":2", 1), "has format 2"),
            (good.replacen("\"last\":100", "\"last\":-1", 1), "damaged in line 2"),
            (format!("{good}{{\"solved\":1}}\n"), "damaged in line"),
            (twice.clone(), "lines of facts"),
            (recounted(count + 1, &twice), "submitted twice"),
            (lines[..count].join("\n"), "lines of facts"),
            (recounted(0, lines[0]), "holds no job"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = format!("{:#}", Saved::read(&path).unwrap_err());
            assert!(error.contains(reason), "{text}: {error}");
        }
        let error = Saved::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("is no resume file"), "a directory: {error}");
        std::fs::write(&path, [0xff; 10]).unwrap();
        assert!(Saved::read(&path).unwrap_err().to_string().contains("is no resume file"));
    }
}
