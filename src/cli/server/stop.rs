//! Stops the server: saves its jobs, says how to go on, and how the server ended.

use super::ServerArgs;
use super::console::{Console, Format};
use super::resume::Saved;
use crate::cli::signals::Interrupts;
use crate::cli::{Exit, Failure, json, text};
use crate::net::listener::ServerEnding;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Keeps the jobs of a server that is stopped.
pub(super) struct Keeper<'a> {
    console: &'a Console,
    args: &'a ServerArgs,
    port: u16,
    /// The file that was written.
    file: Mutex<Option<PathBuf>>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(console: &'a Console, args: &'a ServerArgs, port: u16) -> Self {
        Self { console, args, port, file: Mutex::default() }
    }

    /// Waits until the server is to stop, and saves its jobs before it waits for its clients: a
    /// second signal may end the process meanwhile.
    pub(super) async fn stop(&self, quit: &Notify) {
        let mut interrupts = Interrupts::listen();
        let signalled = tokio::select! {
            () = interrupts.next() => true,
            () = quit.notified() => false,
        };
        // A server whose job has ended has nothing to save.
        if !self.console.service.snapshot().closing {
            // Tried once more at the end.
            let _ = self.save();
        }
        match signalled {
            true => interrupts.end_process_later(),
            false => interrupts.end_process(),
        }
    }

    /// Saves unfinished jobs and prints the command that goes on. Returns false if there are none.
    fn save(&self) -> Result<bool, Failure> {
        let Some(saved) = Saved::of(&self.console.service) else { return Ok(false) };
        let (file, failure) = saved.write(self.args.resume.as_deref(), self.port)?;
        if let Some(error) = failure {
            tell!("{error:#}: {} is written instead", file.display());
        }
        self.tell_command(&file.to_string_lossy());
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(true)
    }

    fn tell_command(&self, file: &str) {
        let bans = self.console.service.bans();
        if bans > 0 {
            let bans = text::plural(bans, "ban");
            tell!("{bans} will be gone: the file does not hold bans, repeat them");
        }
        let out = &self.console.out;
        let command = self.args.resume_command(file);
        match self.console.format {
            Format::Json => {
                let fields = json!({ "file": file, "command": command });
                out.keep(json::line("interrupted", &fields));
            }
            Format::Plain | Format::Stamped => {
                out.keep("stopped; to go on from there:".into());
                out.keep(command.clone());
            }
        }
        // A user whose output goes to a file wants to see it too.
        if self.console.format == Format::Stamped {
            tell!("stopped; to go on: {command}");
        }
    }

    /// Says how the server ended. The file of one that was stopped gets what was confirmed since.
    pub(super) fn conclude(&self, ending: &ServerEnding) -> Result<Exit, Failure> {
        let console = self.console;
        if matches!(ending, ServerEnding::Over(_)) {
            let main = console.service.main_job();
            let found = console.service.read(|coordinator| coordinator.job(main?));
            let found = found.is_some_and(|status| status.solutions > 0);
            console.result(false);
            return Ok(if found { Exit::Done } else { Exit::NoResult });
        }
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(file) = file {
            // The jobs may all be over by now: the file holds their results.
            if let Err(error) = Saved::whole(&console.service).replace(&file) {
                tell!("{error:#}: it lacks what was done since the server was told to stop");
            }
        } else if !self.save()? && console.format == Format::Stamped {
            tell!("stopped: no job was under way");
        }
        if console.format == Format::Json {
            console.result(true);
        }
        Ok(Exit::Interrupted)
    }
}
