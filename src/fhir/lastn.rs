//! What `Observation/$lastn` asks for, and which Observations are of one group: those that share a coding, and
//! those that share one with these (R4, operation lastn). Text stands for the concept where there is no coding.

use super::reading::Code;
use super::reference;

/// What one kind of reading is told from others by: its codings in order, else its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Coded(Vec<Code>),
    Text(String),
}

/// Free text is no vocabulary: as much of it as the store tells kinds apart by.
const MAX_TEXT: usize = 200;

impl Kind {
    pub fn of(codings: &[Code], text: Option<&str>) -> Self {
        if codings.is_empty() {
            return Self::Text(text.unwrap_or_default().chars().take(MAX_TEXT).collect());
        }
        let mut codings = codings.to_vec();
        codings.sort_unstable();
        codings.dedup();
        Self::Coded(codings)
    }

    pub fn codings(&self) -> &[Code] {
        match self {
            Self::Coded(codings) => codings,
            Self::Text(_) => &[],
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Coded(_) => "",
            Self::Text(text) => text,
        }
    }
}

/// For each kind the number of its group. Sharing is passed on: `a`, `ab` and `b` are one group.
pub fn groups(kinds: &[&Kind]) -> Vec<usize> {
    let mut group: Vec<usize> = (0..kinds.len()).collect();
    let mut first: std::collections::HashMap<(&str, &str), usize> = std::collections::HashMap::new();
    let mut texts: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (at, kind) in kinds.iter().enumerate() {
        match kind {
            Kind::Text(text) => join(&mut group, at, *texts.entry(text).or_insert(at)),
            Kind::Coded(codings) => {
                for (system, code) in codings {
                    let other = *first.entry((system, code)).or_insert(at);
                    join(&mut group, at, other);
                }
            }
        }
    }
    (0..kinds.len()).map(|at| root(&group, at)).collect()
}

fn root(group: &[usize], mut at: usize) -> usize {
    while let Some(up) = group.get(at).copied().filter(|up| *up != at) {
        at = up;
    }
    at
}

fn join(group: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(group, one), root(group, other));
    if let Some(slot) = group.get_mut(one.max(other)) {
        *slot = one.min(other);
    }
}

/// How many of a group to answer: `max`, and those that were measured at the same time as the last of them.
/// `times`: newest first.
pub fn cut(times: &[i64], max: usize) -> usize {
    let Some(last) = max.checked_sub(1).and_then(|at| times.get(at)) else { return times.len().min(max) };
    times.iter().take_while(|time| *time >= last).count()
}

/// One value of a token parameter: `code`, `system|code`, `|code` or `system|`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    system: Option<String>,
    code: Option<String>,
}

impl Token {
    fn fits(&self, (system, code): &Code) -> bool {
        self.system.as_ref().is_none_or(|own| own == system) && self.code.as_ref().is_none_or(|own| own == code)
    }
}

/// A question of the plain shape: about one subject, by codes and categories alone. Each list must be met, by
/// any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// `Patient/p1`
    pub subject: String,
    pub codes: Vec<Vec<Token>>,
    pub categories: Vec<Vec<Token>>,
}

impl Plain {
    /// Reads the decoded search parameters; none when they ask for more than the plain shape has.
    pub fn read(pairs: &[(String, String)]) -> Option<Self> {
        let (mut plain, mut subjects) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            // An escaped character is for those who search by every rule.
            if value.is_empty() || value.contains('\\') || value.contains('\0') {
                return None;
            }
            match name.as_str() {
                "patient" if reference::is_id(value) => subjects.push(format!("Patient/{value}")),
                "patient" | "subject" => {
                    let local = reference::local(value).filter(|l| name == "subject" || l.resource_type == "Patient");
                    subjects.push(local.filter(|l| l.version.is_none()).map(|_| value.clone())?);
                }
                "code" => plain.codes.push(tokens(value)?),
                "category" => plain.categories.push(tokens(value)?),
                "_format" | "_pretty" => {}
                _ => return None,
            }
        }
        subjects.dedup();
        plain.subject = (subjects.len() == 1).then(|| subjects.pop()).flatten()?;
        Some(plain)
    }

    pub fn wants_kind(&self, kind: &Kind) -> bool {
        all_met(&self.codes, kind.codings())
    }

    pub fn wants_category(&self, category: &[Code]) -> bool {
        all_met(&self.categories, category)
    }
}

