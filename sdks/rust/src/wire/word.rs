//! Words: the enums of the API, which go on reading when a newer server says a word that this release does not know.

/// A word that this release does not know, as the server has sent it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word {
    bytes: [u8; Self::MOST_BYTES],
    length: u8,
}

impl Word {
    /// What is longer is cut here. The longest word of this release has 18 bytes, and enums that may hold a word stay
    /// small enough to be copied.
    pub const MOST_BYTES: usize = 39;

    pub(super) fn of(text: &str) -> Self {
        let mut end = text.len().min(Self::MOST_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; Self::MOST_BYTES];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self { bytes, length: u8::try_from(end).expect("a word has fewer than 256 bytes") }
    }

    /// The word as the API writes it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)])
            .expect("a text is cut between characters")
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Declares an enum of the API's words; a word of a newer server reads as `Unknown`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A word that this release does not know.
            Unknown($crate::wire::Word),
        }

        impl $name {
            /// Every word that this release knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as the API writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(word) => word.as_str(),
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($text => Self::$variant,)+
                    unknown => Self::Unknown($crate::wire::Word::of(unknown)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(word.as_ref()))
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_cut_between_characters() {
        let word = Word::of(&"ř".repeat(30));
        assert_eq!(word.as_str(), "ř".repeat(19));
        assert_eq!(format!("{word:?}"), format!("{:?}", "ř".repeat(19)));
        assert_eq!(Word::of("").as_str(), "");
    }
}
