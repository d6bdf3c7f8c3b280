//! `[checkpoints]`: the place that all machines reach.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::file::Number;
use crate::config::{BucketConfig, CheckpointConfig, CheckpointPlace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoints {
    url: String,
    pub(super) interval_ms: Number,
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    /// Not the secret itself: configurations are shown, copied and kept.
    secret_access_key_file: Option<PathBuf>,
    #[serde(default)]
    allow_plaintext_beyond_loopback: bool,
}

const DEFAULT_INTERVAL_MS: u64 = 30_000;

/// `file:///shared/folder`, or a path, which counts from the configuration's folder; or `s3://bucket/prefix`.
pub(super) fn check_checkpoints(checkpoints: Checkpoints, folder: &Path) -> Result<CheckpointConfig, String> {
    let interval_ms = checkpoints.interval_ms.as_ref().map_or(DEFAULT_INTERVAL_MS, |said| *said.get_ref());
    let url = &checkpoints.url;
    let path = match url.split_once("://") {
        None => folder.join(url),
        Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
        Some(("file", _)) => return Err(format!("checkpoints.url {url:?}: after `file://` there must be an absolute path, as in \"file:///shared/motif\"")),
        Some(("s3", _)) => return Ok(CheckpointConfig { place: CheckpointPlace::Bucket(check_bucket(checkpoints, folder)?), interval_ms }),
        Some((scheme, _)) => {
            return Err(format!(
                "checkpoints.url {url:?}: {scheme} is not supported; name a folder that all machines reach, as in \"file:///shared/motif\", or a bucket, as in \"s3://bucket/motif\""
            ));
        }
    };
    match checkpoints.words_of_buckets().next() {
        Some(word) => Err(format!("checkpoints.{word} goes with a bucket (url = \"s3://…\"), and {url:?} is a folder")),
        None => Ok(CheckpointConfig { place: CheckpointPlace::Folder(path), interval_ms }),
    }
}

impl Checkpoints {
    fn words_of_buckets(&self) -> impl Iterator<Item = &'static str> {
        let said = [
            (self.endpoint.is_some(), "endpoint"),
            (self.region.is_some(), "region"),
            (self.access_key_id.is_some(), "access_key_id"),
            (self.secret_access_key_file.is_some(), "secret_access_key_file"),
            (self.allow_plaintext_beyond_loopback, "allow_plaintext_beyond_loopback"),
        ];
        said.into_iter().filter_map(|(is_said, word)| is_said.then_some(word))
    }
}

fn check_bucket(checkpoints: Checkpoints, folder: &Path) -> Result<BucketConfig, String> {
    let url = &checkpoints.url;
    let (name, prefix) = url["s3://".len()..].split_once('/').unwrap_or((&url["s3://".len()..], ""));
    let is_of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if name.is_empty() || !name.bytes().all(is_of_a_name) {
        return Err(format!(
            "checkpoints.url {url:?}: after `s3://` there must be a bucket's name (small letters, digits, - and .), as in \"s3://bucket/motif\""
        ));
    }
    if let Some(endpoint) = &checkpoints.endpoint {
        check_endpoint(endpoint, checkpoints.allow_plaintext_beyond_loopback)?;
    }
    let access_key = match (checkpoints.access_key_id, checkpoints.secret_access_key_file) {
        (None, None) => None,
        (Some(id), Some(file)) => Some((id, folder.join(file))),
        _ => return Err("checkpoints.access_key_id and checkpoints.secret_access_key_file go together".to_owned()),
    };
    let (name, prefix) = (name.to_owned(), prefix.trim_matches('/').to_owned());
    Ok(BucketConfig { name, prefix, endpoint: checkpoints.endpoint, region: checkpoints.region, access_key })
}

fn check_endpoint(endpoint: &str, allow_plaintext: bool) -> Result<(), String> {
    // What stands before an `@` would be a name and a password.
    let host = match endpoint.split_once("://").filter(|(_, rest)| !rest.is_empty() && !rest.contains('@')) {
        Some(("https", _)) => return Ok(()),
        Some(("http", rest)) => host(rest),
        _ => return Err(format!("checkpoints.endpoint {endpoint:?} is no address of a store; write for example \"https://store.example:9000\"")),
    };
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !is_loopback && !allow_plaintext {
        return Err(format!(
            "checkpoints.endpoint {endpoint:?} is on another machine, and http sends all state unencrypted; use https, or say `allow_plaintext_beyond_loopback = true`"
        ));
    }
    Ok(())
}

/// Without port and path.
fn host(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<CheckpointConfig, String> {
        check_checkpoints(toml::from_str(text).expect("well formed"), Path::new("/etc/motif"))
    }

    #[test]
    fn places_are_folders_or_buckets() {
        let place = |text: &str| check(text).expect(text).place;
        let folder = |path: &str| CheckpointPlace::Folder(PathBuf::from(path));
        assert_eq!(place("url = \"c\""), folder("/etc/motif/c"));
        assert_eq!(place("url = \"file:///c\""), folder("/c"));
        let bucket = |prefix: &str| BucketConfig { name: "b-1".to_owned(), prefix: prefix.to_owned(), endpoint: None, region: None, access_key: None };
        assert_eq!(place("url = \"s3://b-1\""), CheckpointPlace::Bucket(bucket("")));
        assert_eq!(place("url = \"s3://b-1/a/b/\""), CheckpointPlace::Bucket(bucket("a/b")));
        for endpoint in ["https://store:9000", "http://localhost:1", "http://127.0.0.1:9000/", "http://[::1]:9000"] {
            let bucket = BucketConfig { endpoint: Some(endpoint.to_owned()), region: Some("eu".to_owned()), ..bucket("") };
            assert_eq!(place(&format!("url = \"s3://b-1\"\nendpoint = {endpoint:?}\nregion = \"eu\"")), CheckpointPlace::Bucket(bucket));
        }
        let said =
            "url = \"s3://b-1\"\nendpoint = \"http://10.0.0.1\"\nallow_plaintext_beyond_loopback = true\naccess_key_id = \"A\"\nsecret_access_key_file = \"s\"";
        let CheckpointPlace::Bucket(bucket) = place(said) else { panic!("a bucket") };
        assert_eq!(bucket.access_key, Some(("A".to_owned(), PathBuf::from("/etc/motif/s"))));
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_remedy() {
        for (text, said) in [
            ("url = \"file://c\"", "absolute path"),
            ("url = \"gs://c\"", "gs is not supported"),
            ("url = \"s3://\"", "a bucket's name"),
            ("url = \"s3://Bucket\"", "a bucket's name"),
            ("url = \"s3:///prefix\"", "a bucket's name"),
            ("url = \"c\"\nregion = \"eu\"", "checkpoints.region goes with a bucket"),
            ("url = \"s3://b\"\naccess_key_id = \"A\"", "go together"),
            ("url = \"s3://b\"\nendpoint = \"store:9000\"", "is no address"),
            ("url = \"s3://b\"\nendpoint = \"http://127.0.0.1:1@store\"", "is no address"),
            ("url = \"s3://b\"\nendpoint = \"http://store:9000\"", "allow_plaintext_beyond_loopback"),
            ("url = \"s3://b\"\nendpoint = \"http://127.0.0.1.example\"", "allow_plaintext_beyond_loopback"),
        ] {
            let problem = check(text).expect_err(text);
            assert!(problem.contains(said), "{text}\n{problem}");
        }
    }
}
