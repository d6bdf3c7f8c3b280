//! What an error of a store means: a sentence, and whose fault it is.
//!
//! S3 answers with a code in a small XML text; the same codes come from all stores that speak its language. Of that text only code and message are shown.

use std::error::Error as StdError;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::ports::ObjectFault;

/// The codes that S3 gives where credentials are wrong, not where they are not enough.
const WRONG_CREDENTIALS: [&str; 6] =
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidClientTokenId"];
const WRONG_REGION: [&str; 3] = ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];

const CHECK_CREDENTIALS: &str = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `access_key_id` and `secret_access_key_file` under [checkpoints]";

/// The one thing that is not there is the object itself.
pub(super) fn is_no_such_object(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && element(&error.to_string(), "Code").as_deref() != Some("NoSuchBucket")
}

/// Of a put into a folder: what was just made for it is not there any more.
pub(super) fn is_directory_gone(error: &Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| cause.kind() == io::ErrorKind::NotFound)
}

pub(super) fn of_folder(error: &Error) -> (String, ObjectFault) {
    (error.to_string(), ObjectFault::Store)
}

pub(super) fn of_bucket(error: &Error) -> (String, ObjectFault) {
    let text = error.to_string();
    let code = element(&text, "Code").unwrap_or_default();
    let answer = match (code.as_str(), element(&text, "Message")) {
        ("", _) => last_cause(error),
        (code, Some(message)) => format!("{code}: {message}"),
        (code, None) => code.to_owned(),
    };
    let setup = |what: String| (what, ObjectFault::Setup);
    if code == "NoSuchBucket" {
        return setup("the store has no such bucket; make it, or correct `url` under [checkpoints]".to_owned());
    }
    if WRONG_REGION.contains(&code.as_str()) || text.contains("redirect without LOCATION") {
        return setup(format!("the bucket is in another region ({answer}); say `region` under [checkpoints], or set AWS_REGION"));
    }
    if WRONG_CREDENTIALS.contains(&code.as_str()) || matches!(error, Error::Unauthenticated { .. }) {
        return setup(format!("the store does not accept the credentials ({answer}); {CHECK_CREDENTIALS}"));
    }
    if code == "AccessDenied" || matches!(error, Error::PermissionDenied { .. }) {
        return setup(format!("the store denies access ({answer}); the credentials must allow to list the bucket, and to get, put and delete objects"));
    }
    if matches!(error, Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::InvalidPath { .. }) || code == "NotImplemented" {
        return setup(format!("the store cannot do it ({answer})"));
    }
    if text.contains("instance metadata") || text.contains("metadata endpoint") {
        return setup(format!("there are no credentials, and this machine has no role that gives some ({answer}); {CHECK_CREDENTIALS}"));
    }
    let what = match http_error(error) {
        Some(HttpErrorKind::Timeout) => format!("the store does not answer in time ({answer})"),
        Some(HttpErrorKind::Connect) => format!("there is no connection to the store ({answer})"),
        Some(_) => format!("the connection to the store broke ({answer})"),
        None => format!("the store fails ({answer})"),
    };
    (what, ObjectFault::Store)
}

/// The error and its causes.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

fn last_cause(error: &Error) -> String {
    causes(error).last().expect("the error itself").to_string()
}

fn http_error(error: &Error) -> Option<HttpErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind)
}

/// What stands between the first `<name>` and its end.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once("</")?;
    Some(inner.trim().to_owned())
}
