//! Blood pressure that arrives in parts becomes one panel: systolic and diastolic (and mean) of the same
//! patient, device, time and measuring method. A part that has no partner stays a reading of its own.

use std::collections::HashMap;

use super::codes::{self, DIASTOLIC, MDC, MEAN, PANEL, SYSTOLIC};
use super::draft::{Coding, Draft, Judged, Measured, Subject};

/// The parts of a panel, in the order in which they are its components.
const PARTS: [&str; 3] = [SYSTOLIC, DIASTOLIC, MEAN];

/// MDC panels and the first number of their parts' codes: pressures of different methods never mix.
const METHODS: [(&str, Option<&str>); 3] = [("1500", Some("150016")), ("15002", Some("150020")), ("15030", None)];

/// What parts of one measurement have in common.
#[derive(Clone, Hash, PartialEq, Eq)]
struct Together {
    subject: Option<Subject>,
    device: Option<Subject>,
    effective: Option<String>,
    end: Option<String>,
    status: &'static str,
    test: bool,
    method: usize,
}

#[derive(Default)]
struct Panel {
    parts: [Option<usize>; 3],
}

/// Merges the parts of blood pressures into panels; a panel stands where its first part stood.
pub fn pair_blood_pressure(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut panels: Vec<Panel> = Vec::new();
    let mut open: HashMap<Together, usize> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        let Some((part, together)) = part_of(draft) else { continue };
        let taken = |panel: usize| panels.get(panel).and_then(|p| p.parts.get(part)).is_some_and(Option::is_some);
        let panel = match open.get(&together) {
            Some(panel) if !taken(*panel) => *panel,
            _ => {
                panels.push(Panel::default());
                open.insert(together, panels.len() - 1);
                panels.len() - 1
            }
        };
        if let Some(slot) = panels.get_mut(panel).and_then(|p| p.parts.get_mut(part)) {
            *slot = Some(at);
        }
    }
    panels.retain(|panel| matches!(panel.parts, [Some(_), Some(_), _]));
    merge(drafts, &panels)
}

fn merge(drafts: Vec<Draft>, panels: &[Panel]) -> Vec<Draft> {
    let mut waiting: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    for panel in panels {
        let mut parts: Vec<(usize, Draft)> = Vec::new();
        for at in panel.parts.into_iter().flatten() {
            parts.extend(waiting.get_mut(at).and_then(Option::take).map(|draft| (at, draft)));
        }
        let Some(first) = parts.iter().map(|(at, _)| *at).min() else { continue };
        if let (Some(slot), Some(merged)) = (waiting.get_mut(first), together(parts)) {
            *slot = Some(merged);
        }
    }
    waiting.into_iter().flatten().collect()
}

fn together(parts: Vec<(usize, Draft)>) -> Option<Draft> {
    let mut panel = parts.iter().min_by_key(|(at, _)| at).map(|(_, draft)| draft.clone())?;
    let method = part_of(&panel).and_then(|(_, t)| METHODS.get(t.method)).and_then(|(_, code)| *code);
    let mdc = method.map(|code| Coding {
        system: MDC.to_owned(),
        code: code.to_owned(),
        display: codes::mdc(code).map(|row| row.refid.clone()),
    });
    panel.code = std::iter::once(codes::loinc(PANEL)).chain(mdc).collect();
    panel.value = Measured::Panel;
    // Its parts are different metrics of one device.
    panel.metric = None;
    panel.key = parts.iter().map(|(_, draft)| draft.key.as_str()).collect::<Vec<_>>().join("\n");
    let notes: Vec<&str> = parts.iter().filter_map(|(_, draft)| draft.note.as_deref()).collect();
    panel.note = (!notes.is_empty()).then(|| notes.join("\n"));
    panel.judged = Judged::default();
    panel.parts_judged = parts.iter().map(|(_, draft)| draft.judged.clone()).collect();
    panel.components = parts.into_iter().map(|(_, draft)| (draft.code, draft.value)).collect();
    Some(panel)
}

