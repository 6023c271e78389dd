// @ts-check
// The shapes that cross the wire (WireX, as GET /live sends them) and the ones that the page keeps.

/**
 * @typedef {object} WireVital
 * @property {string} value        decimal text as measured ("37.0"), or "120/80" for a blood pressure
 * @property {string} unit         UCUM
 * @property {string} time         when it was measured
 * @property {string} [interp]     "" | "L" | "LL" | "H" | "HH"; anything else counts as abnormal
 * @property {number} [trend]      -1 | 0 | 1
 * @property {[number, number | string][]} [recent]  up to 60 points, oldest first
 * @property {number} [staleAfter] seconds after which the server calls the value old
 *
 * @typedef {object} Vital
 * @property {string} code
 * @property {string} value
 * @property {string} unit
 * @property {number} ms           when it was measured, ms since 1970
 * @property {string} interp
 * @property {number} trend
 * @property {[number, number][]} points
 * @property {number} staleMs      age at which it counts as old
 * @property {number} staleAfter   what the server said, 0 when it said nothing
 *
 * @typedef {object} Alert
 * @property {string} id
 * @property {string} severity     "high" | "moderate" | "low"; anything else is shown as high
 * @property {string} type         "physiological" | "technical"
 * @property {string} text
 * @property {string} code
 * @property {string} since
 * @property {string} state        "raised" … "resolved"
 * @property {string} lifecycle    "raised", "acknowledged", "escalated", "suppressed", "latched", …
 * @property {boolean} late        known too late to sound
 *
 * @typedef {object} WirePatient
 * @property {string} id
 * @property {string} [name]
 * @property {string} [identifier]
 * @property {string} [birthDate]
 * @property {string} [gender]
 * @property {string | null} [bed]
 * @property {string | null} [encounter]
 * @property {Record<string, WireVital>} [vitals]
 * @property {Alert[]} [alerts]
 * @property {boolean} [gone]
 *
 * @typedef {object} Patient
 * @property {string} id
 * @property {string} name
 * @property {string} identifier
 * @property {string} birthDate
 * @property {string} gender
 * @property {string} bed
 * @property {string} encounter
 * @property {Record<string, Vital>} vitals
 * @property {Alert[]} alerts
 *
 * @typedef {{ patient: Patient, alert: Alert }} OpenAlert
 *
 * @typedef {object} Board         what depends on who is there and on their alerts, not on single values
 * @property {string} ward
 * @property {boolean} ready       a snapshot has come
 * @property {string[]} order      patient ids, most severe first, then by bed
 * @property {OpenAlert[]} open    open alerts, most severe first
 *
 * @typedef {"connecting" | "live" | "lost"} Link
 */

export {};
