//! Text that people write: cleaned and bounded on the way in, cut and escaped in messages, folded for search.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::fault::Fault;
use crate::limits::{EXCERPT_CHARS, NEAREST_LENGTH, NEAREST_SLIPS};

/// Accepts one line of text and returns it as it is stored: normalized to NFC, without surrounding white space.
///
/// The limit is in bytes, because that is what storage and transport count.
pub fn line(pointer: &str, text: &str, limit_bytes: usize) -> Result<String, Fault> {
    clean(pointer, text, limit_bytes, |character| !character.is_control() && !breaks_line(character))
}

/// Accepts text of several lines and returns it as it is stored; line breaks become `\n`.
pub fn prose(pointer: &str, text: &str, limit_bytes: usize) -> Result<String, Fault> {
    let unified = text.replace("\r\n", "\n");
    clean(pointer, &unified, limit_bytes, |character| {
        matches!(character, '\n' | '\t') || (!character.is_control() && !breaks_line(character))
    })
}

/// What a message may show of somebody's text: the first 64 characters, with everything escaped that could steer a
/// terminal, hide, or turn the direction of writing.
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == EXCERPT_CHARS {
            shown.push('…');
            break;
        }
        if character.is_control() || breaks_line(character) || hides(character) || character == '\u{200D}' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// An [excerpt] in quotes.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text))
}

/// The form of a text that search compares: without case, accents and compatibility forms.
///
/// It is done here and not by collations, so that every store finds the same. `Straße`, `STRASSE` and `strasse` are equal,
/// and so are `İ`, `I` and `i`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Upper case first: it is what turns ß into SS and a final sigma into an ordinary one.
    text.nfkd()
        .filter(|character| !is_combining_mark(*character))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// The candidate that was probably meant, if one is near enough; of several equally near ones the first.
///
/// What it costs is bounded for every text and every candidate: people choose both.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > NEAREST_LENGTH {
        return None;
    }
    let letters = |text: &str| fold(text).chars().collect::<Vec<char>>();
    let wanted = letters(text);
    // One slip is allowed in short names, one in three characters in longer ones.
    let mut allowed = (wanted.len() / 3).clamp(1, NEAREST_SLIPS);
    let mut found = None;
    for candidate in candidates.into_iter().filter(|candidate| candidate.len() <= NEAREST_LENGTH) {
        let Some(slips) = slips(&wanted, &letters(candidate), allowed) else { continue };
        found = Some(candidate);
        match slips.checked_sub(1) {
            Some(fewer) => allowed = fewer,
            None => break,
        }
    }
    found
}

/// ` (did you mean "x"?)`, or nothing when no candidate is near.
pub fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(text, candidates) {
        Some(near) => format!(" (did you mean {}?)", quoted(near)),
        None => String::new(),
    }
}

