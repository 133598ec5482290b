//! Writes the server's output from a thread of its own: a reader may stop reading, as a pager or a
//! terminal after Ctrl-S does, and must not stop the server.
//!
//! Lines wait in a bounded queue. When it is full the oldest line of the log is dropped, never a
//! result, and the reader is told later how many lines are missing.

use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines of the log that wait to be written: more than a screen, less than a megabyte. Results come on
/// top; a job has at most a thousand.
const MOST_LINES: usize = 1000;

/// At the end, a reader that takes nothing for this long is given up.
const STALLED: Duration = Duration::from_secs(2);

/// At the end, a slow reader is given up after this long.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Writes to a terminal, a file or a pipe, and may take for ever.
pub(super) trait Sink: Send + 'static {
    /// Writes a line.
    fn line(&mut self, line: &str);
    /// Renews the status line.
    fn status(&mut self, status: String);
    /// Ends the status line.
    fn end(&mut self);
}

/// Standard output, and a status line on standard error.
impl Sink for ProgressBar {
    fn line(&mut self, line: &str) {
        self.suspend(|| say!("{line}"));
    }

    fn status(&mut self, status: String) {
        self.set_message(status);
        self.tick();
    }

    fn end(&mut self) {
        self.finish_and_clear();
    }
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// Lines dropped since the last one was written.
    dropped: u64,
    status: Option<String>,
    /// Pieces written so far.
    written: u64,
    closed: bool,
    ended: bool,
    /// True once the reader was given up.
    given_up: bool,
}

/// A line, and true where it must not be dropped.
struct Line {
    text: String,
    kept: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    more: Condvar,
    /// Wakes whoever waits for the writer.
    less: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the [module](self). Clones write to the same place.
#[derive(Clone)]
pub(super) struct Output(Arc<Shared>);

impl Output {
    /// Starts the thread that writes to `sink`.
    pub(super) fn new(sink: impl Sink) -> Self {
        let output = Self(Arc::default());
        let shared = output.0.clone();
        // Never joined: it may be stuck in a write for ever.
        std::thread::spawn(move || write(&shared, sink));
        output
    }

    /// Prints a line of the log, unless the reader is too slow. Never waits.
    pub(super) fn say(&self, text: String) {
        let mut queue = self.0.queue();
        if queue.lines.len() >= MOST_LINES {
            let oldest = queue.lines.iter().position(|line| !line.kept);
            oldest.map(|place| queue.lines.remove(place));
            queue.dropped += 1;
            if oldest.is_none() {
                return;
            }
        }
        queue.lines.push_back(Line { text, kept: false });
        self.0.more.notify_one();
    }

    /// Prints a line of a result. Never dropped, never waits.
    pub(super) fn keep(&self, text: String) {
        self.0.queue().lines.push_back(Line { text, kept: true });
        self.0.more.notify_one();
    }

    /// Renews the status line. Skips one that was not written yet.
    pub(super) fn status(&self, status: String) {
        self.0.queue().status = Some(status);
        self.0.more.notify_one();
    }

    /// Waits until everything is written, unless nobody reads.
    pub(super) fn end(&self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        self.0.more.notify_one();
        drop(self.wait(queue, Instant::now() + LONGEST_END, |queue| queue.ended));
    }

    /// Waits for something while the reader reads, and until `latest` at most.
    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        latest: Instant,
        done: impl Fn(&Queue) -> bool,
    ) -> MutexGuard<'a, Queue> {
        while !done(&queue) && !queue.given_up {
            let written = queue.written;
            let waited = self.0.less.wait_timeout_while(queue, STALLED, |queue| {
                queue.written == written && !done(queue)
            });
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            let stalled = queue.written == written && !done(&queue);
            queue.given_up = stalled || Instant::now() >= latest;
        }
        queue
    }
}

/// The thread: writes what is there, one piece after the other.
fn write(shared: &Shared, mut sink: impl Sink) {
    loop {
        let mut queue = shared.queue();
        while queue.lines.is_empty() && queue.status.is_none() && !queue.closed {
            queue = shared.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (line, status) = (queue.lines.pop_front(), queue.status.take());
        let dropped = std::mem::take(&mut queue.dropped);
        let over = line.is_none() && status.is_none();
        drop(queue);
        if dropped > 0 {
            sink.line(&format!("({dropped} lines are missing here: nobody read them)"));
        }
        if let Some(line) = line {
            sink.line(&line.text);
        }
        if let Some(status) = status {
            sink.status(status);
        }
        if over {
            sink.end();
        }
        let mut queue = shared.queue();
        queue.written += 1;
        queue.ended = over;
        shared.less.notify_all();
        if over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

    /// Writes to a channel, for each piece that a test lets it write.
    struct Gate {
        open: Receiver<()>,
        wrote: Sender<String>,
    }

    impl Sink for Gate {
        fn line(&mut self, line: &str) {
            // A test that has ended lets everything pass.
            let _ = self.open.recv();
            let _ = self.wrote.send(line.to_owned());
        }

        fn status(&mut self, _: String) {}

        fn end(&mut self) {}
    }

    fn gate() -> (Output, SyncSender<()>, Receiver<String>) {
        let (opener, open) = sync_channel(10_000);
        let (wrote, written) = channel();
        (Output::new(Gate { open, wrote }), opener, written)
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        let (output, open, written) = gate();
        for n in 0..MOST_LINES + 50 {
            output.say(format!("line {n}"));
        }
        (0..MOST_LINES + 60).for_each(|_| open.send(()).unwrap());
        output.end();
        let lines: Vec<String> = written.try_iter().collect();
        let note = lines.iter().position(|line| line.contains("missing")).unwrap();
        // The thread had one line in hand, or none yet.
        let lost: usize = lines[note][1..].split(' ').next().unwrap().parse().unwrap();
        assert!((49..=50).contains(&lost), "{}", lines[note]);
        assert_eq!(lines.len(), MOST_LINES + 50 - lost + 1);
        assert_eq!(lines.last().unwrap(), &format!("line {}", MOST_LINES + 49));
    }

    #[test]
    fn results_are_never_dropped() {
        let (output, open, written) = gate();
        for n in 0..2 * MOST_LINES {
            output.keep(format!("seed {n}"));
            output.say(format!("line {n}"));
        }
        (0..5 * MOST_LINES).for_each(|_| open.send(()).unwrap());
        output.end();
        let lines: Vec<String> = written.try_iter().collect();
        let results: Vec<&String> = lines.iter().filter(|line| line.starts_with("seed")).collect();
        assert_eq!(results.len(), 2 * MOST_LINES);
        assert_eq!(results.last().unwrap().as_str(), format!("seed {}", 2 * MOST_LINES - 1));
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_does_not_read() {
        let (output, open, _written) = gate();
        for n in 0..3 * MOST_LINES {
            output.say(n.to_string());
        }
        output.status("still here".into());
        output.end();
        assert!(output.0.queue().given_up);
        drop(open);
    }
}
