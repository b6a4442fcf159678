//! Everything the page is made of, asked for over HTTPS.

use std::io::Read;

use turnstone::web::assets::{self, Caching};

use crate::harness::{Answer, Door};

#[tokio::test]
async fn every_asset_is_served_whole_in_every_encoding() {
    let door = Door::open().await;
    for path in assets::paths() {
        let plain = ask(&door, "GET", path, "").await;
        assert_eq!(plain.status, 200, "{path}");
        assert!(!plain.body.is_empty(), "{path}");
        assert_eq!(plain.header("content-encoding"), "");
        for (accepted, name) in [("br, gzip", "br"), ("gzip", "gzip")] {
            let small = ask(
                &door,
                "GET",
                path,
                &format!("Accept-Encoding: {accepted}\r\n"),
            )
            .await;
            let body = match small.header("content-encoding") {
                "br" => unbrotli(&small.body),
                "gzip" => ungzip(&small.body),
                _ => small.body.clone(),
            };
            assert_eq!(body, plain.body, "{path} in {name}");
            if plain.body.len() > 1000 && plain.headers.contains_key("vary") {
                assert_eq!(small.header("content-encoding"), name, "{path}");
                assert!(small.body.len() < plain.body.len(), "{path}");
                assert_ne!(small.header("etag"), plain.header("etag"), "{path}");
            }
            assert_eq!(
                small.header("content-type"),
                plain.header("content-type"),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn an_asset_that_is_already_there_is_not_sent_again() {
    let door = Door::open().await;
    for path in assets::paths() {
        let first = ask(&door, "GET", path, "Accept-Encoding: br\r\n").await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 10, "{path}: {tag}");
        let again = ask(
            &door,
            "GET",
            path,
            &format!("Accept-Encoding: br\r\nIf-None-Match: W/\"x\", {tag}\r\n"),
        )
        .await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        for name in ["etag", "cache-control", "vary"] {
            assert_eq!(again.header(name), first.header(name), "{path}: {name}");
        }
        let other = ask(
            &door,
            "GET",
            path,
            &format!("If-None-Match: \"x{}\r\n", &tag[1..]),
        )
        .await;
        assert_eq!(other.status, 200, "{path}");
    }
}

#[tokio::test]
async fn head_says_what_get_would_send() {
    let door = Door::open().await;
    for path in assets::paths() {
        let get = ask(&door, "GET", path, "Accept-Encoding: gzip\r\n").await;
        let head = ask(&door, "HEAD", path, "Accept-Encoding: gzip\r\n").await;
        assert_eq!(head.status, 200, "{path}");
        for name in [
            "content-length",
            "content-type",
            "content-encoding",
            "etag",
            "cache-control",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn only_what_carries_the_version_in_its_path_is_kept_for_ever() {
    let door = Door::open().await;
    for path in assets::paths() {
        let for_ever = path.starts_with(assets::prefix());
        let caching = assets::find(path).unwrap().caching;
        assert_eq!(caching == Caching::ForEver, for_ever, "{path}");
        let header = ask(&door, "GET", path, "")
            .await
            .header("cache-control")
            .to_owned();
        assert_eq!(header.contains("immutable"), for_ever, "{path}: {header}");
    }
    assert_eq!(
        door.get("/v/0123456789abcdef/index.html").await.status,
        404,
        "another version"
    );
    assert_eq!(door.get("/v/dev/app.js").await.status, 404);
    assert_eq!(door.get("/index.html").await.status, 404);
}

#[tokio::test]
async fn whatever_the_files_name_is_there() {
    let door = Door::open().await;
    for path in assets::paths() {
        let answer = ask(&door, "GET", path, "").await;
        let Ok(text) = String::from_utf8(answer.body) else {
            continue;
        };
        let kind = answer.headers["content-type"].clone();
        for named in named_in(path, &kind, &text) {
            assert!(assets::find(&named).is_some(), "{path} names {named}");
        }
        let is_fixed = !path.starts_with(assets::prefix());
        assert!(
            is_fixed || !text.contains(assets::PLACEHOLDER),
            "{path} cannot know its version"
        );
    }
}

/// The paths that a file loads: versioned ones at fixed places, relative ones in modules and style sheets.
fn named_in(path: &str, kind: &str, text: &str) -> Vec<String> {
    let quoted = |text: &str| text.split(['"', '\'', '`', ')']).next().unwrap().to_owned();
    let after = |mark: &str| -> Vec<String> { text.split(mark).skip(1).map(quoted).collect() };
    let mut named: Vec<String> = after(assets::prefix())
        .into_iter()
        // The prefix alone names no file: the service worker compares paths with it.
        .filter(|rest| !path.starts_with(assets::prefix()) && !rest.is_empty())
        .map(|rest| format!("{}{rest}", assets::prefix()))
        .collect();
    let marks: &[&str] = match kind {
        kind if kind.starts_with("text/javascript") => &[
            "from \"",
            "from '",
            "import \"",
            "import '",
            "import(\"",
            "import('",
        ],
        kind if kind.starts_with("text/css") => &["url(\"", "url('", "url(./", "@import \""],
        _ => &[],
    };
    let relative = marks
        .iter()
        .flat_map(|mark| after(mark))
        .filter(|name| name.starts_with('.'));
    named.extend(relative.map(|name| resolved(path, &name)));
    named
}

fn resolved(path: &str, name: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let door = Door::open().await;
    let refused = door
        .ask(&format!("POST / HTTP/1.1\r\nHost: {}", door.addr))
        .await;
    for answer in [
        door.get("/").await,
        door.get("/healthz").await,
        door.get("/nothing").await,
        door.ask_socket("/ws", "Origin: null\r\n").await.0,
        refused,
    ] {
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains(&format!("wss://{}", door.addr)), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(
            answer
                .header("permissions-policy")
                .contains("camera=(self)")
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            "",
            "our own certificate promises nothing"
        );
    }
}

#[tokio::test]
async fn a_host_cannot_write_into_the_policy() {
    let door = Door::open().await;
    let answer = door.ask("GET / HTTP/1.1\r\nHost: a; script-src *").await;
    assert_eq!(answer.status, 400);
    assert!(!answer.header("content-security-policy").contains('*'));
}

#[tokio::test]
async fn the_operators_well_known_files_are_served_and_never_as_pages() {
    let door = Door::open().await;
    door.data
        .write("well-known/security.txt", "Contact: mailto:a@b.example");
    door.data
        .write("well-known/page.html", "<script>alert(1)</script>");
    door.data
        .write("well-known/acme-challenge/token", "token.key");
    std::fs::write(door.data.0.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(
        door.data.0.join("secret"),
        door.data.0.join("well-known/link"),
    )
    .unwrap();

    assert_eq!(
        door.get("/.well-known/security.txt").await.text(),
        "Contact: mailto:a@b.example"
    );
    assert_eq!(
        door.get("/.well-known/acme-challenge/token").await.text(),
        "token.key"
    );
    let page = door.get("/.well-known/page.html").await;
    assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
    for path in [
        "link",
        "none",
        "",
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "acme-challenge",
        "acme-challenge/",
    ] {
        let answer = door.get(&format!("/.well-known/{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

async fn ask(door: &Door, method: &str, path: &str, further: &str) -> Answer {
    let host = door.addr;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{further}");
    door.ask(head.trim_end()).await
}

fn unbrotli(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    brotli::Decompressor::new(body, 4096)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

fn ungzip(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}
