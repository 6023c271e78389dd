//! Bytes to text by MSH-18, and back for the answer. Never lossy: what does not decode is refused, since a
//! replaced letter can be another patient.

use encoding_rs::Encoding;

/// A character set: how text is read and what the answer's MSH-18 says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charset {
    form: Form,
    /// May another be tried when this one does not fit? Only when the sender named none, or only ASCII.
    guessed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Bytes(&'static Encoding),
    /// Two or four bytes a letter.
    Wide(Wide),
}

/// So many bytes make a unit, the lowest first or last.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wide {
    four: bool,
    little: bool,
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
    pub const UTF_8: Self = Self { form: Form::Bytes(encoding_rs::UTF_8), guessed: true };

    /// The set that MSH-18 names, all its repetitions with `separator` between; nothing and ASCII mean UTF-8, else
    /// Windows-1252. The first one is that of the message; the others are switched to inside it (ISO 2022), which is
    /// done here for the Japanese ones.
    pub fn listed(list: &str, separator: char) -> Result<Self, NoText> {
        let mut names = list.split(separator);
        let first = Self::named(names.next().unwrap_or_default());
        let japanese =
            list.split(separator).any(|name| matches!(plain(name).as_str(), "ISOIR14" | "ISOIR87" | "ISOIR159"));
        match first {
            Ok(first) if japanese && first.guessed => Ok(Self::bytes(encoding_rs::ISO_2022_JP)),
            first => first,
        }
    }

    /// One set by its name in HL7's table 0211, or as senders write it.
    pub fn named(name: &str) -> Result<Self, NoText> {
        let plain = plain(name);
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
            "885910" => encoding_rs::ISO_8859_10,
            "885913" => encoding_rs::ISO_8859_13,
            "885914" => encoding_rs::ISO_8859_14,
            "885915" => encoding_rs::ISO_8859_15,
            "885916" => encoding_rs::ISO_8859_16,
            "ISOIR14" | "ISOIR87" | "ISOIR159" | "ISO2022JP" => encoding_rs::ISO_2022_JP,
            "SHIFTJIS" | "SJIS" => encoding_rs::SHIFT_JIS,
            "EUCJP" => encoding_rs::EUC_JP,
            "GB180302000" | "GB18030" | "GBK" | "GB2312" => encoding_rs::GB18030,
            "BIG5" => encoding_rs::BIG5,
            "KSX1001" => encoding_rs::EUC_KR,
            "TIS620" | "885911" => encoding_rs::WINDOWS_874,
            "WINDOWS1250" => encoding_rs::WINDOWS_1250,
            "WINDOWS1251" => encoding_rs::WINDOWS_1251,
            "WINDOWS1252" => encoding_rs::WINDOWS_1252,
            _ => return Err(NoText::Unknown),
        };
        Ok(Self::bytes(encoding))
    }

    fn bytes(encoding: &'static Encoding) -> Self {
        Self { form: Form::Bytes(encoding), guessed: false }
    }

    /// Reads the bytes; the set that fitted comes with the text.
    pub fn decode(self, bytes: &[u8]) -> Result<(String, Self), NoText> {
        let encoding = match self.form {
            Form::Bytes(encoding) => encoding,
            Form::Wide(wide) => return wide.decode(bytes).map(|text| (text, self)).ok_or(NoText::Invalid),
        };
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return Ok((text.into_owned(), self));
        }
        let western = Self { form: Form::Bytes(encoding_rs::WINDOWS_1252), guessed: true };
        let text = encoding_rs::WINDOWS_1252.decode_without_bom_handling_and_without_replacement(bytes);
        text.filter(|_| self.guessed).map(|text| (text.into_owned(), western)).ok_or(NoText::Invalid)
    }

    /// Writes text; what the set does not have becomes `?`, as answers hold nothing but what was sent.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let encoding = match self.form {
            Form::Bytes(encoding) => encoding,
            Form::Wide(wide) => return wide.encode(text),
        };
        let (bytes, _, lossy) = encoding.encode(text);
        if lossy {
            return encoding.encode(&text.replace(|c: char| !c.is_ascii(), "?")).0.into_owned();
        }
        bytes.into_owned()
    }

    /// The set of a message of two or four bytes a letter, which no MSH-18 could say: it would have to be read first.
    pub fn wide(bytes: &[u8]) -> Option<Self> {
        let wide = |four, little| Some(Self { form: Form::Wide(Wide { four, little }), guessed: false });
        match bytes {
            [0xff, 0xfe, 0, 0, ..] | [b'M', 0, 0, 0, ..] => wide(true, true),
            [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, b'M', ..] => wide(true, false),
            [0xff, 0xfe, ..] | [b'M', 0, ..] => wide(false, true),
            [0xfe, 0xff, ..] | [0, b'M', ..] => wide(false, false),
            _ => None,
        }
    }
}

