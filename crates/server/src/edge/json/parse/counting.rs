//! Counting: how many values a document has, without building any.

/// What a document has too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    Values,
    Objects,
}

/// How many objects a document of so many values may have. The library keeps the members of an object in nodes of some
/// 600 bytes, ten times the size of any other value: of small objects alone, a document would take a hundred times its own
/// size.
pub(super) fn max_objects(max_values: usize) -> usize {
    max_values / 4
}

/// What a document has more of than this, told by its brackets and commas alone; of what is no JSON it may say anything.
pub(super) fn too_many(bytes: &[u8], max_values: usize) -> Option<TooMany> {
    let (mut values, mut objects, mut first) = (1, 0, false);
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b']' | b'}' => first = false,
            b',' => values += 1,
            // The first value behind an opening bracket has no comma.
            _ if first => {
                values += 1;
                first = false;
            }
            _ => {}
        }
        match byte {
            b'[' => first = true,
            b'{' => {
                objects += 1;
                first = true;
            }
            b'"' => {
                while let Some(inside) = rest.next() {
                    match inside {
                        b'"' => break,
                        b'\\' => {
                            rest.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if values > max_values {
            return Some(TooMany::Values);
        }
        if objects > max_objects(max_values) {
            return Some(TooMany::Objects);
        }
    }
    None
}
