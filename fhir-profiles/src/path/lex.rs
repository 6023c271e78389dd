//! Words of an expression.

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name; in backticks it is never a keyword.
    Name(String),
    Quoted(String),
    Text(String),
    Number(String),
    /// `@2026-11-22`, without the `@`.
    Time(String),
    /// `%resource`
    Variable(String),
    /// `$this`
    Special(String),
    Sign(&'static str),
    End,
}

/// Longer ones first, so that `<=` is not read as `<`.
const SIGNS: [&str; 22] =
    ["<=", ">=", "!=", "!~", ".", "(", ")", "[", "]", "{", "}", ",", "|", "&", "+", "-", "*", "/", "=", "<", ">", "~"];

/// The words of a text, or what cannot be one.
pub(super) fn words(text: &str) -> Result<Vec<Token>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
            continue;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or("a comment does not end")?.1.trim_start();
            continue;
        } else {
            word(first, rest)?
        };
        words.push(word);
        rest = after.trim_start();
    }
    words.push(Token::End);
    Ok(words)
}

fn word(first: char, text: &str) -> Result<(Token, &str), String> {
    let after_first = text.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '\'' | '"' | '`' => {
            let (inside, after) = quoted(first, after_first)?;
            return Ok((if first == '`' { Token::Quoted(inside) } else { Token::Text(inside) }, after));
        }
        '%' if after_first.starts_with(['`', '\'', '"']) => {
            let quote = after_first.chars().next().unwrap_or('`');
            let (inside, after) = quoted(quote, after_first.get(1..).unwrap_or_default())?;
            return Ok((Token::Variable(inside), after));
        }
        '%' | '$' => {
            let (name, after) =
                take(after_first, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-' && first == '%');
            let name = name.to_owned();
            return Ok((if first == '%' { Token::Variable(name) } else { Token::Special(name) }, after));
        }
        '@' => {
            let (time, after) = take(after_first, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '+' | '.'));
            return Ok((Token::Time(time.to_owned()), after));
        }
        _ => {}
    }
    if first.is_ascii_digit() {
        let (whole, after) = take(text, |c| c.is_ascii_digit());
        if let Some(fraction) = after.strip_prefix('.').filter(|f| f.starts_with(|c: char| c.is_ascii_digit())) {
            let (digits, after) = take(fraction, |c| c.is_ascii_digit());
            return Ok((Token::Number(format!("{whole}.{digits}")), after));
        }
        return Ok((Token::Number(whole.to_owned()), after));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let (name, after) = take(text, |c| c.is_ascii_alphanumeric() || c == '_');
        return Ok((Token::Name(name.to_owned()), after));
    }
    let sign = SIGNS.into_iter().find(|sign| text.starts_with(sign)).ok_or("a character that has no meaning")?;
    Ok((Token::Sign(sign), text.get(sign.len()..).unwrap_or_default()))
}

fn take(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c: char| !fits(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Up to the closing quote, with its escapes resolved.
fn quoted(quote: char, text: &str) -> Result<(String, &str), String> {
    let (mut inside, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Ok((inside, text.get(at + letter.len_utf8()..).unwrap_or_default()));
        }
        if letter != '\\' {
            inside.push(letter);
            continue;
        }
        match letters.next().ok_or("a text does not end")?.1 {
            'n' => inside.push('\n'),
            'r' => inside.push('\r'),
            't' => inside.push('\t'),
            'f' => inside.push('\u{c}'),
            'u' => {
                let digits: String = letters.by_ref().take(4).map(|(_, c)| c).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                inside.push(code.ok_or("an escape that is no character")?);
            }
            other @ ('\'' | '"' | '`' | '\\' | '/') => inside.push(other),
            // Some guides escape for a regular expression once only.
            other => inside.extend(['\\', other]),
        }
    }
    Err("a text does not end".to_owned())
}
