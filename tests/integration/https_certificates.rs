//! The certificate: the operator's under every usual name, our own without one, and a new one while running.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519,
};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use turnstone::web::tls::{Reloaded, Source};
use turnstone::web::{SanName, Settings, Tls};

use crate::harness::{Answer, Door, Folder, PATIENCE, handshake};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority of our own, and a certificate in between, as the usual ones have it.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    between: CertifiedIssuer<'static, KeyPair>,
}

/// What an authority hands out, as PEM.
struct Issued {
    certificate: String,
    key: String,
    chain: String,
}

impl Authority {
    fn new() -> Self {
        let ca = |name: &str| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
        let between =
            CertifiedIssuer::signed_by(ca("between"), KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, between }
    }

    fn root(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    fn issue(&self) -> Issued {
        self.issue_for(KeyPair::generate().unwrap(), SystemTime::now() + 90 * DAY)
    }

    fn issue_for(&self, key: KeyPair, ends: SystemTime) -> Issued {
        let names = ["127.0.0.1".to_owned(), "call.example".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = (SystemTime::now() - 200 * DAY).into();
        params.not_after = ends.into();
        let certificate = params.signed_by(&key, &self.between).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            chain: self.between.pem(),
        }
    }
}

fn load(ssl: &Folder, data: &Folder) -> Result<Tls, String> {
    let settings = Settings {
        ssl_dir: Some(ssl.0.clone()),
        domains: vec!["call.example".to_owned()],
        ..Settings::default()
    };
    Tls::load(&settings, &data.0, &["localhost".parse().unwrap()])
        .map_err(|error| error.to_string())
}

fn why_not(ssl: &Folder) -> String {
    match load(ssl, &Folder::new()) {
        Ok(tls) => panic!("this should not be taken: {tls:?}"),
        Err(why) => why,
    }
}

#[tokio::test]
async fn a_certificate_is_found_under_every_usual_name_with_its_chain() {
    let authority = Authority::new();
    for names in [
        ["cert1.pem", "privkey1.pem", "chain1.pem"],
        ["cert.pem", "privkey.pem", "chain.pem"],
        ["fullchain.pem", "privkey.pem", ""],
        ["fullchain1.pem", "privkey1.pem", ""],
    ] {
        let Issued {
            certificate,
            key,
            chain,
        } = authority.issue();
        let door = Door::open_with(|settings| {
            let folder = settings.ssl_dir.clone().unwrap();
            let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
            let [first, second, third] = names;
            write(second, key);
            match third {
                "" => write(first, certificate + &chain),
                third => {
                    write(first, certificate);
                    write(third, chain);
                }
            }
        })
        .await;
        assert!(door.tls.is_trusted(), "{names:?}");
        // A client that knows only the root.
        let mut client = handshake(door.addr, authority.root(), &[b"http/1.1"])
            .await
            .unwrap();
        client
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(
            Answer::read(&mut client, false).await.text(),
            "ok",
            "{names:?}"
        );
        assert!(
            !door.data.0.join("self-signed.pem").exists(),
            "none of our own is made"
        );
    }
}

#[test]
fn other_kinds_of_keys_and_a_chain_twice_are_taken() {
    let authority = Authority::new();
    for kind in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let ssl = Folder::new();
        let key = KeyPair::generate_for(kind).unwrap();
        let Issued {
            certificate,
            key,
            chain,
        } = authority.issue_for(key, SystemTime::now() + DAY);
        ssl.write("cert.pem", format!("Bag Attributes\n{certificate}{chain}"));
        ssl.write("chain.pem", format!("{certificate}{chain}"));
        ssl.write("privkey.pem", key);
        assert!(load(&ssl, &Folder::new()).unwrap().is_trusted());
    }
}

