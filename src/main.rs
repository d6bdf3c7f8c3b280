//! The program `motif`. Everything is in the library; see [`motif`].

use std::process::ExitCode;

fn main() -> ExitCode {
    motif::cli::main()
}
