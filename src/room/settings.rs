//! What an operator may set about rooms.

/// Everything an operator may set about rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many people a room holds unless it says otherwise, 1–1000.
    pub capacity: usize,
    /// Whether newcomers may read what was written before they came.
    pub history: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // A mesh sends every camera to everyone: ten is where an upstream gives out.
            capacity: 10,
            // Whoever comes late, or comes back, wants to know what was said.
            history: true,
        }
    }
}
