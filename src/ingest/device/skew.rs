//! A sender's clock that is wrong: it says when it sends (`sentAt`), and how far that is from now is how far the times of
//! its readings are off. Pure; the time of receipt is handed in.

use fhir_r4::Issue;
use serde_json::Value;

use super::Item;
use crate::fhir::time::{self, SECOND};

/// A clock that is off by less, or a network that takes so long, is left alone.
const RIGHT: i64 = 2 * SECOND;

/// Moves the times of readings by as much as the sender's clock is off. `now`: µs UTC.
pub(super) fn correct(items: &mut [Item], sent_at: &Value, now: i64) -> Result<(), Issue> {
    let told = sent_at.as_str().filter(|text| is_instant(text)).and_then(time::range);
    let told = told.ok_or_else(|| Issue::error("value", "sentAt", "a time with seconds and zone is needed"))?;
    let off = now.saturating_sub(told.start);
    if off.abs() <= RIGHT {
        return Ok(());
    }
    let moved = |text: &str| {
        let told = time::range(text).filter(|_| is_instant(text))?;
        Some(time::instant(told.start.saturating_add(off)))
    };
    for draft in items.iter_mut().flatten() {
        // What is no time at all is refused where times are read.
        let Some(effective) = draft.effective.as_deref().and_then(moved) else { continue };
        draft.told = draft.effective.replace(effective);
        if let Some(end) = draft.effective_end.as_deref().and_then(moved) {
            draft.effective_end = Some(end);
        }
    }
    Ok(())
}

/// A time of a day, with seconds and a zone.
fn is_instant(text: &str) -> bool {
    text.split_once('T').is_some_and(|(_, clock)| {
        let bare = clock.split(['Z', '+', '-']).next().unwrap_or_default();
        bare.len() < clock.len() && bare.matches(':').count() == 2
    })
}

#[cfg(test)]
mod tests {
    use crate::fhir::time;
    use crate::ingest::device::parse_json;

    #[test]
    fn times_are_moved_by_how_far_the_clock_is_off() {
        let now = time::range("2026-01-02T10:00:00Z").unwrap().start;
        for (sent_at, at, effective, told) in [
            ("2026-01-02T10:00:01.5Z", "2026-01-02T09:59:00Z", "2026-01-02T09:59:00Z", None),
            ("2026-01-02T09:00:00Z", "2026-01-02T08:59:00Z", "2026-01-02T09:59:00.000Z", Some("2026-01-02T08:59:00Z")),
            ("1970-01-01T00:10:00Z", "1970-01-01T00:09:00Z", "2026-01-02T09:59:00.000Z", Some("1970-01-01T00:09:00Z")),
            (
                "2099-01-01T00:00:00+01:00",
                "2098-12-31T22:59:00Z",
                "2026-01-02T09:59:00.000Z",
                Some("2098-12-31T22:59:00Z"),
            ),
            ("2026-01-02T09:00:00Z", "yesterday", "yesterday", None),
        ] {
            let body = format!(
                r#"{{"patient":"Patient/p","sentAt":"{sent_at}","readings":[{{"code":"8867-4","value":72,"time":"{at}"}}]}}"#
            );
            let read = parse_json(body.as_bytes(), "s", now).unwrap().remove(0).unwrap();
            let expected = time::range(effective).map(|range| range.start);
            assert_eq!(read.effective.as_deref().and_then(time::range).map(|range| range.start), expected, "{sent_at}");
            assert_eq!(read.told.as_deref(), told, "{sent_at}");
        }
        for sent_at in ["\"2026-01-02\"", "\"soon\"", "7", "\"2026-01-02T10:00Z\""] {
            let body =
                format!(r#"{{"patient":"Patient/p","sentAt":{sent_at},"readings":[{{"code":"8867-4","value":72}}]}}"#);
            let refused = parse_json(body.as_bytes(), "s", now).unwrap_err();
            assert_eq!((refused.code, refused.expression.as_str()), ("value", "sentAt"), "{sent_at}");
        }
    }
}
