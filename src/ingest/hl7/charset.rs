//! Bytes to text by MSH-18, and back for the answer. Never lossy: what does not decode is refused, since a
//! replaced letter can be another patient.

use encoding_rs::Encoding;

/// A character set: how text is read and what the answer's MSH-18 says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charset {
    encoding: &'static Encoding,
    /// May another be tried when this one does not fit? Only when the sender named none, or only ASCII.
    guessed: bool,
}

/// Why bytes are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoText {
    /// MSH-18 names a set that is not spoken here.
    Unknown,
    /// There are bytes that the named set does not have.
    Invalid,
}

impl Charset {
    pub const UTF_8: Self = Self { encoding: encoding_rs::UTF_8, guessed: true };

    /// The set that MSH-18 (its first repetition) names; nothing and ASCII mean UTF-8, else Windows-1252.
    pub fn named(name: &str) -> Result<Self, NoText> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
        let plain = plain.strip_prefix("ISO").filter(|rest| rest.starts_with("8859")).unwrap_or(&plain);
        let encoding = match plain {
            "" | "ASCII" | "USASCII" | "ISOIR6" => return Ok(Self::UTF_8),
            "UNICODEUTF8" | "UTF8" | "UNICODE" => encoding_rs::UTF_8,
            "88591" => encoding_rs::WINDOWS_1252,
            "88592" => encoding_rs::ISO_8859_2,
            "88593" => encoding_rs::ISO_8859_3,
            "88594" => encoding_rs::ISO_8859_4,
            "88595" => encoding_rs::ISO_8859_5,
            "88596" => encoding_rs::ISO_8859_6,
            "88597" => encoding_rs::ISO_8859_7,
            "88598" => encoding_rs::ISO_8859_8,
            "88599" => encoding_rs::WINDOWS_1254,
            "885915" => encoding_rs::ISO_8859_15,
            "GB180302000" | "GB18030" | "GBK" | "GB2312" => encoding_rs::GB18030,
            "BIG5" => encoding_rs::BIG5,
            "KSX1001" => encoding_rs::EUC_KR,
            _ => return Err(NoText::Unknown),
        };
        Ok(Self { encoding, guessed: false })
    }

    /// Reads the bytes; the set that fitted comes with the text.
    pub fn decode(self, bytes: &[u8]) -> Result<(String, Self), NoText> {
        if let Some(text) = self.encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return Ok((text.into_owned(), self));
        }
        let western = Self { encoding: encoding_rs::WINDOWS_1252, guessed: true };
        let text = encoding_rs::WINDOWS_1252.decode_without_bom_handling_and_without_replacement(bytes);
        text.filter(|_| self.guessed).map(|text| (text.into_owned(), western)).ok_or(NoText::Invalid)
    }

    /// Writes text; what the set does not have becomes `?`, as answers hold nothing but what was sent.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let (bytes, _, lossy) = self.encoding.encode(text);
        if lossy {
            return self.encoding.encode(&text.replace(|c: char| !c.is_ascii(), "?")).0.into_owned();
        }
        bytes.into_owned()
    }
}

/// Text that was sent as UTF-16 (two bytes a letter, which no MSH-18 could say), as UTF-8.
pub fn from_utf16(bytes: &[u8]) -> Option<String> {
    let encoding = match bytes {
        [0xff, 0xfe, ..] | [b'M', 0, ..] => encoding_rs::UTF_16LE,
        [0xfe, 0xff, ..] | [0, b'M', ..] => encoding_rs::UTF_16BE,
        _ => return None,
    };
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(|t| t.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<String, NoText> {
        Charset::named(name)?.decode(bytes).map(|(text, _)| text)
    }

    #[test]
    fn sets_by_their_names() {
        let table: [(&str, &[u8], Result<&str, NoText>); 13] = [
            ("", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("", b"L\xf3fasz", Ok("Lófasz")),
            ("ASCII", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("UNICODE UTF-8", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("UNICODE UTF-8", b"L\xf3fasz", Err(NoText::Invalid)),
            ("8859/1", b"L\xf3fasz", Ok("Lófasz")),
            ("8859/2", b"\xb3", Ok("ł")),
            ("ISO8859-2", b"\xb3", Ok("ł")),
            ("8859/5", b"\xb0", Ok("А")),
            ("8859/6", b"\xff", Err(NoText::Invalid)),
            ("GB 18030-2000", b"\xc0\xee", Ok("李")),
            ("GB18030", b"\x81", Err(NoText::Invalid)),
            ("ISO IR87", b"x", Err(NoText::Unknown)),
        ];
        for (name, bytes, want) in table {
            assert_eq!(read(name, bytes), want.map(str::to_owned), "{name}");
        }
        assert_eq!(Charset::named("8859/2").unwrap().encode("łΩ"), b"??");
        assert_eq!(Charset::named("GB18030").unwrap().encode("李"), b"\xc0\xee");
        assert_eq!(from_utf16(b"M\0S\0").as_deref(), Some("MS"));
        assert_eq!(from_utf16(b"\xfe\xff\0M").as_deref(), Some("M"));
        assert_eq!(from_utf16(b"MS"), None);
    }
}
