//! Resume files: the unfinished jobs of a server that was stopped, for `seedrush-server --resume`.
//!
//! A file rather than `--start` and `--count`: many clients leave many gaps, a server may have many
//! jobs, and solutions found so far count too. It holds what is confirmed. What was only claimed or
//! leased is searched again.

use crate::coordinator::{Coordinator, JobId, Submitter};
use crate::jobs::{JobSpec, Md5Search, SumOfSquares};
use crate::net::server::Service;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use crate::seeds::Layout;
use crate::span::{Span, SpanSet};
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

/// The unfinished jobs of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    format: u32,
    jobs: Vec<SavedJob>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedJob {
    /// The number that the job had.
    job: u64,
    /// True for the job after which the server ends.
    main: bool,
    priority: u32,
    work: SavedWork,
    /// Confirmed spans, ascending: first nonce or number, and one past the last.
    confirmed: Vec<(Number, Number)>,
    /// Seeds found so far.
    seeds: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum SavedWork {
    Md5 {
        string: String,
        bits: u32,
        encoding: String,
        seed_prefix: bool,
        layout: String,
        solutions: u32,
    },
    SumOfSquares {
        first: Number,
        last: Number,
    },
}

/// A number in decimal digits: JSON readers round large ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Number(String);

impl From<u128> for Number {
    fn from(number: u128) -> Self {
        Self(number.to_string())
    }
}

impl Number {
    fn value(&self) -> anyhow::Result<u128> {
        self.0.parse().map_err(|_| anyhow!("{:?} is no whole number", self.0))
    }
}

/// A job taken up again.
pub(super) struct Resumed {
    /// Its number now, and before.
    pub(super) job: JobId,
    pub(super) before: u64,
    pub(super) spec: JobSpec,
    pub(super) confirmed: u128,
    pub(super) solutions: u32,
}

impl Saved {
    /// Collects the unfinished jobs of a server; `None` if there are none.
    pub(super) fn of(service: &Service) -> Option<Self> {
        let main = service.main_job();
        let jobs: Vec<SavedJob> = service.with(|coordinator, _| {
            let all = coordinator.jobs();
            let unfinished = all.iter().filter(|status| status.ended.is_none());
            unfinished.map(|status| SavedJob::of(coordinator, status.id, main)).flatten().collect()
        });
        (!jobs.is_empty()).then_some(Self { format: FORMAT, jobs })
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
        ensure!(!self.jobs.is_empty(), "it holds no job");
        ensure!(self.jobs.iter().filter(|job| job.main).count() <= 1, "it has two main jobs");
        for job in &self.jobs {
            let spec = job.work.spec()?;
            job.confirmed_in(spec.whole())?;
            job.check_seeds(&spec)?;
        }
        Ok(())
    }

    /// The job after which the server ends.
    pub(super) fn main_spec(&self) -> anyhow::Result<Option<JobSpec>> {
        self.jobs.iter().find(|job| job.main).map(|job| job.work.spec()).transpose()
    }

    /// Gives the jobs to a new server; `submit_main` is for the one after which it ends.
    ///
    /// # Errors
    /// The server does not take them.
    pub(super) fn restore(&self, service: &Service) -> anyhow::Result<Vec<Resumed>> {
        self.jobs.iter().map(|job| job.restore(service)).collect()
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

impl SavedJob {
    fn of(coordinator: &Coordinator, id: JobId, main: Option<JobId>) -> Option<Self> {
        let (status, coverage) = (coordinator.job(id)?, coordinator.coverage(id)?);
        Some(Self {
            job: id.0,
            main: main == Some(id),
            priority: status.priority,
            work: SavedWork::of(&status.spec),
            confirmed: coverage
                .confirmed
                .iter()
                .map(|span| (span.start().into(), span.end().into()))
                .collect(),
            seeds: coordinator.seeds(id, 0).collect(),
        })
    }

    /// The confirmed spans; all must lie in `whole`, one after the other.
    fn confirmed_in(&self, whole: Span) -> anyhow::Result<SpanSet> {
        let mut set = SpanSet::new();
        let mut last = whole.start();
        for (start, end) in &self.confirmed {
            let (start, end) = (start.value()?, end.value()?);
            let fits = last <= start && start < end && end <= whole.end();
            ensure!(fits, "job {}: the span {start}..{end} is out of place", self.job);
            set.insert(Span::new(start, end));
            last = end;
        }
        Ok(set)
    }

    fn check_seeds(&self, spec: &JobSpec) -> anyhow::Result<()> {
        let solves = |seed: &String| match spec {
            JobSpec::Md5Search(search) => search.puzzle().is_solved_by(seed),
            JobSpec::SumOfSquares(_) => false,
        };
        match self.seeds.iter().find(|seed| !solves(seed)) {
            Some(seed) => Err(anyhow!("job {}: {seed:?} is no solution", self.job)),
            None => Ok(()),
        }
    }

    fn restore(&self, service: &Service) -> anyhow::Result<Resumed> {
        let spec = self.work.spec()?;
        let confirmed = self.confirmed_in(spec.whole())?;
        let job = if self.main {
            service.submit_main(spec.clone()).map_err(|text| anyhow!(text))?
        } else {
            // Whoever submitted it may have gone; this machine may cancel every job.
            let (key, submitter) = (u128::from(self.job), Submitter::Here);
            service.with(|coordinator, now| {
                coordinator.submit_as(now, submitter, key, spec.clone(), self.priority)
            })?
        };
        let solutions = service.with(|coordinator, now: Duration| {
            coordinator.resume(now, job, confirmed.iter(), &self.seeds)
        });
        Ok(Resumed { job, before: self.job, spec, confirmed: confirmed.len(), solutions })
    }
}

impl SavedWork {
    fn of(spec: &JobSpec) -> Self {
        match spec {
            JobSpec::Md5Search(search) => Self::Md5 {
                string: search.puzzle().string().to_owned(),
                bits: search.puzzle().difficulty().bits(),
                encoding: search.puzzle().encoding().to_string(),
                seed_prefix: search.puzzle().seed_prefix(),
                layout: search.space().layout().to_string(),
                solutions: search.wanted(),
            },
            JobSpec::SumOfSquares(sum) => {
                Self::SumOfSquares { first: sum.first().into(), last: sum.last().into() }
            }
        }
    }

    fn spec(&self) -> anyhow::Result<JobSpec> {
        Ok(match self {
            Self::Md5 { string, bits, encoding, seed_prefix, layout, solutions } => {
                let encoding: Encoding = encoding.parse()?;
                let puzzle = Puzzle::new(string, Difficulty::from_bits(*bits)?, encoding)?;
                let puzzle = if *seed_prefix { puzzle.with_seed_prefix()? } else { puzzle };
                let layout: Layout = layout.parse()?;
                JobSpec::Md5Search(Md5Search::new(&puzzle, layout, *solutions)?)
            }
            Self::SumOfSquares { first, last } => {
                JobSpec::SumOfSquares(SumOfSquares::new(first.value()?, last.value()?)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(work: SavedWork, confirmed: &[(u128, u128)], seeds: &[&str]) -> SavedJob {
        SavedJob {
            job: 7,
            main: false,
            priority: 3,
            work,
            confirmed: confirmed.iter().map(|&(start, end)| (start.into(), end.into())).collect(),
            seeds: seeds.iter().map(ToString::to_string).collect(),
        }
    }

    fn search() -> SavedWork {
        SavedWork::Md5 {
            string: "A7C02215FC".into(),
            bits: 16,
            encoding: "text".into(),
            seed_prefix: false,
            layout: "counting".into(),
            solutions: 3,
        }
    }

    fn sum() -> SavedWork {
        SavedWork::SumOfSquares { first: 0.into(), last: 100.into() }
    }

    fn saved(jobs: Vec<SavedJob>) -> Saved {
        Saved { format: FORMAT, jobs }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_never_overwrites_another() {
        let directory = tempfile::tempdir().unwrap();
        let saved = saved(vec![job(search(), &[(0, 10), (20, 30)], &["12d1a"])]);
        let first = saved.write_new(directory.path(), 1800).unwrap();
        let second = saved.write_new(directory.path(), 1800).unwrap();
        assert!(first.ends_with("seedrush-1800.resume"), "{first:?}");
        assert!(second.ends_with("seedrush-1800-2.resume"), "{second:?}");
        assert_eq!(Saved::read(&first).unwrap(), saved);
        let other = super::tests::saved(vec![job(sum(), &[], &[])]);
        assert_eq!(other.write(Some(&first), 1800).unwrap(), first);
        assert_eq!(Saved::read(&first).unwrap(), other);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn damaged_files_are_refused() {
        let reason = |saved: Saved| format!("{:#}", saved.check().unwrap_err());
        assert!(reason(saved(vec![])).contains("no job"));
        assert!(reason(Saved { format: 2, ..saved(vec![]) }).contains("format 2"));
        for spans in [&[(5, 5)][..], &[(5, 3)], &[(0, 10), (9, 12)], &[(0, 1 << 127)]] {
            let job = job(sum(), spans, &[]);
            assert!(reason(saved(vec![job])).contains("out of place"), "{spans:?}");
        }
        assert!(reason(saved(vec![job(search(), &[], &["12d1b"])])).contains("no solution"));
        assert!(reason(saved(vec![job(sum(), &[], &["12d1a"])])).contains("no solution"));
        let both = SavedJob { main: true, ..job(search(), &[], &[]) };
        assert!(reason(saved(vec![both.clone(), both])).contains("two main jobs"));
        let reversed = SavedWork::SumOfSquares { first: 5.into(), last: 4.into() };
        assert!(reason(saved(vec![job(reversed, &[], &[])])).contains("5 to 4"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for text in ["", "{}", "[1]", r#"{"format":1,"jobs":[],"more":1}"#] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Saved::read(&path).unwrap_err());
            assert!(error.contains("no resume file"), "{text}: {error}");
        }
    }

    #[test]
    fn restored_jobs_have_their_coverage_solutions_and_sums() {
        let jobs = vec![
            job(search(), &[(0, 10), (20, 30)], &["12d1a"]),
            job(sum(), &[(0, 50), (60, 101)], &[]),
        ];
        let service = crate::net::server::Server::new(Default::default(), None, None).service();
        let saved = saved(jobs);
        let restored = saved.restore(&service).unwrap();
        let confirmed: Vec<u128> = restored.iter().map(|job| job.confirmed).collect();
        assert_eq!(confirmed, [20, 91]);
        assert_eq!((restored[0].solutions, restored[0].before), (1, 7));
        let again = Saved::of(&service).unwrap();
        for (job, before) in again.jobs.iter().zip(&saved.jobs) {
            assert_eq!((&job.confirmed, &job.seeds), (&before.confirmed, &before.seeds));
            assert_eq!((&job.work, job.priority), (&before.work, 3));
        }
        let sum = service.with(|coordinator, _| coordinator.result(restored[1].job)).unwrap();
        let expected: u128 = (0..50).chain(60..101).map(|n: u128| n * n).sum();
        let crate::jobs::JobResult::SumOfSquares(sum) = sum else { panic!("{sum:?}") };
        assert_eq!(sum.to_string(), expected.to_string());
    }
}
