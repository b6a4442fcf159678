//! The unit file, and how the program gets on with a service manager.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::settings::{Directory, turnstone};
use crate::turn_client::uninterrupted;

/// What `systemd-analyze security` may say at most: 2.0.
const EXPOSURE: &str = "--threshold=20";

/// The unit with the program where it was built, since systemd looks for it.
fn unit(directory: &Directory) -> PathBuf {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/turnstone.service");
    let unit = fs::read_to_string(unit).unwrap();
    let installed = "/usr/local/bin/turnstone";
    assert!(unit.contains(installed));
    directory.file(
        "turnstone.service",
        &unit.replace(installed, env!("CARGO_BIN_EXE_turnstone")),
    )
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze, of the package systemd, is needed")
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let directory = Directory::new();
    let output = analyze(&["verify", "--man=no"], &unit(&directory));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.is_empty(), "{words}");
}

#[test]
fn systemd_calls_the_unit_safe() {
    let directory = Directory::new();
    let output = analyze(
        &["security", "--offline=yes", "--no-pager", EXPOSURE],
        &unit(&directory),
    );
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains("Overall exposure level"), "{page}");
    assert!(output.status.success(), "{page}");
}

/// A running program that thinks a service manager started it; killed when dropped.
struct Service {
    process: Child,
    manager: UnixDatagram,
    directory: Directory,
}

