//! Starts and stops the program.

fn main() {}