#[test]
fn without_files_the_server_makes_its_own() {
    let (ssl, data) = (Folder::new(), Folder::new());
    let first = load(&ssl, &data).unwrap();
    assert!(!first.is_trusted());
    let again = load(&ssl, &data).unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    let kept = data.0.join("self-signed.pem");
    assert_eq!(
        std::fs::metadata(kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_folder_that_was_named_and_is_not_there_stops_the_start() {
    let data = Folder::new();
    let settings = Settings {
        ssl_dir: Some(PathBuf::from("/nowhere/ssl")),
        ..Settings::default()
    };
    let names: [SanName; 0] = [];
    let why = Tls::load(&settings, &data.0, &names)
        .unwrap_err()
        .to_string();
    assert!(why.contains("/nowhere/ssl"), "{why}");
}

#[test]
fn an_encrypted_key_is_said_with_the_way_out() {
    let Issued { certificate, .. } = Authority::new().issue();
    for text in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        let ssl = Folder::new();
        ssl.write("cert1.pem", &certificate);
        ssl.write("privkey1.pem", text);
        let why = why_not(&ssl);
        assert!(
            why.contains("privkey1.pem") && why.contains("encrypted"),
            "{why}"
        );
        assert!(why.contains("openssl pkey"), "{why}");
    }
}

#[test]
fn a_key_of_another_certificate_is_said() {
    let authority = Authority::new();
    let ssl = Folder::new();
    ssl.write("cert.pem", authority.issue().certificate);
    ssl.write("privkey.pem", authority.issue().key);
    let why = why_not(&ssl);
    assert!(
        why.contains("privkey.pem") && why.contains("does not belong"),
        "{why}"
    );
}

#[test]
fn half_written_and_damaged_files_are_said() {
    let Issued {
        certificate,
        key,
        chain,
    } = Authority::new().issue();
    for (name, content, words) in [
        (
            "cert.pem",
            &certificate[..certificate.len() / 2],
            "half written",
        ),
        ("cert.pem", "", "no certificate"),
        ("cert.pem", key.as_str(), "no certificate"),
        (
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "damaged",
        ),
        (
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            "damaged",
        ),
        ("chain.pem", &chain[..chain.len() / 2], "half written"),
        ("chain.pem", "", "no certificate"),
        ("privkey.pem", &key[..key.len() / 2], "half written"),
        ("privkey.pem", "", "no private key"),
        ("privkey.pem", certificate.as_str(), "no private key"),
        (
            "privkey.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "not supported",
        ),
        ("cert.pem", &"a".repeat(300_000), "larger than 256 KiB"),
    ] {
        let ssl = Folder::new();
        ssl.write("cert.pem", &certificate);
        ssl.write("privkey.pem", &key);
        ssl.write("chain.pem", &chain);
        assert!(load(&ssl, &Folder::new()).is_ok());
        ssl.write(name, content);
        let why = why_not(&ssl);
        assert!(
            why.contains(name) && why.contains(words),
            "{name}, {words}: {why}"
        );
        assert!(
            !why.contains("BEGIN PRIVATE KEY-----\n"),
            "no key in a message: {why}"
        );
    }
}

#[test]
fn a_missing_half_is_said() {
    let Issued {
        certificate, key, ..
    } = Authority::new().issue();
    for (name, content, missing) in [
        ("cert1.pem", &certificate, "privkey1.pem"),
        ("privkey.pem", &key, "cert.pem"),
    ] {
        let ssl = Folder::new();
        ssl.write(name, content);
        let why = why_not(&ssl);
        assert!(why.contains(missing) && why.contains(name), "{why}");
    }
    let ssl = Folder::new();
    ssl.write("cert.pem", &certificate);
    std::os::unix::fs::symlink("/nowhere/key", ssl.0.join("privkey.pem")).unwrap();
    assert!(
        why_not(&ssl).contains("cannot be read"),
        "a link to nothing"
    );
    let ssl = Folder::new();
    ssl.write("privkey.pem", &key);
    std::fs::create_dir(ssl.0.join("cert.pem")).unwrap();
    assert!(why_not(&ssl).contains("not a regular file"));
}

#[test]
fn an_expired_certificate_is_served_rather_than_one_of_our_own() {
    let (ssl, data) = (Folder::new(), Folder::new());
    let authority = Authority::new();
    let old = authority.issue_for(KeyPair::generate().unwrap(), SystemTime::now() - DAY);
    ssl.write("cert.pem", &old.certificate);
    ssl.write("privkey.pem", &old.key);
    let tls = load(&ssl, &data).unwrap();
    assert_eq!(tls.source(), Source::Files);
    assert!(tls.not_after() < SystemTime::now());
    assert!(!data.0.join("self-signed.pem").exists());

    let new = authority.issue();
    ssl.write("cert.pem", &new.certificate);
    ssl.write("privkey.pem", &new.key);
    assert_eq!(tls.reload().unwrap(), Reloaded::Changed);
    ssl.write("cert.pem", &old.certificate);
    ssl.write("privkey.pem", &old.key);
    let why = tls.reload().unwrap_err().to_string();
    assert!(
        why.contains("ended on"),
        "an expired one does not replace one that lasts: {why}"
    );
    assert!(tls.not_after() > SystemTime::now());
}

#[test]
fn a_broken_new_file_keeps_the_old_certificate() {
    let (ssl, data) = (Folder::new(), Folder::new());
    let authority = Authority::new();
    let Issued {
        certificate,
        key,
        chain,
    } = authority.issue();
    ssl.write("fullchain.pem", format!("{certificate}{chain}"));
    ssl.write("privkey.pem", key);
    let tls = load(&ssl, &data).unwrap();
    let before = tls.fingerprint();
    assert_eq!(tls.reload().unwrap(), Reloaded::Same);

    ssl.write("fullchain.pem", &certificate[..100]);
    assert!(
        tls.reload()
            .unwrap_err()
            .to_string()
            .contains("half written")
    );
    ssl.write("fullchain.pem", authority.issue().certificate);
    assert!(
        tls.reload()
            .unwrap_err()
            .to_string()
            .contains("does not belong")
    );
    std::fs::remove_file(ssl.0.join("fullchain.pem")).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("missing"));
    std::fs::remove_file(ssl.0.join("privkey.pem")).unwrap();
    assert_eq!(
        tls.reload().unwrap(),
        Reloaded::Same,
        "an emptied folder changes nothing"
    );
    assert_eq!(tls.fingerprint(), before);
}

#[tokio::test]
async fn new_files_are_taken_up_while_connections_stay_open() {
    let authority = Authority::new();
    let door = Door::open().await;
    let mut open = door.connect(&[b"http/1.1"]).await;
    let own = door.tls.fingerprint();
    let stop = CancellationToken::new();
    let tls = door.tls.clone();
    let pace = Duration::from_millis(20);
    let watch = tokio::spawn({
        let stop = stop.clone();
        async move { tls.watch_every(pace, stop).await }
    });

    // The certificate comes first, its key a little later.
    let Issued {
        certificate,
        key,
        chain,
    } = authority.issue();
    door.data.write("ssl/cert1.pem", certificate);
    sleep(5 * pace).await;
    assert_eq!(door.tls.fingerprint(), own, "half of a pair is left alone");
    door.data.write("ssl/privkey1.pem", key);
    door.data.write("ssl/chain1.pem", chain);
    wait_until(|| door.tls.is_trusted()).await;
    assert!(handshake(door.addr, authority.root(), &[]).await.is_ok());

    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        Answer::read(&mut open, false).await.text(),
        "ok",
        "an open connection goes on"
    );

    // Renewal as certbot does it: another file is moved into place.
    let before = door.tls.fingerprint();
    let next = authority.issue();
    for (name, content) in [("cert1.pem", next.certificate), ("privkey1.pem", next.key)] {
        door.data.write("new", content);
        std::fs::rename(door.data.0.join("new"), door.data.0.join("ssl").join(name)).unwrap();
    }
    wait_until(|| door.tls.fingerprint() != before).await;
    assert!(handshake(door.addr, authority.root(), &[]).await.is_ok());
    stop.cancel();
    timeout(PATIENCE, watch).await.unwrap().unwrap();
}

async fn wait_until(is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, looking)
        .await
        .expect("it happens in time");
}
