//! A bucket, and how it is reached. What is not said here comes from the environment variables that AWS's own tools read (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, a role's token file, …), else from the machine's role.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

/// `s3://name/prefix`.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    /// Before the names of all objects; may be empty.
    pub prefix: String,
    /// `http://…` or `https://…` of a store that is not Amazon's.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key: Option<AccessKey>,
    pub patience: Patience,
}

/// The secret stands in a file, so that it is in no configuration, and nothing that is printed has it.
#[derive(Clone, Debug)]
pub struct AccessKey {
    pub id: String,
    pub secret_file: PathBuf,
}

/// How long the store is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub connect: Duration,
    /// One request, its bytes and its answer included.
    pub request: Duration,
    /// After this, a request that failed is not begun again.
    pub retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(60), retry: Duration::from_secs(10) }
    }
}

/// More often than this is not asked again, and not at longer intervals.
const RETRIES_MAX: usize = 6;
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(2);

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " of {endpoint}"))
    }
}

impl Bucket {
    /// An error is a sentence about what is configured.
    pub(super) fn connect(&self) -> Result<AmazonS3, String> {
        // The crate has TLS with whatever cryptography the process has chosen. Chosen already: by an earlier bucket, and the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let backoff = BackoffConfig { max_backoff: RETRY_INTERVAL_MAX, ..BackoffConfig::default() };
        let waits = [(ClientConfigKey::ConnectTimeout, self.patience.connect), (ClientConfigKey::Timeout, self.patience.request)];
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&self.name).with_retry(RetryConfig {
            backoff,
            max_retries: RETRIES_MAX,
            retry_timeout: self.patience.retry,
        });
        for (key, wait) in waits {
            builder = builder.with_config(AmazonS3ConfigKey::Client(key), format!("{}ms", wait.as_millis()));
        }
        if let Some(endpoint) = &self.endpoint {
            // The variable for S3 alone would win against it.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(AccessKey { id, secret_file }) = &self.access_key {
            let secret = std::fs::read_to_string(secret_file).map_err(|error| format!("the secret key in {}: {error}", secret_file.display()))?;
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.trim());
        }
        builder.build().map_err(|error| error.to_string())
    }
}
