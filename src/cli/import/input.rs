//! Files as streams of text: unpacked (gzip, the export.xml of a zip), with the line that has been read to known, and
//! with an end to how long one line or element may be, so that no file takes more memory than that. What the text
//! means is for others.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

/// No line, row, element or resource is longer: as much as a server takes at once.
pub(super) const LONGEST: usize = 16 << 20;
/// So much is looked at to find out what a file is.
const HEAD: u64 = 64 << 10;
const BUFFER: usize = 64 << 10;

/// The text of a file from its beginning.
pub(super) type Source<'a> = Counted<BufReader<Box<dyn Read + 'a>>>;

/// Counts lines as they are read, and holds them short.
pub(super) struct Counted<R> {
    inner: R,
    /// The line that the next byte stands in, and how many bytes of it are read.
    line: u64,
    column: u64,
    /// What was read since something new began.
    held: usize,
}

impl<R: BufRead> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, line: 1, column: 0, held: 0 }
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// `line 7, byte 12`
    pub(super) fn place(&self) -> String {
        format!("line {}, byte {}", self.line, self.column + 1)
    }

    /// Something new begins here.
    pub(super) fn fresh(&mut self) {
        self.held = 0;
    }

    /// The next line with its end; false at the end of the file.
    pub(super) fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        self.fresh();
        line.clear();
        Ok(self.read_until(b'\n', line)? > 0)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.held > LONGEST {
            let text = format!("what begins before here is longer than {} MiB", LONGEST >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(ahead) = self.inner.fill_buf() {
            let read = ahead.get(..amount).unwrap_or(ahead);
            let (mut lines, mut after) = (0, 0);
            for part in read.split(|byte| *byte == b'\n') {
                (lines, after) = (lines + 1, part.len());
            }
            lines -= 1;
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.line += count(lines);
            self.column = if lines == 0 { self.column + count(read.len()) } else { count(after) };
        }
        self.held = self.held.saturating_add(amount);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut ahead = self.fill_buf()?;
        let amount = ahead.read(into)?;
        self.consume(amount);
        Ok(amount)
    }
}

/// Opens a file and works on its text. `head`: how it begins.
pub(super) fn with<T>(
    path: &Path,
    bar: &ProgressBar,
    work: impl FnOnce(&[u8], &mut Source<'_>) -> Result<T>,
) -> Result<T> {
    let open = || File::open(path).with_context(|| format!("cannot read {}", path.display()));
    let file = open()?;
    let length = file.metadata().map_or(0, |about| about.len());
    let mut reader = BufReader::new(file);
    let start = reader.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    if start.starts_with(b"PK\x03\x04") {
        let mut archive = zip::ZipArchive::new(open()?).with_context(|| path.display().to_string())?;
        let name = export_in(&mut archive).with_context(|| path.display().to_string())?;
        let entry = archive.by_name(&name).with_context(|| format!("{}: {name}", path.display()))?;
        bar.inc_length(entry.size());
        return text(path, Box::new(bar.wrap_read(entry)), work);
    }
    let packed = start.starts_with(b"\x1f\x8b");
    bar.inc_length(length);
    let reader = bar.wrap_read(reader);
    if packed {
        text(path, Box::new(flate2::read::MultiGzDecoder::new(reader)), work)
    } else {
        text(path, Box::new(reader), work)
    }
}

fn text<'r, T>(
    path: &Path,
    mut reader: Box<dyn Read + 'r>,
    work: impl FnOnce(&[u8], &mut Source<'_>) -> Result<T>,
) -> Result<T> {
    let (name, mut head) = (|| path.display().to_string(), Vec::new());
    (&mut reader).take(HEAD).read_to_end(&mut head).with_context(name)?;
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        bail!("{}: line 1: the file is in UTF-16; it must be in UTF-8", path.display());
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").map_or(head.clone(), <[u8]>::to_vec);
    let whole: Box<dyn Read + '_> = Box::new(Cursor::new(head.clone()).chain(reader));
    let mut source = Counted::new(BufReader::with_capacity(BUFFER, whole));
    work(&head, &mut source).with_context(name)
}

/// The name of the export in an archive of Apple Health, whatever it is called in the language of the phone.
fn export_in(archive: &mut zip::ZipArchive<File>) -> Result<String> {
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        let name = entry.name()?.into_owned();
        if !name.rsplit('.').next().is_some_and(|end| end.eq_ignore_ascii_case("xml")) {
            continue;
        }
        let mut head = Vec::new();
        entry.by_ref().take(4096).read_to_end(&mut head)?;
        if String::from_utf8_lossy(&head).contains("HealthData") {
            return Ok(name);
        }
    }
    bail!("there is no Apple Health export in this archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_held_short() {
        let mut source = Counted::new(BufReader::with_capacity(3, "ab\ncde\r\n\nf".as_bytes()));
        let (mut line, mut told) = (Vec::new(), Vec::new());
        loop {
            let number = source.line();
            if !source.next_line(&mut line).unwrap() {
                break;
            }
            told.push((number, String::from_utf8(line.clone()).unwrap()));
        }
        let want = [(1, "ab\n"), (2, "cde\r\n"), (3, "\n"), (4, "f")];
        assert_eq!(told, want.map(|(number, text)| (number, text.to_owned())));
        assert_eq!(source.place(), "line 4, byte 2");
        let mut endless = Counted::new(BufReader::new(io::repeat(b'x')));
        let refused = endless.next_line(&mut line).unwrap_err();
        assert!(refused.to_string().contains("longer than 16 MiB") && line.len() < LONGEST + BUFFER);
    }
}
