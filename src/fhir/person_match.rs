//! How likely two Patients are the same person (`Patient/$match`): a fixed weight for everything that is told of
//! both, without learning and without chance, so that an answer can be explained.
//!
//! | told | weight | agrees wholly | agrees half |
//! |---|---|---|---|
//! | identifier | 40 | the same value in the same system | |
//! | family name | 20 | the same, without accents and capitals | one letter apart |
//! | given name | 10 | the same first name | the same initial |
//! | birth date | 20 | the same day | one is the year or month of the other, or day and month are swapped |
//! | gender | 5 | the same | |
//! | telecom | 10 | the same number or address | |
//! | address | 5 | the same postal code, or city and line | |
//!
//! The score is what agrees of what was asked; what the other does not tell counts half against it. Three bands:
//! *certain* from 0.95 (an identifier agrees and neither name nor birth date speaks against it; or name, birth
//! date and a telecom or address agree, and no identifier speaks against it), *probable* from 0.75 (a weight of
//! at least 40 agrees), *possible* from 0.5. A score never lies in a band that its grade does not reach.

use serde_json::Value;

use super::index::fold;
use super::reading::{list, str_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Possible,
    Probable,
    Certain,
}

impl Grade {
    /// A code of <http://terminology.hl7.org/CodeSystem/match-grade>.
    pub fn code(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Probable => "probable",
            Self::Possible => "possible",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub grade: Grade,
    /// Of 1000.
    pub score: u32,
}

/// How one thing that is told of a person compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// It was not asked.
    Unasked,
    /// It was asked, and the other does not tell it.
    Untold,
    Differs,
    Half,
    Agrees,
}

use Compared::{Agrees, Differs, Half, Unasked, Untold};

/// None when it is hardly the same person.
pub fn judge(asked: &Value, other: &Value) -> Option<Judgement> {
    let identifier = identifiers(asked, other);
    let (family, given) = names(asked, other);
    let birth = birth_dates(str_of(asked, "birthDate"), str_of(other, "birthDate"));
    let gender = plain(str_of(asked, "gender"), str_of(other, "gender"));
    let (telecom, address) = (telecoms(asked, other), addresses(asked, other));
    let compared = [(identifier, 40), (family, 20), (given, 10), (birth, 20), (gender, 5), (telecom, 10), (address, 5)];
    // In half weights, so that a half is whole.
    let (mut agreed, mut asked_for) = (0_u32, 0_u32);
    for (compared, weight) in compared {
        let (own, of) = match compared {
            Unasked => (0, 0),
            Untold => (0, weight),
            Differs => (0, 2 * weight),
            Half => (weight, 2 * weight),
            Agrees => (2 * weight, 2 * weight),
        };
        agreed += own;
        asked_for += of;
    }
    let score = (1000 * agreed).checked_div(asked_for)?;
    let by_identifier = identifier == Agrees && family != Differs && birth != Differs;
    let by_person = [family, given, birth].iter().all(|c| *c == Agrees)
        && (telecom == Agrees || address == Agrees)
        && identifier != Differs;
    let grade = match score {
        950.. if by_identifier || by_person => Grade::Certain,
        750.. if agreed >= 80 && identifier != Differs => Grade::Probable,
        500.. => Grade::Possible,
        _ => return None,
    };
    let most = match grade {
        Grade::Certain => 1000,
        Grade::Probable => 949,
        Grade::Possible => 749,
    };
    Some(Judgement { grade, score: score.min(most) })
}

fn plain(asked: Option<&str>, other: Option<&str>) -> Compared {
    match (asked, other) {
        (None, _) => Unasked,
        (Some(_), None) => Untold,
        (Some(asked), Some(other)) => {
            if asked == other {
                Agrees
            } else {
                Differs
            }
        }
    }
}

