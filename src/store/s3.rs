//! HTTP to an S3-compatible store, over the parts that the server is made of anyway.
//!
//! `object_store` signs, retries and reads answers; here are only connections: HTTP/1.1, over TLS
//! with the authorities that this machine trusts, kept open for the next request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::Uri;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to stand, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the store may take until it begins to answer, once a piece of a file is sent.
const ANSWER: Duration = Duration::from_secs(60);

/// How many connections wait for the next request.
const IDLE_MAX: usize = 16;

/// Makes the client of a bucket.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client::new()))
    }
}

#[derive(Debug)]
struct Client {
    tls: Arc<ClientConfig>,
    /// All to the one host there is.
    idle: Mutex<Vec<SendRequest<HttpRequestBody>>>,
}

impl Client {
    fn new() -> Self {
        let mut roots = RootCertStore::empty();
        // Without authorities, connections fail and say so; a store without TLS needs none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let tls = match builder.with_safe_default_protocol_versions() {
            Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
            Err(_) => unreachable!("ring has the suites of TLS 1.2 and 1.3"),
        };
        Self {
            tls: Arc::new(tls),
            idle: Mutex::default(),
        }
    }

    /// An open connection: one that waits, or a new one.
    async fn connection(&self, uri: &Uri) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        loop {
            let waiting = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match waiting {
                Some(connection) if connection.is_ready() => return Ok(connection),
                // The other side has closed it, or still sends what nobody reads.
                Some(_) => {}
                None => break,
            }
        }
        match timeout(CONNECT, self.connect(uri)).await {
            Ok(connected) => {
                connected.map_err(|error| HttpError::new_boxed(HttpErrorKind::Connect, error))
            }
            Err(error) => Err(HttpError::new(HttpErrorKind::Connect, error)),
        }
    }

    async fn connect(
        &self,
        uri: &Uri,
    ) -> Result<SendRequest<HttpRequestBody>, Box<dyn std::error::Error + Send + Sync>> {
        let host = uri.host().unwrap_or_default();
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await?;
        stream.set_nodelay(true)?;
        if encrypted {
            let name = ServerName::try_from(bare.to_owned())?;
            let stream = TlsConnector::from(Arc::clone(&self.tls))
                .connect(name, stream)
                .await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
    }

    fn keep(&self, connection: SendRequest<HttpRequestBody>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        if !request.headers().contains_key(HOST) {
            let authority = uri.authority().map(|authority| authority.as_str());
            let host = HeaderValue::from_str(authority.unwrap_or_default())
                .map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
            request.headers_mut().insert(HOST, host);
        }
        let mut connection = self.connection(&uri).await?;
        // HTTP/1.1 asks for the path alone (RFC 9112 §3.2.1).
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path
            .parse()
            .map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
        let answer = match timeout(ANSWER, connection.send_request(request)).await {
            Ok(answer) => {
                answer.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?
            }
            Err(error) => return Err(HttpError::new(HttpErrorKind::Timeout, error)),
        };
        self.keep(connection);
        let (head, body) = answer.into_parts();
        let body = http_body_util::BodyExt::map_err(body, |error| {
            HttpError::new(HttpErrorKind::Interrupted, error)
        });
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}
