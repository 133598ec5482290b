//! Keys from a Unix terminal.

use super::Key;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use std::sync::{Mutex, PoisonError};

/// The modes that the terminal had before, while ours are set.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Keys pressed on the terminal. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Keys(());

impl Keys {
    /// Begins to listen; `None` unless standard input and output are terminals. With output to a pager
    /// the keys are the pager's.
    pub fn open() -> Option<Self> {
        (isatty(stdin()) && isatty(stdout())).then_some(Self(()))
    }

    /// Returns the keys pressed since the last call, without waiting. In the background there are
    /// none: a program that reads there is stopped by the system.
    pub fn pressed(&mut self) -> Vec<Key> {
        if !in_foreground() || !set_modes() {
            return Vec::new();
        }
        let mut polled = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        let readable = poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        if !readable.is_ok_and(|number| number > 0) {
            return Vec::new();
        }
        let mut bytes = [0; 64];
        let read = rustix::io::read(stdin(), &mut bytes).unwrap_or(0);
        bytes[..read].iter().filter_map(|&byte| Key::of(byte)).collect()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Gives the terminal back as it was, if it is ours to change.
pub fn restore_terminal() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(modes) = before.filter(|_| in_foreground()) {
        // A terminal that has gone needs no modes.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
    }
}

fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// Asks the terminal for single keys, unless it gives them already: a shell resets the modes when it
/// takes the terminal back. Returns false if the terminal has gone.
fn set_modes() -> bool {
    let Ok(mut modes) = tcgetattr(stdin()) else { return false };
    let lines = LocalModes::ICANON | LocalModes::ECHO;
    if !modes.local_modes.intersects(lines) {
        return true;
    }
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(modes.clone());
    modes.local_modes.remove(lines);
    tcsetattr(stdin(), OptionalActions::Now, &modes).is_ok()
}
