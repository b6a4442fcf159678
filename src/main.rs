//! Starts and stops the program.

use std::process::ExitCode;

use turnstone::cli::{self, Command};

fn main() -> ExitCode {
    match Command::typed(std::env::args_os().skip(1)) {
        Ok(Command::Serve(settings)) => cli::serve(&settings),
        Ok(Command::CheckConfig(settings)) => cli::check_config(&settings),
        Ok(Command::BackUp(file, settings)) => cli::back_up(&file, &settings),
        Ok(Command::Restore(file, settings)) => cli::restore(&file, &settings),
        Ok(Command::Key(command, settings)) => cli::key(&command, &settings),
        Ok(Command::Token(command, settings)) => cli::token(&command, &settings),
        Ok(Command::Help) => cli::help(),
        Ok(Command::Version) => cli::version(),
        Err(bad) => cli::refuse(&bad),
    }
}
