//! The bytes of a key, as a slot keeps them: 24 bytes, and for longer keys one block beside it.

/// By length, so that a longer one is one look away and not two.
#[derive(Debug)]
pub(in crate::engine) enum StoredKey {
    Inline(Padded<INLINE_MAX>),
    Short(Box<Padded<SHORT_MAX>>),
    Long(Box<Padded<LONG_MAX>>),
    Longer(Box<Box<[u8]>>),
}

const INLINE_MAX: usize = 22;
const SHORT_MAX: usize = 31;
const LONG_MAX: usize = 63;

/// The first `length` bytes are the key.
#[derive(Debug)]
pub(in crate::engine) struct Padded<const MAX: usize> {
    length: u8,
    bytes: [u8; MAX],
}

impl<const MAX: usize> Padded<MAX> {
    fn of(key: &[u8]) -> Self {
        let mut bytes = [0; MAX];
        bytes[..key.len()].copy_from_slice(key);
        Self { length: u8::try_from(key.len()).expect("short"), bytes }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl StoredKey {
    pub(super) fn of(key: &[u8]) -> Self {
        match key.len() {
            length if length <= INLINE_MAX => Self::Inline(Padded::of(key)),
            length if length <= SHORT_MAX => Self::Short(Box::new(Padded::of(key))),
            length if length <= LONG_MAX => Self::Long(Box::new(Padded::of(key))),
            _ => Self::Longer(Box::new(key.into())),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(key) => key.bytes(),
            Self::Short(key) => key.bytes(),
            Self::Long(key) => key.bytes(),
            Self::Longer(key) => key,
        }
    }
}

impl Default for StoredKey {
    fn default() -> Self {
        Self::of(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_kept_whole() {
        for length in 0..100 {
            let key: Vec<u8> = (0..length).map(|byte| byte ^ 0x5A).collect();
            assert_eq!(StoredKey::of(&key).bytes(), key);
        }
    }
}
