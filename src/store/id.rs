//! Logical ids as bytes: a UUID in 16 bytes, any other id as its text. Byte 8 of an RFC 9562 UUID has its
//! high bit set and no FHIR id holds such a byte, so the two never meet.

use uuid::{Uuid, Variant};

pub(super) fn encode(id: &str) -> Vec<u8> {
    match Uuid::try_parse(id) {
        // Only the canonical spelling: `urn:` forms and capitals are other ids.
        Ok(uuid) if uuid.get_variant() == Variant::RFC4122 && uuid.hyphenated().to_string() == id => {
            uuid.as_bytes().to_vec()
        }
        _ => id.as_bytes().to_vec(),
    }
}

pub(super) fn decode(bytes: &[u8]) -> String {
    match <[u8; 16]>::try_from(bytes) {
        Ok(raw) if raw.get(8).is_some_and(|b| b & 0x80 != 0) => Uuid::from_bytes(raw).hyphenated().to_string(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_fhir_id_comes_back(id in "[A-Za-z0-9.-]{1,64}") {
            prop_assert_eq!(decode(&encode(&id)), id);
        }

        #[test]
        fn uuids_take_16_bytes(bytes in any::<[u8; 16]>()) {
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
            prop_assert_eq!(encode(&id).len(), 16);
            prop_assert_eq!(decode(&encode(&id)), id.clone());
            prop_assert_eq!(decode(&encode(&id.to_uppercase())), id.to_uppercase());
        }
    }
}
