//! What a topic says of what is published to it. Pure.

/// A topic that readings are published to.
///
/// | topic | payload |
/// |---|---|
/// | `v1/devices/me/telemetry` | `ThingsBoard`: `{"heartRate": 72}` or `{"ts": ms, "values": {…}}`, or a list |
/// | `v1/gateway/telemetry` | `ThingsBoard`: `{"name": [{"ts", "values"}]}` of several devices |
/// | `vitals/{device}/observations` | readings in the compact form of `/device/v1/observations` |
/// | `vitals/{device}/gatt/{char}` | the bytes of a Bluetooth characteristic: `2A37` |
///
/// `{device}` is the id of a Device, or `me`: who publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topic<'t> {
    Telemetry,
    Gateway,
    Observations(Whose<'t>),
    Gatt(Whose<'t>, &'t str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose<'t> {
    Me,
    /// The id of a Device.
    Device(&'t str),
}

impl<'t> Topic<'t> {
    /// None: nothing is taken there.
    pub(super) fn of(name: &'t str) -> Option<Self> {
        match name {
            "v1/devices/me/telemetry" => return Some(Self::Telemetry),
            "v1/gateway/telemetry" => return Some(Self::Gateway),
            _ => {}
        }
        let (device, rest) = name.strip_prefix("vitals/")?.split_once('/')?;
        let whose = match device {
            "me" => Whose::Me,
            id if is_id(id) => Whose::Device(id),
            _ => return None,
        };
        match rest.split_once('/') {
            None if rest == "observations" => Some(Self::Observations(whose)),
            Some(("gatt", number)) if number.len() == 4 && number.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Some(Self::Gatt(whose, number))
            }
            _ => None,
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_topics_say() {
        for (name, topic) in [
            ("v1/devices/me/telemetry", Some(Topic::Telemetry)),
            ("v1/gateway/telemetry", Some(Topic::Gateway)),
            ("vitals/me/observations", Some(Topic::Observations(Whose::Me))),
            ("vitals/d1/observations", Some(Topic::Observations(Whose::Device("d1")))),
            ("vitals/d1/gatt/2A37", Some(Topic::Gatt(Whose::Device("d1"), "2A37"))),
            ("vitals/d1/gatt/heart", None),
            ("vitals/d1/gatt", None),
            ("vitals//observations", None),
            ("vitals/d/1/observations", None),
            ("vitals/d1/observations/", None),
            ("vitals/d_1/observations", None),
            ("v1/devices/d1/telemetry", None),
            ("", None),
        ] {
            assert_eq!(Topic::of(name), topic, "{name}");
        }
    }
}