impl Service {
    /// Starts it with a manager at `address`, called `name` in the environment.
    fn start(directory: Directory, address: &SocketAddr, name: &str) -> Self {
        let manager = UnixDatagram::bind_addr(address).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let process = turnstone(&[
            "--https-listen",
            "127.0.0.1:0",
            "--turn-listen",
            "127.0.0.1:0",
        ])
        .args([
            "--http-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .args(["--external-ip", "127.0.0.1", "--domain", "call.example.org"])
        .arg("--data-dir")
        .arg(directory.0.join("data"))
        .env("NOTIFY_SOCKET", name)
        .env("WATCHDOG_USEC", "200000")
        .current_dir(&directory.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        Self {
            process,
            manager,
            directory,
        }
    }

    fn at_a_path() -> Self {
        let directory = Directory::new();
        let path = directory.0.join("notify");
        let address = SocketAddr::from_pathname(&path).unwrap();
        let name = path.to_str().unwrap().to_owned();
        Self::start(directory, &address, &name)
    }

    /// What the manager is told next.
    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = uninterrupted(|| self.manager.recv(&mut message)).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// What the manager is told next that is no sign of life.
    fn news(&self) -> String {
        loop {
            let told = self.told();
            if told != "WATCHDOG=1" {
                return told;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The exit status, stdout and stderr; the server must end in time.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still there after 10 s");
            std::thread::sleep(Duration::from_millis(20)); // std can only ask
        };
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.process
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        (status.code(), stdout, stderr)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory.0);
    }
}

#[test]
fn the_manager_hears_of_start_life_and_end() {
    for signal in ["-TERM", "-INT"] {
        let mut service = Service::at_a_path();
        let ready = service.news();
        assert!(ready.starts_with("READY=1\n"), "{ready}");
        assert!(
            ready.contains("STATUS=Open https://call.example.org"),
            "{ready}"
        );
        for _ in 0..3 {
            assert_eq!(service.told(), "WATCHDOG=1");
        }
        service.signal(signal);
        assert!(service.news().starts_with("STOPPING=1"));
        let (status, stdout, stderr) = service.end();
        assert_eq!(status, Some(0), "{stderr}");

        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        let words: Vec<&str> = stdout.split_whitespace().collect();
        assert_eq!(words.len(), 5, "{stdout}");
        assert_eq!(words[0], "listening");
        for (word, name) in words[1..].iter().zip(["https", "http", "turn", "admin"]) {
            let port = word.strip_prefix(&format!("{name}=127.0.0.1:"));
            let port = port.unwrap_or_else(|| panic!("{word}"));
            assert_ne!(port.parse::<u16>().unwrap(), 0, "{word}");
        }
        assert!(stderr.contains("https://call.example.org"), "{stderr}");
        assert!(
            !stderr.contains('\u{1b}') && !stdout.contains('\u{1b}'),
            "no colours in a pipe"
        );
    }
}

#[test]
fn one_order_that_arrives_twice_is_one_order() {
    let mut service = Service::at_a_path();
    assert!(service.news().starts_with("READY=1\n"));
    // Held still, it finds both waiting.
    service.signal("-STOP");
    service.signal("-TERM");
    service.signal("-INT");
    service.signal("-CONT");
    let (status, _, stderr) = service.end();
    assert_eq!(status, Some(0));
    assert!(
        stderr.contains("stopping") && !stderr.contains("cut off"),
        "{stderr}"
    );
}

#[test]
fn the_manager_may_be_in_the_abstract_namespace() {
    let name = format!("turnstone-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut service = Service::start(Directory::new(), &address, &format!("@{name}"));
    assert!(service.news().starts_with("READY=1\n"));
    service.signal("-TERM");
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn a_reload_keeps_the_server_running() {
    let mut service = Service::at_a_path();
    assert!(service.news().starts_with("READY=1\n"));
    service.signal("-HUP");
    let mut log = BufReader::new(service.process.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("reloading")));
    assert_eq!(service.told(), "WATCHDOG=1");
    assert!(service.process.try_wait().unwrap().is_none());
}

/// Writes a certificate that ends so many days from now, with its key, to the usual folder.
fn write_certificate(directory: &Directory, days: i64) {
    let day = Duration::from_secs(24 * 60 * 60);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["call.example.org".to_owned()]).unwrap();
    let now = std::time::SystemTime::now();
    params.not_before = (now - 200 * day).into();
    let far = day * u32::try_from(days.unsigned_abs()).unwrap();
    params.not_after = if days < 0 { now - far } else { now + far }.into();
    let certificate = params.self_signed(&key).unwrap();
    fs::create_dir_all(directory.0.join("ssl")).unwrap();
    directory.file("ssl/cert.pem", &certificate.pem());
    let key = directory.file("ssl/privkey.pem", &key.serialize_pem());
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn an_expired_certificate_is_shown_with_a_warning_until_a_reload_finds_a_better_one() {
    let directory = Directory::new();
    write_certificate(&directory, -1);
    let path = directory.0.join("notify");
    let address = SocketAddr::from_pathname(&path).unwrap();
    let mut service = Service::start(directory, &address, path.to_str().unwrap());
    assert!(service.news().starts_with("READY=1\n"));
    assert!(!service.directory.0.join("data/self-signed.pem").exists());
    let mut log = BufReader::new(service.process.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let warning = log.find(|line| line.contains("this certificate ended on"));
    let warning = warning.unwrap();
    assert!(
        warning.contains("WARN") && warning.contains("browsers will warn"),
        "{warning}"
    );

    let certificate = service.directory.0.join("ssl/cert.pem");
    let whole = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, &whole[..100]).unwrap();
    service.signal("-HUP");
    let refused = log.find(|line| line.contains("half written"));
    assert!(
        refused
            .unwrap()
            .contains("The certificate shown before is kept.")
    );

    write_certificate(&service.directory, 90);
    // By the order and not by looking now and then: what is there has not been seen twice yet.
    service.signal("-HUP");
    assert!(log.any(|line| line.contains("reloading")));
    let next = log.next().unwrap();
    assert!(next.contains("another certificate is shown"), "{next}");
}

#[test]
fn the_open_file_limit_is_raised_to_the_hard_one() {
    let directory = Directory::new();
    let program = env!("CARGO_BIN_EXE_turnstone");
    let data = directory.0.join("data");
    let script = format!(
        "ulimit -Sn 200; ulimit -Hn 4000; exec {program} --https-listen 127.0.0.1:0 \
         --turn-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
         --external-ip 127.0.0.1 --data-dir {}",
        data.display()
    );
    let mut process = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&directory.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let _ = process.kill();
    let _ = process.wait();
    assert!(line.starts_with("listening "), "{line}");
    let open_files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<&str> = open_files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["4000", "4000"]);
}

/// A port that somebody has already.
fn taken() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_port_that_is_taken_ends_the_start_in_one_sentence() {
    let directory = Directory::new();
    for flag in [
        "--https-listen",
        "--http-listen",
        "--turn-listen",
        "--admin-listen",
    ] {
        let taken = taken();
        let address = taken.local_addr().unwrap().to_string();
        let mut arguments: Vec<&str> = Vec::new();
        for other in [
            "--https-listen",
            "--http-listen",
            "--turn-listen",
            "--admin-listen",
        ] {
            arguments.extend([
                other,
                if other == flag {
                    &address
                } else {
                    "127.0.0.1:0"
                },
            ]);
        }
        let output = turnstone(&arguments)
            .arg("--external-ip=127.0.0.1")
            .arg("--data-dir")
            .arg(directory.0.join("data"))
            .current_dir(&directory.0)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        assert!(output.stdout.is_empty(), "{flag}: it said that it listens");
        let words = String::from_utf8(output.stderr).unwrap();
        let last = words.lines().last().unwrap();
        assert!(
            last.starts_with("turnstone: ") && last.contains(&address),
            "{flag}: {words}"
        );
    }
}

#[test]
fn log_lines_can_be_json() {
    let directory = Directory::new();
    let mut process = turnstone(&[
        "--https-listen",
        "127.0.0.1:0",
        "--turn-listen",
        "127.0.0.1:0",
    ])
    .args([
        "--http-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ])
    .args([
        "--external-ip",
        "127.0.0.1",
        "--log-format",
        "json",
        "--data-dir",
    ])
    .arg(directory.0.join("data"))
    .current_dir(&directory.0)
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let line = BufReader::new(process.stderr.take().unwrap())
        .lines()
        .next()
        .unwrap()
        .unwrap();
    let _ = process.kill();
    let _ = process.wait();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(
        line["level"].is_string() && line["timestamp"].is_string(),
        "{line}"
    );
}