fn identifiers(asked: &Value, other: &Value) -> Compared {
    let of = |person| {
        list(Value::get(person, "identifier"))
            .filter_map(|one| Some((str_of(one, "system").unwrap_or_default(), str_of(one, "value")?)))
    };
    if of(asked).next().is_none() {
        return Unasked;
    }
    if of(asked).any(|own| of(other).any(|held| held == own)) {
        return Agrees;
    }
    // Another number of the same system is another person; one of another system says nothing.
    if of(asked).any(|own| of(other).any(|held| held.0 == own.0)) { Differs } else { Untold }
}

/// Family and given name of the two names that agree best.
fn names(asked: &Value, other: &Value) -> (Compared, Compared) {
    let mut best = (Unasked, Unasked);
    for own in list(asked.get("name")) {
        let nothing = Value::Null;
        let mut held = list(other.get("name")).peekable();
        let none_told = held.peek().is_none();
        for held in held.chain(none_told.then_some(&nothing)) {
            let pair = (family(own, held), given(own, held));
            if rank(pair) > rank(best) || best == (Unasked, Unasked) {
                best = pair;
            }
        }
    }
    best
}

fn rank((family, given): (Compared, Compared)) -> u32 {
    let points = |compared| match compared {
        Agrees => 4,
        Half => 2,
        Untold => 1,
        Unasked | Differs => 0,
    };
    2 * points(family) + points(given)
}

fn family(asked: &Value, other: &Value) -> Compared {
    let text = |name| str_of(name, "family").map(|text| fold(text.trim()));
    match (text(asked), text(other)) {
        (None, _) => Unasked,
        (Some(_), None) => Untold,
        (Some(asked), Some(other)) if asked == other => Agrees,
        (Some(asked), Some(other)) if is_one_letter_apart(&asked, &other) => Half,
        _ => Differs,
    }
}

fn given(asked: &Value, other: &Value) -> Compared {
    let first = |name: &Value| list(name.get("given")).find_map(Value::as_str).map(|text| fold(text.trim()));
    match (first(asked), first(other)) {
        (None, _) => Unasked,
        (Some(_), None) => Untold,
        (Some(asked), Some(other)) if asked == other => Agrees,
        (Some(asked), Some(other)) if asked.chars().next().is_some_and(|c| other.starts_with(c)) => Half,
        _ => Differs,
    }
}

/// One letter more, less or other, in names long enough for that to be a slip.
fn is_one_letter_apart(one: &str, other: &str) -> bool {
    let (mut short, mut long): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if short.len() > long.len() {
        std::mem::swap(&mut short, &mut long);
    }
    if short.len() < 4 || long.len() - short.len() > 1 {
        return false;
    }
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let rest = |text: &[char], skipped: usize| text.iter().skip(same + skipped).copied().collect::<Vec<_>>();
    rest(&short, 1) == rest(&long, 1) || (short.len() < long.len() && rest(&short, 0) == rest(&long, 1))
}

fn birth_dates(asked: Option<&str>, other: Option<&str>) -> Compared {
    match (plain(asked, other), asked, other) {
        (Differs, Some(asked), Some(other)) if is_slip(asked, other) => Half,
        (compared, ..) => compared,
    }
}

fn is_slip(asked: &str, other: &str) -> bool {
    let is_part_of = |part: &str, whole: &str| whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('-'));
    // `y-d-m` of one is `y-m-d` of the other.
    let turned = |date: &str| match date.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => Some(format!("{year}-{day}-{month}")),
        _ => None,
    };
    is_part_of(asked, other) || is_part_of(other, asked) || turned(asked).as_deref() == Some(other)
}

fn telecoms(asked: &Value, other: &Value) -> Compared {
    let of = |person: &Value| -> Vec<String> {
        list(person.get("telecom")).filter_map(|one| reduced(str_of(one, "value")?)).collect()
    };
    any_same(&of(asked), &of(other))
}

/// An address in small letters; of a number its last nine digits, whatever is written between and before.
fn reduced(text: &str) -> Option<String> {
    if text.contains('@') {
        return Some(fold(text.trim()));
    }
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    let last: String = digits.iter().skip(digits.len().saturating_sub(9)).collect();
    Some(last).filter(|last| last.len() >= 5)
}

