//! Where the bytes of files lie: pieces under random keys, in a folder or a bucket.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload};
use uuid::Uuid;

use super::database::make_dir;
use super::s3::Connector;
use super::settings::Bucket;
use super::{Error, OpenError};

/// The folder in the data directory.
const FOLDER: &str = "files";

/// A folder or a bucket.
#[derive(Clone)]
pub(super) struct Blobs(Arc<dyn ObjectStore>);

impl Blobs {
    pub(super) fn open(bucket: Option<&Bucket>, data_dir: &Path) -> Result<Self, OpenError> {
        let unusable = |error: object_store::Error| OpenError::Files(error.to_string());
        let Some(bucket) = bucket else {
            let folder = data_dir.join(FOLDER);
            make_dir(&folder).map_err(|source| OpenError::DataDir {
                path: folder.clone(),
                source,
            })?;
            let files = LocalFileSystem::new_with_prefix(folder).map_err(unusable)?;
            // What is acknowledged is on the disk.
            return Ok(Self(Arc::new(files.with_fsync(true))));
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.key_id)
            .with_secret_access_key(&bucket.secret)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_http_connector(Connector);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let files = builder.build().map_err(unusable)?;
        Ok(match bucket.prefix.as_str() {
            "" => Self(Arc::new(files)),
            prefix => Self(Arc::new(PrefixStore::new(files, prefix))),
        })
    }

    /// A key for a new piece. The first letters spread pieces over folders.
    pub(super) fn new_key() -> String {
        let random = Uuid::new_v4().simple().to_string();
        let (folder, name) = random.split_at(2);
        format!("{folder}/{name}")
    }

    pub(super) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.0.put(&Key::from(key), PutPayload::from(bytes)).await?;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes, Error> {
        Ok(self.0.get(&Key::from(key)).await?.bytes().await?)
    }

    /// The bytes of a piece from `start` until before `end`.
    pub(super) async fn get_range(&self, key: &str, start: u64, end: u64) -> Result<Bytes, Error> {
        Ok(self.0.get_range(&Key::from(key), start..end).await?)
    }

    /// Removes a piece; it may be gone already.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.0.delete(&Key::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
