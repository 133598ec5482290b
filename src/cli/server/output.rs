//! What the server prints, written by a thread of its own: who reads it may stop reading, as a pager
//! or a terminal under Ctrl-S does, and must not stop the server with it.
//!
//! Lines wait in a queue with an end. Where it is full the oldest is dropped, and when writing goes on
//! the reader is told how many are missing.

use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that wait to be written: more than a screen, less than a megabyte.
const MOST_LINES: usize = 1000;

/// A reader that takes nothing for this long at the end is not waited for any more.
const STALLED: Duration = Duration::from_secs(2);

/// A reader that takes a little now and then is waited for until this long after the end.
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
    lines: VecDeque<String>,
    /// Lines dropped since one was written last.
    dropped: u64,
    status: Option<String>,
    /// Pieces written so far.
    written: u64,
    closed: bool,
    ended: bool,
    /// Whether the reader was waited for in vain.
    given_up: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Rung when there is something to write.
    more: Condvar,
    /// Rung when something was written.
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

    /// Prints a line, now or later or never. Never waits.
    pub(super) fn say(&self, line: String) {
        let mut queue = self.0.queue();
        if queue.lines.len() == MOST_LINES {
            queue.lines.pop_front();
            queue.dropped += 1;
        }
        queue.lines.push_back(line);
        self.0.more.notify_one();
    }

    /// Prints one of the last lines: waits for room, unless nobody reads.
    pub(super) fn say_at_last(&self, line: String) {
        let queue = self.0.queue();
        drop(
            self.wait(queue, Instant::now() + LONGEST_END, |queue| queue.lines.len() < MOST_LINES),
        );
        self.say(line);
    }

    /// Renews the status line. One that was not yet written is skipped.
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
            sink.line(&line);
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
    fn the_last_lines_wait_for_a_reader_that_reads() {
        let (output, open, written) = gate();
        let reader = std::thread::spawn(move || {
            for _ in 0..3 * MOST_LINES {
                open.send(()).unwrap();
            }
            written.iter().count()
        });
        for n in 0..3 * MOST_LINES {
            output.say_at_last(n.to_string());
        }
        output.end();
        drop(output);
        assert_eq!(reader.join().unwrap(), 3 * MOST_LINES);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_does_not_read() {
        let (output, open, _written) = gate();
        for n in 0..3 * MOST_LINES {
            output.say_at_last(n.to_string());
        }
        output.status("still here".into());
        output.end();
        assert!(output.0.queue().given_up);
        drop(open);
    }
}