fn addresses(asked: &Value, other: &Value) -> Compared {
    let of = |person: &Value| -> Vec<String> {
        let all = list(person.get("address"));
        all.flat_map(|address| {
            let code = str_of(address, "postalCode").map(|code| fold(&code.replace(' ', "")));
            let line = list(address.get("line")).find_map(Value::as_str);
            let place = str_of(address, "city").zip(line).map(|(city, line)| fold(&format!("{city}\n{line}")));
            [code, place]
        })
        .flatten()
        .collect()
    };
    any_same(&of(asked), &of(other))
}

fn any_same(asked: &[String], other: &[String]) -> Compared {
    match (asked.is_empty(), other.is_empty()) {
        (true, _) => Unasked,
        (_, true) => Untold,
        _ if asked.iter().any(|own| other.contains(own)) => Agrees,
        _ => Differs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(asked: &Value) -> String {
        let stored = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}],
            "name": [{"family": "Núñez", "given": ["Ana", "María"]}], "birthDate": "1956-03-01", "gender": "female",
            "telecom": [{"system": "phone", "value": "+34 600 11 22 33"}, {"system": "email", "value": "Ana@x.es"}],
            "address": [{"city": "León", "line": ["Calle Ancha 3"], "postalCode": "24001"}]});
        judge(asked, &stored).map_or("none".to_owned(), |j| format!("{} {}", j.grade.code(), j.score))
    }

    #[test]
    fn the_weights_are_those_of_the_table() {
        let mrn = |value: &str| json!([{"system": "urn:mrn", "value": value}]);
        let ana = json!([{"family": "NUNEZ", "given": ["ana"]}]);
        for (asked, expected) in [
            (json!({"identifier": mrn("7")}), "certain 1000"),
            (json!({"identifier": mrn("8")}), "none"),
            (json!({"identifier": [{"system": "urn:other", "value": "7"}]}), "none"),
            (json!({"identifier": mrn("7"), "name": ana, "birthDate": "1956-03-01"}), "certain 1000"),
            // 40 + 20 + 10 of 90: the birth date speaks against it.
            (json!({"identifier": mrn("7"), "name": ana, "birthDate": "1980-01-01"}), "probable 777"),
            // 50 of 90, and another number
            (json!({"identifier": mrn("8"), "name": ana, "birthDate": "1956-03-01"}), "possible 555"),
            // everything agrees, but no second proof of the person
            (json!({"name": ana, "birthDate": "1956-03-01", "gender": "female"}), "probable 949"),
            (json!({"name": ana, "birthDate": "1956-03-01", "telecom": [{"value": "0034-600112233"}]}), "certain 1000"),
            (json!({"name": ana, "birthDate": "1956-03-01", "telecom": [{"value": "ana@X.es"}]}), "certain 1000"),
            (json!({"name": ana, "birthDate": "1956-03-01", "address": [{"postalCode": "24001"}]}), "certain 1000"),
            // 20 + 10 + 10 of 50
            (json!({"name": ana, "birthDate": "1956-01-03"}), "probable 800"),
            (json!({"name": ana, "birthDate": "1956"}), "probable 800"),
            (json!({"name": ana}), "possible 749"),
            // one letter apart and an initial: 10 + 5 + 20 of 50
            (json!({"name": [{"family": "Nuñes", "given": ["A."]}], "birthDate": "1956-03-01"}), "possible 700"),
            (json!({"name": [{"family": "Vega"}]}), "none"),
            (json!({"gender": "male"}), "none"),
            (json!({}), "none"),
        ] {
            assert_eq!(judged(&asked), expected, "{asked}");
        }
    }

    #[test]
    fn letters_apart() {
        for (one, other, expected) in [
            ("nunez", "nunes", true),
            ("nunez", "nune", true),
            ("nunez", "nuunez", true),
            ("nunez", "nusen", false),
            ("lee", "leo", false),
            ("nunez", "zenun", false),
        ] {
            assert_eq!(is_one_letter_apart(one, other), expected, "{one} {other}");
            assert_eq!(is_one_letter_apart(other, one), expected, "{other} {one}");
        }
    }
}
