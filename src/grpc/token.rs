//! Tokens: a place in the log of matches as text that a subscriber keeps.
//!
//! Base64 (URL alphabet, no padding) of: version, checksum (8 bytes of xxh3), the log's identity (length, bytes), the position's numbers
//! as 8 bytes each. Opaque to clients; the checksum tells a mangled token from a good one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xxhash_rust::xxh3::xxh3_64;

use crate::ports::LogPosition;

const VERSION: u8 = 1;
/// Longer texts are no tokens of ours.
const TOKEN_CHARS_MAX: usize = 16 << 10;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// Not a token, or not whole.
    Malformed,
    /// Of another service, or of one whose state was begun anew.
    OtherLog,
}

pub(super) fn encode(identity: &str, position: &LogPosition) -> String {
    let mut body = Vec::with_capacity(identity.len() + 8 * position.0.len() + 2);
    body.push(u8::try_from(identity.len()).expect("identities are short"));
    body.extend_from_slice(identity.as_bytes());
    for number in &position.0 {
        body.extend(number.to_be_bytes());
    }
    let mut bytes = vec![VERSION];
    bytes.extend(xxh3_64(&body).to_be_bytes());
    bytes.extend(body);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(identity: &str, token: &str) -> Result<LogPosition, TokenError> {
    if token.len() > TOKEN_CHARS_MAX {
        return Err(TokenError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Malformed)?;
    let parts = bytes.split_first().filter(|(version, _)| **version == VERSION).and_then(|(_, rest)| rest.split_first_chunk::<8>());
    let (checksum, body) = parts.ok_or(TokenError::Malformed)?;
    if xxh3_64(body).to_be_bytes() != *checksum {
        return Err(TokenError::Malformed);
    }
    let (&length, rest) = body.split_first().ok_or(TokenError::Malformed)?;
    let (found, numbers) = rest.split_at_checked(usize::from(length)).ok_or(TokenError::Malformed)?;
    if found != identity.as_bytes() {
        return Err(TokenError::OtherLog);
    }
    let (numbers, rest) = numbers.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(TokenError::Malformed);
    }
    Ok(LogPosition(numbers.iter().map(|number| u64::from_be_bytes(*number)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_log_and_only_whole() {
        let position = LogPosition(vec![7, 0, u64::MAX]);
        let token = encode("log", &position);
        assert_eq!(decode("log", &token), Ok(position));
        assert_eq!(decode("other", &token), Err(TokenError::OtherLog));
        for end in 0..token.len() {
            assert_eq!(decode("log", &token[..end]), Err(TokenError::Malformed), "{end}");
        }
        assert_eq!(decode("log", "no token!"), Err(TokenError::Malformed));
    }
}