/// Which part of a pressure a draft is, and what its partners share with it. Drafts with an identifier of their
/// own stay apart: merging would lose it.
fn part_of(draft: &Draft) -> Option<(usize, Together)> {
    if !draft.components.is_empty()
        || draft.identifier.is_some()
        || !matches!(draft.value, Measured::Quantity { .. } | Measured::Absent(_))
    {
        return None;
    }
    let mut known = draft.code.iter().filter_map(|c| codes::loinc_of(&c.system, &c.code));
    let loinc = known.next()?;
    if known.any(|other| other != loinc) {
        return None;
    }
    let part = PARTS.iter().position(|code| *code == loinc)?;
    let mdc = draft.code.iter().find(|c| c.system == MDC).map_or("", |c| c.code.as_str());
    // The longest beginning wins, so that 15002x is not taken for 1500xx.
    let fitting = METHODS.iter().enumerate().filter(|(_, (start, _))| !mdc.is_empty() && mdc.starts_with(start));
    let method = fitting.max_by_key(|(_, (start, _))| start.len()).map_or(METHODS.len(), |(at, _)| at);
    let together = Together {
        subject: draft.subject.clone(),
        device: draft.device.clone(),
        effective: draft.effective.clone(),
        end: draft.effective_end.clone(),
        status: draft.status,
        test: draft.test,
        method,
    };
    Some((part, together))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(system: &str, code: &str, value: &str) -> Draft {
        let unit = Coding { system: String::new(), code: "mmHg".to_owned(), display: None };
        Draft {
            place: format!("OBX[{code}]"),
            subject: Some(Subject::Reference("Patient/p".to_owned())),
            device: None,
            metric: None,
            status: "final",
            code: vec![Coding { system: system.to_owned(), code: code.to_owned(), display: None }],
            value: Measured::Quantity { value: value.to_owned(), comparator: None, unit: Some(unit) },
            components: Vec::new(),
            judged: Judged::default(),
            parts_judged: Vec::new(),
            effective: Some("2026-01-02T03:04:05Z".to_owned()),
            effective_end: None,
            told: None,
            key: format!("{code}={value}"),
            identifier: None,
            test: false,
            note: None,
            amends: false,
        }
    }

    /// What is left, a panel as the sum of its parts.
    fn paired(drafts: Vec<Draft>) -> Vec<String> {
        pair_blood_pressure(drafts)
            .iter()
            .map(|d| if d.components.is_empty() { d.key.clone() } else { d.key.replace('\n', "+") })
            .collect()
    }

    #[test]
    fn parts_become_one_panel() {
        let drafts = vec![
            draft(MDC, "150456", "97"),
            draft(MDC, "150021", "120"),
            draft(MDC, "150022", "80"),
            draft(MDC, "150344", "37"),
            draft(MDC, "150023", "93"),
        ];
        let merged = pair_blood_pressure(drafts.clone());
        assert_eq!(paired(drafts), ["150456=97", "150021=120+150022=80+150023=93", "150344=37"]);
        let panel = &merged[1];
        assert_eq!(panel.code.iter().map(|c| c.code.as_str()).collect::<Vec<_>>(), ["85354-9", "150020"]);
        assert_eq!((panel.place.as_str(), &panel.value), ("OBX[150021]", &Measured::Panel));
        assert_eq!(panel.components[1].0[0].code, "150022");
    }

    #[test]
    fn what_does_not_belong_together_stays_apart() {
        let loinc = "http://loinc.org";
        let lone = vec![draft(loinc, "8480-6", "120"), draft(loinc, "8478-0", "90")];
        assert_eq!(paired(lone).len(), 2, "no diastolic");
        let methods = vec![draft(MDC, "150021", "120"), draft(MDC, "150302", "80"), draft(MDC, "150018", "70")];
        assert_eq!(paired(methods).len(), 3, "cuff and artery");
        let invasive = vec![draft(MDC, "150037", "120"), draft(MDC, "150038", "80")];
        assert_eq!(paired(invasive).len(), 2, "its codes are not those of the panel");
        let mut times = vec![draft(loinc, "8480-6", "120"), draft(loinc, "8462-4", "80")];
        times[1].effective = None;
        assert_eq!(paired(times).len(), 2, "another time");
        let twice = vec![
            draft(loinc, "8480-6", "120"),
            draft(loinc, "8480-6", "121"),
            draft(loinc, "8462-4", "80"),
            draft(loinc, "8462-4", "81"),
        ];
        assert_eq!(paired(twice), ["8480-6=120", "8480-6=121+8462-4=80", "8462-4=81"], "each value once");
    }
}