/// How many letters one text has too many, too few, other or in exchanged places, if that is at most `most`.
///
/// It is the optimal string alignment (Boytsov 2011, 2.2), of which only the diagonals are looked at that `most` slips
/// can reach.
fn slips(one: &[char], other: &[char], most: usize) -> Option<usize> {
    const BEYOND: usize = usize::MAX / 2;
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let (mut before, mut row) = (vec![BEYOND; other.len() + 1], vec![BEYOND; other.len() + 1]);
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in (1..).zip(one) {
        row.fill(BEYOND);
        row[0] = at;
        for to in at.saturating_sub(most).max(1)..=(at + most).min(other.len()) {
            let other_letter = other[to - 1];
            let mut least = above[to - 1] + usize::from(*letter != other_letter);
            least = least.min(above[to] + 1).min(row[to - 1] + 1);
            if at > 1 && to > 1 && *letter == other[to - 2] && one[at - 2] == other_letter {
                least = least.min(before[to - 2] + 1);
            }
            row[to] = least;
        }
        // An exchange reaches back over two rows, so that both have to be hopeless.
        if row.iter().chain(&above).all(|slips| *slips > most) {
            return None;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above.last().copied().filter(|slips| *slips <= most)
}

fn clean(
    pointer: &str,
    text: &str,
    limit_bytes: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, Fault> {
    // Before anything else, so that a text of many megabytes costs nothing.
    if text.len() > limit_bytes {
        return Err(too_long(pointer, text.len(), limit_bytes));
    }
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let after = rest.peek().copied();
        if character == '\0' {
            return Err(Fault::new(pointer, "nul_not_allowed", "contains the character U+0000; remove it"));
        }
        if hides(character) || (character == '\u{200D}' && !joins_pictures(before, after)) {
            let message = format!(
                "contains U+{:04X}, which is invisible or turns the direction of writing; remove it",
                u32::from(character)
            );
            return Err(Fault::new(pointer, "bidi_or_invisible", message));
        }
        if is_no_character(character) {
            let message = format!(
                "contains U+{:04X}, which stands for no character that everybody sees alike; remove it",
                u32::from(character)
            );
            return Err(Fault::new(pointer, "noncharacter", message));
        }
        if !allowed(character) {
            let message = format!("contains the control character U+{:04X}; remove it", u32::from(character));
            return Err(Fault::new(pointer, "control_character", message));
        }
        before = Some(character);
    }
    let cleaned: String = text.trim().nfc().collect();
    // Normalization may lengthen: a handful of characters decompose for ever.
    if cleaned.len() > limit_bytes {
        return Err(too_long(pointer, cleaned.len(), limit_bytes));
    }
    Ok(cleaned)
}

fn too_long(pointer: &str, length: usize, limit_bytes: usize) -> Fault {
    Fault::new(pointer, "too_long", format!("has {length} bytes; at most {limit_bytes} bytes are allowed"))
}

fn breaks_line(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

/// Noncharacters (U+FDD0 to U+FDEF and the last two of every plane), which never stand for anything, and private use, which
/// stands for something else, or for nothing, with every font. What is merely unassigned passes: a newer Unicode than ours
/// may show it.
fn is_no_character(character: char) -> bool {
    let code = u32::from(character);
    let is_private = matches!(code, 0xE000..=0xF8FF | 0xF_0000..=0x10_FFFF);
    is_private || matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE
}

/// Characters that cannot be seen, or that make the text around them look like something else.
/// U+200D joins pictures into one, so it is judged by its neighbours.
fn hides(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

fn joins_pictures(before: Option<char>, after: Option<char>) -> bool {
    let picture = |character: char| matches!(character, '\u{2190}'..='\u{2BFF}' | '\u{FE0F}' | '\u{1F000}'..='\u{1FAFF}');
    before.is_some_and(picture) && after.is_some_and(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stored_in_one_normal_form() {
        assert_eq!(line("/t", "Cafe\u{301}", 200), line("/t", "Caf\u{e9}", 200));
        assert_eq!(line("/t", "  padded \n", 200).unwrap_err().code, "control_character");
        assert_eq!(prose("/t", "  two\r\nlines\n", 200).unwrap(), "two\nlines");
    }

    #[test]
    fn text_that_hides_or_steers_is_refused_by_name() {
        for (text, code) in [
            ("a\u{202E}b", "bidi_or_invisible"),
            ("a\u{2066}b", "bidi_or_invisible"),
            ("a\u{2069}b", "bidi_or_invisible"),
            ("a\u{200B}b", "bidi_or_invisible"),
            ("a\u{200D}b", "bidi_or_invisible"),
            ("a\u{AD}b", "bidi_or_invisible"),
            ("\u{FEFF}a", "bidi_or_invisible"),
            ("a\0b", "nul_not_allowed"),
            ("a\u{1b}[31m", "control_character"),
            ("a\u{85}b", "control_character"),
            ("a\u{2028}b", "control_character"),
            ("a\u{FDD0}b", "noncharacter"),
            ("a\u{FFFE}", "noncharacter"),
            ("\u{10FFFF}a", "noncharacter"),
            ("a\u{E000}b", "noncharacter"),
            ("a\u{F0000}b", "noncharacter"),
        ] {
            for fault in [line("/t", text, 200).unwrap_err(), prose("/t", text, 200).unwrap_err()] {
                assert_eq!((fault.code, fault.pointer.as_str()), (code, "/t"), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_not_assigned_yet_may_be_a_letter_tomorrow() {
        assert_eq!(line("/t", "a\u{378}", 200).unwrap(), "a\u{378}");
    }

    #[test]
    fn pictures_made_of_several_are_accepted() {
        for text in ["👩\u{200D}🚀", "👩\u{200D}❤\u{FE0F}\u{200D}👨", "🏳\u{FE0F}\u{200D}🌈", "𝔘nicode"]
        {
            assert_eq!(line("/t", text, 200).unwrap(), text);
        }
    }

    #[test]
    fn the_limit_counts_bytes_and_says_so() {
        let fault = line("/t", &"é".repeat(101), 200).unwrap_err();
        assert_eq!(
            (fault.code, fault.message.as_str()),
            ("too_long", "has 202 bytes; at most 200 bytes are allowed")
        );
        assert!(line("/t", &"é".repeat(100), 200).is_ok());
    }

    #[test]
    fn normalization_does_not_carry_a_text_over_the_limit() {
        // U+0958 is excluded from composition: two characters come out of one.
        let fault = line("/t", &"\u{958}".repeat(60), 200).unwrap_err();
        assert_eq!(fault.code, "too_long");
    }

    #[test]
    fn an_excerpt_is_short_and_cannot_steer_a_terminal() {
        assert_eq!(excerpt("a\u{1b}]52;c;x\u{7}"), "a\\u{1b}]52;c;x\\u{7}");
        assert_eq!(excerpt("a\u{202E}b"), "a\\u{202e}b");
        assert_eq!(excerpt(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
        assert_eq!(excerpt(&"x".repeat(64)), "x".repeat(64));
    }

    #[test]
    fn folding_makes_spellings_equal() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("oﬀer", "OFFER"),
            ("Crème", "creme"),
            ("ΟΔΟΣ", "οδος"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        let known = ["timeout_s", "description", "input"];
        assert_eq!(nearest("timeout", known), Some("timeout_s"));
        assert_eq!(nearest("descripton", known), Some("description"));
        assert_eq!(nearest("imput", known), Some("input"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"i".repeat(100_000), known), None);
        assert_eq!(nearest("ab", ["ac", "ba", "ab", "bb"]), Some("ab"));
        assert_eq!(nearest("ab", ["ac", "ba"]), Some("ac"), "of equally near ones the first");
        // In a long name a few letters may be wrong, and not every third.
        assert_eq!(nearest(&"ab".repeat(30), [&*"ac".repeat(30)]), None);
    }

    proptest::proptest! {
        #[test]
        fn slips_are_counted_as_a_library_counts_them(one in "[abc]{0,9}", other in "[abc]{0,9}", most in 0..9usize) {
            let expected = strsim::osa_distance(&one, &other);
            let letters = |text: &str| text.chars().collect::<Vec<char>>();
            let found = slips(&letters(&one), &letters(&other), most);
            proptest::prop_assert_eq!(found, (expected <= most).then_some(expected));
        }
    }
}