/// A name without what senders write between its letters.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

impl Wide {
    fn decode(self, bytes: &[u8]) -> Option<String> {
        let text = if self.four {
            let (units, rest) = bytes.as_chunks::<4>();
            let letter = |unit: &[u8; 4]| {
                char::from_u32(if self.little { u32::from_le_bytes(*unit) } else { u32::from_be_bytes(*unit) })
            };
            units.iter().map(letter).collect::<Option<String>>().filter(|_| rest.is_empty())?
        } else {
            let encoding = if self.little { encoding_rs::UTF_16LE } else { encoding_rs::UTF_16BE };
            encoding.decode_without_bom_handling_and_without_replacement(bytes)?.into_owned()
        };
        Some(text.trim_start_matches('\u{feff}').to_owned())
    }

    fn encode(self, text: &str) -> Vec<u8> {
        let four = |c: char| if self.little { u32::from(c).to_le_bytes() } else { u32::from(c).to_be_bytes() };
        let two = |unit: u16| if self.little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        if self.four { text.chars().flat_map(four).collect() } else { text.encode_utf16().flat_map(two).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str, bytes: &[u8]) -> Result<String, NoText> {
        Charset::listed(list, '~')?.decode(bytes).map(|(text, _)| text)
    }

    #[test]
    fn sets_by_their_names() {
        let table: [(&str, &[u8], Result<&str, NoText>); 26] = [
            ("", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("", b"L\xf3fasz", Ok("Lófasz")),
            ("ASCII", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("UNICODE UTF-8", b"L\xc3\xb3fasz", Ok("Lófasz")),
            ("UNICODE UTF-8", b"L\xf3fasz", Err(NoText::Invalid)),
            ("8859/1", b"L\xf3fasz", Ok("Lófasz")),
            ("8859/1~UNICODE UTF-8", b"L\xf3fasz", Ok("Lófasz")),
            ("8859/2", b"\xb3", Ok("ł")),
            ("ISO8859-2", b"\xb3", Ok("ł")),
            ("8859/3", b"\xa1", Ok("Ħ")),
            ("8859/4", b"\xa2", Ok("ĸ")),
            ("8859/5", b"\xb0", Ok("А")),
            ("8859/6", b"\xff", Err(NoText::Invalid)),
            ("8859/7", b"\xe1", Ok("α")),
            ("8859/8", b"\xe0", Ok("א")),
            ("8859/9", b"\xfd", Ok("ı")),
            ("8859/15", b"\xa4", Ok("€")),
            ("ISO IR87", b"\x1b$B;3ED\x1b(B|", Ok("山田|")),
            ("~ISO IR87", b"\x1b$B;3ED\x1b(B^A", Ok("山田^A")),
            ("ASCII~ISO IR14~ISO IR87", b"\x1b(I\x31\x1b(B", Ok("ｱ")),
            ("~ISO IR159", b"\x1b$(D\x30\x21\x1b(B", Err(NoText::Invalid)),
            ("GB 18030-2000", b"\xc0\xee", Ok("李")),
            ("GB18030", b"\x81", Err(NoText::Invalid)),
            ("KS X 1001", b"\xb1\xe8", Ok("김")),
            ("BIG-5", b"\xa7\xf5", Ok("李")),
            ("CNS 11643-1992", b"x", Err(NoText::Unknown)),
        ];
        for (list, bytes, want) in table {
            assert_eq!(read(list, bytes), want.map(str::to_owned), "{list}");
        }
        assert_eq!(Charset::named("8859/2").unwrap().encode("łΩ"), b"??");
        assert_eq!(Charset::named("GB18030").unwrap().encode("李"), b"\xc0\xee");
        assert_eq!(Charset::listed("~ISO IR87", '~').unwrap().encode("山"), b"\x1b$B;3\x1b(B");
    }

    #[test]
    fn two_and_four_bytes_a_letter() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"", b"M\0S\0"),
            (b"\xff\xfe", b"M\0S\0"),
            (b"\xfe\xff", b"\0M\0S"),
            (b"", b"M\0\0\0S\0\0\0"),
            (b"", b"\0\0\0M\0\0\0S"),
            (b"\0\0\xfe\xff", b"\0\0\0M\0\0\0S"),
        ];
        for (mark, text) in table {
            let bytes = [mark, text].concat();
            let (read, charset) = Charset::wide(&bytes).unwrap().decode(&bytes).unwrap();
            assert_eq!((read.as_str(), charset.encode("MS").as_slice()), ("MS", text));
        }
        assert!(Charset::wide(b"MS").is_none());
        assert!(Charset::wide(b"M\0\0\0S").unwrap().decode(b"M\0\0\0S").is_err());
    }
}
