//! HL7 escape sequences inside a value. What is no known sequence stays as it was written: a path with
//! backslashes or a lone backslash loses nothing.

use std::borrow::Cow;

use super::Separators;

/// The text that a value means.
pub fn decode<'a>(value: &'a str, separators: &Separators) -> Cow<'a, str> {
    let escape = separators.escape;
    let Some((before, mut rest)) = value.split_once(escape) else { return Cow::Borrowed(value) };
    let mut text = before.to_owned();
    loop {
        // `rest` stands behind an escape character.
        let decoded = rest.split_once(escape).and_then(|(sequence, after)| Some((one(sequence, separators)?, after)));
        if let Some((meaning, after)) = decoded {
            text.push_str(&meaning);
            rest = after;
        } else {
            text.push(escape);
        }
        let Some((plain, after)) = rest.split_once(escape) else { break };
        text.push_str(plain);
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// A text as a value: what would separate is escaped, and what cannot be seen is a space.
pub fn encode(text: &str, separators: &Separators) -> String {
    let Separators { field, component, repetition, escape, subcomponent, .. } = *separators;
    let mut made = String::new();
    for c in text.chars() {
        let letter = match c {
            _ if c == escape => 'E',
            _ if c == field => 'F',
            _ if c == component => 'S',
            _ if c == repetition => 'R',
            _ if c == subcomponent => 'T',
            _ => {
                made.push(if c.is_control() { ' ' } else { c });
                continue;
            }
        };
        made.extend([escape, letter, escape]);
    }
    made
}

fn one(sequence: &str, separators: &Separators) -> Option<String> {
    let letter = |c: char| Some(c.to_string());
    match sequence {
        "F" => letter(separators.field),
        "S" => letter(separators.component),
        "T" => letter(separators.subcomponent),
        "R" => letter(separators.repetition),
        "E" => letter(separators.escape),
        "P" => letter(separators.truncation.unwrap_or('#')),
        "H" | "N" => Some(String::new()),
        ".br" | ".ce" => Some("\n".to_owned()),
        ".fi" | ".nf" => Some(String::new()),
        _ => match sequence.strip_prefix('X') {
            Some(hex) => bytes(hex),
            None => layout(sequence),
        },
    }
}

/// `.sp3` is so many lines, `.sk3` so many spaces; indents have no meaning in a plain text.
fn layout(sequence: &str) -> Option<String> {
    let number =
        |digits: &str| if digits.is_empty() { Some(1) } else { digits.parse::<usize>().ok().filter(|n| *n <= 100) };
    if let Some(digits) = sequence.strip_prefix(".sp") {
        return Some("\n".repeat(number(digits)?));
    }
    if let Some(digits) = sequence.strip_prefix(".sk") {
        return Some(" ".repeat(number(digits)?));
    }
    let indent = sequence.strip_prefix(".in").or_else(|| sequence.strip_prefix(".ti"))?;
    number(indent.trim_start_matches(['+', '-'])).map(|_| String::new())
}

/// Bytes in hexadecimal: UTF-8, or else Latin-1.
fn bytes(hex: &str) -> Option<String> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| !d.is_empty() && d.len().is_multiple_of(2))?;
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |n, d| n * 16 + d)).ok()).collect();
    let bytes = bytes?;
    Some(String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_and_what_only_looks_like_them() {
        let table = [
            (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
            (r"é\F\", "é|"),
            (r"Müller\T\Söhne", "Müller&Söhne"),
            (r"日本\.br\語", "日本\n語"),
            (r"\é\", r"\é\"),
            (r"foo\bar", r"foo\bar"),
            (r"5 \ 6 mg", r"5 \ 6 mg"),
            (r"C:\dir\F\x", r"C:\dir|x"),
            (r"\X41\\XC3B3\\XF3\", "Aóó"),
            (r"\X4\\X\\XZZ\", r"\X4\\X\\XZZ\"),
            (r"\H\bold\N\", "bold"),
            (r"a\.sp2\b\.sk\c\.in+4\d", "a\n\nb cd"),
            (r"\.sp999999999\", r"\.sp999999999\"),
            (r"\C2842\\M2442\\Zx\", r"\C2842\\M2442\\Zx\"),
            (r"\", r"\"),
            (r"\\", r"\\"),
            ("", ""),
        ];
        for (value, want) in table {
            assert_eq!(decode(value, &Separators::default()), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_sequence_is_kept(value in "(\\PC|\\\\){0,20}") {
            let text = decode(&value, &Separators::default());
            prop_assert!(value.contains('\\') || text == value);
        }

        #[test]
        fn what_is_written_is_read_again(text in "\\PC{0,20}") {
            let value = encode(&text, &Separators::default());
            prop_assert!(!value.contains(['|', '^', '~', '&']));
            prop_assert_eq!(decode(&value, &Separators::default()), text);
        }
    }
}
