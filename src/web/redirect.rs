//! Plain HTTP: everything is sent to HTTPS, but for the answers to a certificate authority's questions (RFC 8555 §8.3).

use std::convert::Infallible;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::LOCATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Settings;
use super::accept::{self, Arrival};
use super::api::Body;
use super::headers::add_basic;
use super::host::Host;
use super::http::{HEAD_TIMEOUT, LARGEST_HEAD, MOST_HEADERS, WRITE_PATIENCE, reply, set, text};
use super::limits::Limits;
use super::stream::{Held, Patient};
use super::well_known::WellKnown;

/// Where a certificate authority asks.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Answers on port 80.
#[derive(Debug)]
pub struct Redirect {
    https_port: u16,
    well_known: WellKnown,
    limits: Arc<Limits>,
}

impl Redirect {
    /// Sends people to `https_port`, the one that HTTPS is really reached at.
    pub fn new(settings: &Settings, data_dir: &Path, https_port: u16, limits: Arc<Limits>) -> Self {
        Self {
            https_port,
            well_known: WellKnown::new(settings.well_known_dir(data_dir)),
            limits,
        }
    }

    /// Answers whoever connects, until `stop`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let serve = |Arrival { stream, guard, .. }: Arrival| {
            let redirect = Arc::clone(&self);
            let stop = stop.clone();
            async move {
                let answer = |request| {
                    let redirect = Arc::clone(&redirect);
                    async move { redirect.answer(request).await }
                };
                let once = answer_once(Held::new(None, stream, guard), answer);
                stop.run_until_cancelled(once).await;
            }
        };
        accept::each(listener, &self.limits.connections, &stop, serve).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if !path.starts_with(CHALLENGES) {
            return to_https(&request, |host| host.at_https_port(self.https_port));
        }
        match self.well_known.find(path).await {
            Some(file) => reply(StatusCode::OK, file.kind, file.body),
            None => text(StatusCode::NOT_FOUND, "not found"),
        }
    }
}

/// Plain HTTP on the port of HTTPS: the same host and port, in HTTPS.
pub(super) async fn to_the_same_port<S>(stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answer = |request| ready(to_https(&request, |host| host.as_str().to_owned()));
    answer_once(stream, answer).await;
}

fn to_https<B>(request: &Request<B>, place: impl Fn(&Host) -> String) -> Response<Body> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let host = Host::of(request);
    let (Ok(host), true, true) = (
        host,
        target.starts_with('/'),
        request.method() != Method::CONNECT,
    ) else {
        return text(StatusCode::BAD_REQUEST, "this is not a request for a page");
    };
    let link = format!("https://{}{target}", place(&host));
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "this server speaks HTTPS");
    set(&mut response, LOCATION, &link);
    response
}

/// One request, one answer, and the connection is closed.
async fn answer_once<S, F, T>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<Incoming>) -> T,
    T: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async {
            let mut response = answer.await;
            add_basic(response.headers_mut());
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_PATIENCE)), service);
    // A body that never comes to an end is not waited for.
    match timeout(HEAD_TIMEOUT + WRITE_PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => debug!(%reason, "a plain HTTP connection ended early"),
        Err(_) => debug!("a plain HTTP connection took too long"),
    }
}
