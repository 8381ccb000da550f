//! `cargo ci`: the checks of this project.
fn main() {}
