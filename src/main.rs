//! The program `motif`. Everything is in the library; see [`motif`].

use std::process::ExitCode;

/// Events and runs are many and small: it hands them out in half the time that the system's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    motif::cli::main()
}
