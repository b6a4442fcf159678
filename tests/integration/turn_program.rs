//! The program itself with its relay, for what a relay inside the test's own process does not show.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use crate::settings::{Directory, turnstone};
use crate::turn_client::{Client, REALM};

/// Where it listens and relays, for most tests.
pub(crate) const ON_IPV4: [&str; 4] =
    ["--turn-listen", "127.0.0.1:0", "--external-ip", "127.0.0.1"];

/// The program itself, on ports that the system picks; killed when dropped.
pub(crate) struct Program {
    process: Child,
    pub(crate) turn: SocketAddr,
    _directory: Directory,
}

impl Program {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let directory = Directory::new();
        let mut process = turnstone(&["--turn-realm", REALM, "--turn-user", "kim:pw"])
            .args([
                "--https-listen",
                "127.0.0.1:0",
                "--http-listen",
                "127.0.0.1:0",
            ])
            .args(["--admin-listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.0.join("data"))
            .args(flags)
            .current_dir(&directory.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let turn = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("turn="))
            .unwrap_or_else(|| panic!("it did not start: {line}"));
        Self {
            process,
            turn: turn.parse().unwrap(),
            _directory: directory,
        }
    }

    /// A client over UDP that is called Kim.
    pub(crate) fn client(&self) -> Client {
        Client::udp(SocketAddr::new(self.turn.ip(), 0), self.turn)
    }

    /// How many of its threads relay.
    pub(crate) fn workers(&self) -> usize {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        threads
            .filter(|thread| {
                let name = thread.as_ref().unwrap().path().join("comm");
                std::fs::read_to_string(name).unwrap().starts_with("relay-")
            })
            .count()
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
