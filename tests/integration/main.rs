//! Promises at the door, over real sockets, on ports the system picks.

mod architecture;
mod samples;
