//! Cuts a JSON array or object into the raw texts of its parts without reading them, so that each reading can
//! be read, and refused, by itself. Looks at brackets and strings only; what is inside is judged later.

/// The elements of an array; none when the text is no array or its brackets do not match.
pub(super) fn elements(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = body.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (element, after) = value(rest)?;
        found.push(element);
        rest = next(after)?;
    }
    Some(found)
}

/// The members of an object: the raw names (without quotes) and the raw values.
pub(super) fn members(body: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = body.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?.trim_ascii();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = string(rest)?;
        let (value, after) = value(after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())?;
        found.push((name, value));
        rest = next(after)?;
    }
    Some(found)
}

/// What follows a comma; a comma at the very end is refused.
fn next(after: &[u8]) -> Option<&[u8]> {
    let after = after.trim_ascii_start();
    if after.is_empty() {
        return Some(after);
    }
    let after = after.strip_prefix(b",")?.trim_ascii_start();
    (!after.is_empty()).then_some(after)
}

/// The content of the string at the start, as it is written, and what follows it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The value at the start and what follows it: up to a comma that is not inside brackets or a string.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let (inside, _) = string(text.get(at..)?)?;
                at += inside.len() + 1;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    let value = text.get(..at)?.trim_ascii();
    (depth == 0 && !value.is_empty()).then(|| text.get(at..).map(|rest| (value, rest)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(body: &str) -> Option<Vec<&str>> {
        elements(body.as_bytes()).map(|found| found.into_iter().map(|e| std::str::from_utf8(e).unwrap()).collect())
    }

    #[test]
    fn cuts_at_the_right_commas() {
        assert_eq!(texts("[]").unwrap(), Vec::<&str>::new());
        assert_eq!(texts(r#" [ {"a":[1,2]} , "x,]\"," ,3] "#).unwrap(), [r#"{"a":[1,2]}"#, r#""x,]\",""#, "3"]);
        for broken in ["", "[", "{}", "[1,]", "[,1]", "[1 2", "[]]", "[[]", r#"["]"#, "[1],[2]", r#"["\"]"#] {
            assert_eq!(texts(broken).filter(|found| found.len() != 1), None, "{broken}");
        }
        let found = members(br#"{"a" : {"b":1}, "c":[2]}"#).unwrap();
        assert_eq!(found, [(b"a".as_slice(), br#"{"b":1}"#.as_slice()), (b"c".as_slice(), b"[2]".as_slice())]);
        assert_eq!(members(br#"{"a" 1}"#), None);
        assert_eq!(members(br"{a:1}"), None);
    }

    proptest! {
        #[test]
        fn cuts_what_serde_writes(list in prop::collection::vec("\\PC{0,10}|[\\[\\]{},\":\\\\]{0,8}", 0..8)) {
            let body = serde_json::to_vec(&list).unwrap();
            let back: Vec<String> = elements(&body).unwrap().into_iter().map(|e| serde_json::from_slice(e).unwrap()).collect();
            prop_assert_eq!(back, list);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(body in "[\\[\\]{},\":\\\\ a1]{0,30}") {
            let _ = (elements(body.as_bytes()), members(body.as_bytes()));
        }
    }
}
