//! Health and metrics (shell): plain HTTP for whoever watches this server, on an address of its own.
//!
//! Knows none of the parts: each hands over closures that say a number when they are asked.

mod metrics;
mod settings;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use metrics::{BadName, Kind, Metrics};
pub use settings::*;

/// Those who watch are few. More than this means something is wrong with them, and must not cost the calls anything.
const MOST_CONNECTIONS: usize = 32;
/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// The largest head; monitoring programs send little.
const LARGEST_HEAD: usize = 8 * 1024;
/// The longest a connection lasts: whoever does not take the answer is cut, everyone else connects again.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long to wait when the system is out of files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an answer may take once told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Answers `/healthz`, `/readyz` and `/metrics`.
pub struct Admin {
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Whether new people may be sent here: every port is bound, the store answers, and
    /// the server is not stopping.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Admin {
    /// Answers whoever connects, until `stop`; give it one that is cancelled last, so that "not ready" can be read.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            while tasks.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) if tasks.len() < MOST_CONNECTIONS => {
                    tasks.spawn(Arc::clone(&self).serve_one(stream, stop.clone()));
                }
                Ok(_) => debug!("too many connections to the admin port"),
                Err(error) => {
                    warn!(%error, "the admin port cannot accept a connection at the moment");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        let _ = timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await; // the rest is cut
    }

    async fn serve_one(self: Arc<Self>, stream: TcpStream, stop: CancellationToken) {
        let service = service_fn(|request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = timeout(LONGEST, connection.as_mut()) => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                timeout(GRACE, connection).await
            }
        };
        if let Ok(Err(reason)) = ended {
            debug!(%reason, "an admin connection ended early");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = reply(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT_TYPE,
                "only GET and HEAD\n",
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => reply(StatusCode::OK, TEXT_TYPE, "ok"),
            "/readyz" if (self.is_ready)() => reply(StatusCode::OK, TEXT_TYPE, "ready"),
            "/readyz" => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, "not ready"),
            "/metrics" => reply(StatusCode::OK, METRICS_TYPE, self.metrics.to_text()),
            _ => reply(
                StatusCode::NOT_FOUND,
                TEXT_TYPE,
                "/healthz, /readyz and /metrics are here\n",
            ),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
