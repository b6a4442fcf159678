//! Tells cargo to build again when a file under `assets/` is added or removed: the embedded list is part of the program.

fn main() {
    println!("cargo::rerun-if-changed=assets");
}
