//! A digest of what an epoch put out: the same for the same records in the same order.

use xxhash_rust::xxh3::Xxh3;

/// Which output a record goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OutputKind {
    Match = 0,
    Late = 1,
    Rejected = 2,
    /// An event for another task, or how far this one is.
    HandedOn = 3,
}

/// xxh3 over kind, key and value of each output record, in the order of their header `index`.
#[derive(Clone, Default)]
pub struct OutputDigest {
    hash: Xxh3,
    count: u64,
}

impl OutputDigest {
    pub fn push(&mut self, kind: OutputKind, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.count += 1;
        self.hash.update(&[kind as u8]);
        for part in [key, value] {
            // Lengths keep neighbours apart; nothing is another thing than empty.
            self.hash.update(&part.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
            self.hash.update(part.unwrap_or_default());
        }
    }

    /// How many records were pushed.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn value(&self) -> u64 {
        self.hash.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pushed<'a> = (OutputKind, Option<&'a [u8]>, Option<&'a [u8]>);

    fn digest(records: &[Pushed<'_>]) -> u64 {
        let mut digest = OutputDigest::default();
        records.iter().for_each(|(kind, key, value)| digest.push(*kind, *key, *value));
        assert_eq!(digest.count(), records.len() as u64);
        digest.value()
    }

    #[test]
    fn kind_key_value_order_and_number_all_count() {
        use OutputKind::*;
        let one: Pushed<'_> = (Match, Some(b"k"), Some(b"v"));
        let all: &[&[Pushed<'_>]] = &[
            &[],
            &[one],
            &[one, one],
            &[(Late, Some(b"k"), Some(b"v"))],
            &[(Match, Some(b"kv"), Some(b""))],
            &[(Match, Some(b""), Some(b"kv"))],
            &[(Match, None, Some(b"kv"))],
            &[(Match, Some(b"kv"), None)],
            &[one, (Rejected, None, Some(b"r"))],
            &[(Rejected, None, Some(b"r")), one],
        ];
        for (place, records) in all.iter().enumerate() {
            for other in &all[..place] {
                assert_ne!(digest(records), digest(other), "{records:?} and {other:?}");
            }
        }
        assert_eq!(digest(&[one, one]), digest(&[one, one]));
    }
}
