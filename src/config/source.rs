//! Where settings are typed: this process's own surroundings, or a map in tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file of settings or secrets that is read, in bytes: far above any real one, and no
/// device or log named by mistake fills the memory.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Arguments, environment and files.
pub trait Source {
    /// The arguments, without the program's name and the command.
    fn arguments(&self) -> Vec<OsString>;

    /// One environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The names of all environment variables.
    fn variables(&self) -> Vec<String>;

    /// A file's content.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than any file of settings.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether `path` is a file, or a link to one.
    fn is_file(&self, path: &Path) -> bool;

    /// Opens a directory, and closes it again.
    ///
    /// # Errors
    /// When it is not there, is no directory, or may not be looked into.
    fn look_into(&self, path: &Path) -> io::Result<()>;
}

/// The real thing: given arguments, this process's environment, this machine's files.
#[derive(Debug)]
pub struct Process {
    /// The arguments, without the program's name and the command.
    pub arguments: Vec<OsString>,
}

impl Source for Process {
    fn arguments(&self) -> Vec<OsString> {
        self.arguments.clone()
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn variables(&self) -> Vec<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?
            .take(LONGEST_FILE + 1)
            .read_to_end(&mut content)?;
        if content.len() as u64 > LONGEST_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is longer than 1 MiB",
            ));
        }
        Ok(content)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn look_into(&self, path: &Path) -> io::Result<()> {
        std::fs::read_dir(path).map(drop)
    }
}

/// Surroundings made up: for tests, and for running a server inside another program.
#[derive(Debug, Clone, Default)]
pub struct Map {
    arguments: Vec<OsString>,
    variables: BTreeMap<String, OsString>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Map {
    /// Surroundings in which only these arguments are given.
    pub fn arguments<I: Into<OsString>>(arguments: impl IntoIterator<Item = I>) -> Self {
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// With other arguments.
    #[must_use]
    pub fn with_arguments<I: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// With one more file.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }
}

impl Source for Map {
    fn arguments(&self) -> Vec<OsString> {
        self.arguments.clone()
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn variables(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// A directory is there when a file is in it.
    fn look_into(&self, path: &Path) -> io::Result<()> {
        let has_a_file = self
            .files
            .keys()
            .any(|file| file != path && file.starts_with(path));
        has_a_file
            .then_some(())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