fn all_met(lists: &[Vec<Token>], codings: &[Code]) -> bool {
    lists.iter().all(|tokens| tokens.iter().any(|token| codings.iter().any(|coding| token.fits(coding))))
}

fn tokens(value: &str) -> Option<Vec<Token>> {
    let token = |text: &str| match text.split_once('|') {
        None if text.is_empty() => None,
        None => Some(Token { system: None, code: Some(text.to_owned()) }),
        Some((_, code)) if code.contains('|') => None,
        Some(("", "")) => None,
        Some((system, "")) => Some(Token { system: Some(system.to_owned()), code: None }),
        Some((system, code)) => Some(Token { system: Some(system.to_owned()), code: Some(code.to_owned()) }),
    };
    value.split(',').map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        match text.strip_prefix('"') {
            Some(text) => Kind::of(&[], Some(text)),
            None => Kind::of(&text.split(',').map(|c| ("s".to_owned(), c.to_owned())).collect::<Vec<_>>(), None),
        }
    }

    #[test]
    fn groups_are_those_of_the_definition() {
        let table: [(&[&str], &[usize]); 6] = [
            (&["a", "b", "c"], &[0, 1, 2]),
            (&["a", "b", "a,c"], &[0, 1, 0]),
            (&["a", "b", "a,b"], &[0, 0, 0]),
            (&["\"textM", "\"Text", "\"t e x t"], &[0, 1, 2]),
            (&["\"a", "a", "\"a"], &[0, 1, 0]),
            (&["a,b", "c,d", "e", "b,c", "d,e"], &[0, 0, 0, 0, 0]),
        ];
        for (kinds, expected) in table {
            let kinds: Vec<Kind> = kinds.iter().map(|k| kind(k)).collect();
            assert_eq!(groups(&kinds.iter().collect::<Vec<_>>()), expected, "{kinds:?}");
        }
    }

    #[test]
    fn a_tie_with_the_last_is_answered_too() {
        for (times, max, expected) in [
            (&[9, 8, 7][..], 1, 1),
            (&[9, 8, 7], 5, 3),
            (&[9, 8, 8, 7], 2, 3),
            (&[9, 9, 9], 1, 3),
            (&[], 1, 0),
            (&[9], 0, 0),
        ] {
            assert_eq!(cut(times, max), expected, "{times:?} {max}");
        }
    }

    #[test]
    fn plain_questions_are_told_from_others() {
        let read = |text: &str| {
            Plain::read(
                &text
                    .split('&')
                    .filter_map(|p| p.split_once('='))
                    .map(|(n, v)| (n.into(), v.into()))
                    .collect::<Vec<_>>(),
            )
        };
        for (text, subject) in [
            ("patient=p&code=8867-4", Some("Patient/p")),
            ("patient=Patient/p&subject=Patient/p&category=s|c,d", Some("Patient/p")),
            ("subject=Group/g&code=s|", Some("Group/g")),
            ("patient=p", Some("Patient/p")),
            ("code=a", None),
            ("subject=p&code=a", None),
            ("patient=p,q&code=a", None),
            ("patient=p&patient=q&code=a", None),
            ("patient=p&code=a&date=2026", None),
            ("patient=p&code:not=a", None),
            ("patient=p&code=a\\,b", None),
            ("patient=p&code=a,,b", None),
            ("patient=Group/g&code=a", None),
        ] {
            assert_eq!(read(text).map(|p| p.subject).as_deref(), subject, "{text}");
        }
        let plain = read("patient=p&code=s|a,|b,c&category=v").unwrap();
        assert!(plain.wants_kind(&kind("a")) && plain.wants_kind(&kind("x,c")) && !plain.wants_kind(&kind("b")));
        assert!(plain.wants_category(&[("x".into(), "v".into())]) && !plain.wants_category(&[]));
    }
}
