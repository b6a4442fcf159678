//! The commands a person types.

mod help;
mod links;
mod logging;
mod notify;
mod serve;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::{self, Process};

pub use serve::serve;

/// The exit status when what was typed cannot be done, before anything was started.
const MISTAKEN: u8 = 2;

/// What to do, with the arguments that are settings.
#[derive(Debug)]
pub enum Command {
    /// Run the server until told to stop.
    Serve(Process),
    /// Read all settings and say what holds.
    CheckConfig(Process),
    /// Say how to use the program.
    Help,
    /// Say which version it is.
    Version,
}

/// A command that does not exist.
#[derive(Debug)]
pub struct UnknownCommand(String);

impl Command {
    /// Reads the command off the front of the arguments; without one, the server is meant.
    ///
    /// # Errors
    /// When the first argument is neither a command nor a flag.
    pub fn typed(arguments: impl Iterator<Item = OsString>) -> Result<Self, UnknownCommand> {
        let mut arguments: Vec<OsString> = arguments.collect();
        // Whoever asks for help gets it, whatever else stands there.
        if arguments
            .iter()
            .any(|argument| argument == "--help" || argument == "-h")
        {
            return Ok(Self::Help);
        }
        if arguments
            .iter()
            .any(|argument| argument == "--version" || argument == "-V")
        {
            return Ok(Self::Version);
        }
        let command = match arguments.first() {
            Some(first) if !first.as_encoded_bytes().starts_with(b"-") => {
                arguments.remove(0).to_string_lossy().into_owned()
            }
            _ => "serve".to_owned(),
        };
        match command.as_str() {
            "serve" => Ok(Self::Serve(Process { arguments })),
            "check-config" => Ok(Self::CheckConfig(Process { arguments })),
            "help" => Ok(Self::Help),
            "version" => Ok(Self::Version),
            _ => Err(UnknownCommand(command)),
        }
    }
}

/// Prints every setting with what holds and who said so, or all mistakes.
pub fn check_config(settings: &Process) -> ExitCode {
    match config::load_with_origins(settings) {
        Ok(loaded) => {
            say(&format!(
                "The settings are in order.\n{}",
                config::effective(&loaded)
            ));
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// Prints how to use the program.
pub fn help() -> ExitCode {
    say(&help::page());
    ExitCode::SUCCESS
}

/// Prints the program's name and version.
pub fn version() -> ExitCode {
    say(concat!("turnstone ", env!("CARGO_PKG_VERSION"), "\n"));
    ExitCode::SUCCESS
}

/// Prints what is wrong with what was typed.
pub fn refuse(mistakes: &impl fmt::Display) -> ExitCode {
    complain(mistakes);
    ExitCode::from(MISTAKEN)
}

/// To stdout. Nobody is left to be told when the reader has gone.
fn say(text: &str) {
    let _ = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
}

/// To stderr, a line.
fn complain(words: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{words}");
}

impl fmt::Display for UnknownCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "turnstone: there is no command {:?}. All commands: turnstone --help",
            self.0
        )
    }
}
