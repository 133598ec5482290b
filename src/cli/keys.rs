//! Keys that a user presses on the terminal while a program works.
//!
//! Standard input is read only where it is a terminal and this program is in its foreground. The
//! terminal passes single keys on and does not show them; Ctrl-C and Ctrl-Z work as ever. Other
//! systems than Unix have no keys here.

#[cfg(unix)]
mod terminal;

#[cfg(unix)]
pub use terminal::{Keys, restore_terminal};

/// A request that a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `s`: how the work stands.
    Status,
    /// `p`: stop working for a while, or go on.
    Pause,
    /// `q`: end, as Ctrl-C does.
    Quit,
}

/// The line that names the keys.
pub const HINT: &str = "keys: s status, p pause or go on, q quit";

impl Key {
    #[cfg_attr(not(unix), expect(dead_code))]
    fn of(byte: u8) -> Option<Self> {
        match byte.to_ascii_lowercase() {
            b's' => Some(Self::Status),
            b'p' => Some(Self::Pause),
            b'q' => Some(Self::Quit),
            _ => None,
        }
    }
}

/// Keys, where there are none.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Keys(());

#[cfg(not(unix))]
impl Keys {
    /// Returns `None`: this system has no keys.
    pub fn open() -> Option<Self> {
        None
    }

    /// Returns the keys pressed since the last call.
    pub fn pressed(&mut self) -> Vec<Key> {
        Vec::new()
    }
}

/// Gives the terminal back; there is nothing to do.
#[cfg(not(unix))]
pub fn restore_terminal() {}
