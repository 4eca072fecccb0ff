//! Counting: how many values a document has, without building any.

/// Whether a document has more values than this, told by its brackets and commas alone; of what is no JSON it may say
/// either.
pub(super) fn has_more_values(bytes: &[u8], max_values: usize) -> bool {
    let (mut values, mut first) = (1, false);
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
            b'[' | b'{' => first = true,
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
            return true;
        }
    }
    false
}
