//! What an operator may set about rooms.

/// Everything an operator may set about rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many people a room holds unless it says otherwise, 1–1000.
    pub capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // A mesh sends every camera to everyone: ten is where an upstream gives out.
        Self { capacity: 10 }
    }
}
