//! Starts and stops the program.

use std::process::ExitCode;

use turnstone::cli::{self, Command};

fn main() -> ExitCode {
    match Command::typed(std::env::args_os().skip(1)) {
        Ok(Command::Serve(settings)) => cli::serve(&settings),
        Ok(Command::CheckConfig(settings)) => cli::check_config(&settings),
        Ok(Command::Help) => cli::help(),
        Ok(Command::Version) => cli::version(),
        Err(unknown) => cli::refuse(&unknown),
    }
}
