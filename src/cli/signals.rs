//! Ctrl-C, SIGTERM and SIGHUP: all of them ask a program to end, and to say how to go on.

use super::exit::Exit;
use std::io;
use std::time::{Duration, Instant};

/// A second signal that comes sooner belongs to the first one: some senders signal the process and
/// its group. Within this time the program has printed how to go on.
const SECOND_SIGNAL: Duration = Duration::from_secs(1);

/// Ends when someone asks the program to end. From a second later on, another signal ends the
/// process at once: a driver may hang.
pub async fn interrupted() {
    let mut interrupts = Interrupts::listen();
    interrupts.next().await;
    interrupts.end_process_later();
}

/// Requests to end the program, from the creation of this on.
pub struct Interrupts(Option<Signals>);

impl Interrupts {
    /// Begins to listen. Must be called within a runtime.
    pub fn listen() -> Self {
        // Where this fails signals do what the system makes of them.
        Self(Signals::new().ok())
    }

    /// Waits for the next request. Cancel safe.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Some(signals) => signals.next().await,
            None => std::future::pending().await,
        }
    }

    /// Lets a further request end the process, from a second later on.
    pub fn end_process_later(self) {
        self.end_process_after(SECOND_SIGNAL);
    }

    /// Lets the next request end the process, whenever it comes.
    pub fn end_process(self) {
        self.end_process_after(Duration::ZERO);
    }

    fn end_process_after(self, pause: Duration) {
        if let Some(signals) = self.0 {
            tokio::spawn(signals.end_process(pause));
        }
    }
}

/// Calls `stop` when someone asks the program to end, from a thread of its own: for programs without
/// a runtime. A signal that comes right after this returns counts. See [`interrupted`] for a second
/// one.
///
/// # Errors
/// The system has no thread left, or does not let the program listen to signals.
pub fn on_interrupt(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let watch = move || {
        runtime.block_on(async {
            signals.next().await;
            tokio::spawn(signals.end_process(SECOND_SIGNAL));
            stop();
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(())
}

impl Signals {
    /// Ends the process at the first signal that comes when `pause` is over.
    async fn end_process(mut self, pause: Duration) {
        let begin = Instant::now();
        loop {
            self.next().await;
            if begin.elapsed() >= pause {
                super::keys::restore_terminal();
                std::process::exit(Exit::Interrupted.code().into());
            }
        }
    }
}

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a program.
#[cfg(unix)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        let hang_up = (!hang_up_is_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hang_up.transpose()?,
        })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Returns true if the program was started with `nohup`: it is to survive its terminal. Only Linux
/// tells this without a system call that Rust counts as unsafe.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SignalKind::hangup().as_raw_value() - 1) & 1 == 1)
}

#[cfg(windows)]
use tokio::signal::windows;

/// The events that end a program: Ctrl-C, Ctrl-Break, and a console that is closed.
#[cfg(windows)]
struct Signals {
    interrupt: windows::CtrlC,
    break_key: windows::CtrlBreak,
    close: windows::CtrlClose,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            break_key: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.break_key.recv() => {}
            _ = self.close.recv() => {}
        }
    }
}
