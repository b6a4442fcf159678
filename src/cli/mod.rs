//! The commands a person types.

mod backup;
mod data;
mod help;
mod key;
mod links;
mod logging;
mod notify;
mod serve;
mod token;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Process};

pub use backup::{back_up, restore};
pub use key::{KeyCommand, key};
pub use serve::serve;
pub use token::{TokenCommand, token};

/// The exit status when what was typed cannot be done, before anything was started.
const MISTAKEN: u8 = 2;

/// What to do, with the arguments that are settings.
#[derive(Debug)]
pub enum Command {
    /// Run the server until told to stop.
    Serve(Process),
    /// Read all settings and say what holds.
    CheckConfig(Process),
    /// Write everything that is kept into a file.
    BackUp(PathBuf, Process),
    /// Replace everything that is kept by what a file holds.
    Restore(PathBuf, Process),
    /// Make, list or revoke API keys.
    Key(KeyCommand, Process),
    /// Print a token that lets its bearer into a room.
    Token(TokenCommand, Process),
    /// Say how to use the program.
    Help,
    /// Say which version it is.
    Version,
}

/// A command that cannot be understood.
#[derive(Debug)]
pub enum BadCommand {
    /// There is none of that name.
    Unknown(String),
    /// What belongs to it is missing, or wrong, in these words.
    Misused {
        /// The command.
        command: String,
        /// What is wrong.
        words: String,
    },
}

impl Command {
    /// Reads the command off the front of the arguments; without one, the server is meant.
    ///
    /// # Errors
    /// When the first argument is neither a command nor a flag, or what belongs to it is wrong.
    pub fn typed(arguments: impl Iterator<Item = OsString>) -> Result<Self, BadCommand> {
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
            "backup" | "restore" => {
                let [file] = words_before_flags(&mut arguments)
                    .try_into()
                    .map_err(|_| misused(&command, "it takes the name of one file".to_owned()))?;
                let (file, settings) = (PathBuf::from(file), Process { arguments });
                Ok(match command.as_str() {
                    "backup" => Self::BackUp(file, settings),
                    _ => Self::Restore(file, settings),
                })
            }
            "key" => {
                let words: Vec<String> = words_before_flags(&mut arguments)
                    .into_iter()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect();
                let key = KeyCommand::typed(&words).map_err(|words| misused(&command, words))?;
                Ok(Self::Key(key, Process { arguments }))
            }
            "token" => {
                let words: Vec<String> = words_before_flags(&mut arguments)
                    .into_iter()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect();
                let token = TokenCommand::typed(&words, &mut arguments)
                    .map_err(|words| misused(&command, words))?;
                Ok(Self::Token(token, Process { arguments }))
            }
            "help" => Ok(Self::Help),
            "version" => Ok(Self::Version),
            _ => Err(BadCommand::Unknown(command)),
        }
    }
}

/// Takes what stands before the first flag.
fn words_before_flags(arguments: &mut Vec<OsString>) -> Vec<OsString> {
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"--");
    let flags = arguments
        .iter()
        .position(is_flag)
        .unwrap_or(arguments.len());
    arguments.drain(..flags).collect()
}

fn misused(command: &str, words: String) -> BadCommand {
    BadCommand::Misused {
        command: command.to_owned(),
        words,
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

/// One sentence on why a command did not do what was asked.
fn fail(words: &str) -> ExitCode {
    complain(&format!("turnstone: {words}"));
    ExitCode::FAILURE
}

/// To stdout. Nobody is left to be told when the reader has gone.
fn say(text: &str) {
    let _ = hand_over(text);
}

/// To stdout, where it must not be lost.
fn hand_over(text: &str) -> io::Result<()> {
    io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
}

/// To stderr, a line.
fn complain(words: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{words}");
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(command) => {
                write!(f, "turnstone: there is no command {command:?}.")?;
            }
            Self::Misused { command, words } => write!(f, "turnstone {command}: {words}.")?,
        }
        f.write_str(" All commands: turnstone --help")
    }
}
