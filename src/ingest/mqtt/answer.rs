//! The packets that are sent, in the form of either version. What they mean is decided elsewhere.

use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, Packet, Property, ReasonString, RetainAvailable, ServerKeepAlive,
    SharedSubscriptionAvailable, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError, PubackReasonCode, PubrecReasonCode,
    SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};

use super::door::{Taken, Why};

/// Which version somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Three,
    Five,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    WrongPassword,
    Unavailable,
}

/// Why somebody is sent away who was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Stopping,
    Busy,
    TakenOver,
    Revoked,
    Silent,
}

type Built = Result<Packet, MqttError>;

/// `keep_alive_s`: when another than what was asked for is kept to; `client`: the name of who gave none.
pub(super) fn accepted(version: Version, keep_alive_s: Option<u16>, client: Option<String>) -> Built {
    if version == Version::Three {
        let code = ConnectReturnCode::Accepted;
        return Ok(v3_1_1::Connack::builder().session_present(false).return_code(code).build()?.into());
    }
    let mut properties: Vec<Property> =
        vec![RetainAvailable::new(0)?.into(), SharedSubscriptionAvailable::new(0)?.into()];
    if let Some(seconds) = keep_alive_s {
        properties.push(ServerKeepAlive::new(seconds)?.into());
    }
    if let Some(client) = client {
        properties.push(AssignedClientIdentifier::new(&client)?.into());
    }
    let code = ConnectReasonCode::Success;
    Ok(v5_0::Connack::builder().session_present(false).reason_code(code).props(properties).build()?.into())
}

pub(super) fn refused(version: Version, welcome: Welcome) -> Built {
    Ok(match (version, welcome) {
        (Version::Three, Welcome::WrongPassword) => three(ConnectReturnCode::BadUserNameOrPassword)?,
        (Version::Three, Welcome::Unavailable) => three(ConnectReturnCode::ServerUnavailable)?,
        (Version::Five, Welcome::WrongPassword) => five(ConnectReasonCode::BadUserNameOrPassword)?,
        (Version::Five, Welcome::Unavailable) => five(ConnectReasonCode::ServerUnavailable)?,
    })
}

fn three(code: ConnectReturnCode) -> Built {
    Ok(v3_1_1::Connack::builder().session_present(false).return_code(code).build()?.into())
}

fn five(code: ConnectReasonCode) -> Built {
    Ok(v5_0::Connack::builder().session_present(false).reason_code(code).build()?.into())
}

/// 3.1.1 has no word for a refusal: what will never be taken is answered like what was, or it would come for ever.
pub(super) fn puback(version: Version, id: u16, taken: Taken) -> Built {
    match (version, taken) {
        (Version::Three, _) => Ok(v3_1_1::Puback::builder().packet_id(id).build()?.into()),
        (Version::Five, Taken::Stored) => Ok(v5_0::Puback::builder().packet_id(id).build()?.into()),
        (Version::Five, Taken::Refused(why)) => {
            let code = match why {
                Why::Topic => PubackReasonCode::TopicNameInvalid,
                Why::Forbidden => PubackReasonCode::NotAuthorized,
                Why::Payload => PubackReasonCode::PayloadFormatInvalid,
            };
            let reason = vec![ReasonString::new(words(why))?.into()];
            Ok(v5_0::Puback::builder().packet_id(id).reason_code(code).props(reason).build()?.into())
        }
    }
}

pub(super) fn pubrec(version: Version, id: u16, taken: Taken) -> Built {
    match (version, taken) {
        (Version::Three, _) => Ok(v3_1_1::Pubrec::builder().packet_id(id).build()?.into()),
        (Version::Five, Taken::Stored) => Ok(v5_0::Pubrec::builder().packet_id(id).build()?.into()),
        (Version::Five, Taken::Refused(why)) => {
            let code = match why {
                Why::Topic => PubrecReasonCode::TopicNameInvalid,
                Why::Forbidden => PubrecReasonCode::NotAuthorized,
                Why::Payload => PubrecReasonCode::PayloadFormatInvalid,
            };
            let reason = vec![ReasonString::new(words(why))?.into()];
            Ok(v5_0::Pubrec::builder().packet_id(id).reason_code(code).props(reason).build()?.into())
        }
    }
}

pub(super) fn pubcomp(version: Version, id: u16) -> Built {
    Ok(match version {
        Version::Three => v3_1_1::Pubcomp::builder().packet_id(id).build()?.into(),
        Version::Five => v5_0::Pubcomp::builder().packet_id(id).build()?.into(),
    })
}

/// Nothing is published here: every subscription is refused.
pub(super) fn suback(version: Version, id: u16, filters: usize) -> Built {
    Ok(match version {
        Version::Three => {
            let codes = vec![SubackReturnCode::Failure; filters];
            v3_1_1::Suback::builder().packet_id(id).return_codes(codes).build()?.into()
        }
        Version::Five => {
            let codes = vec![SubackReasonCode::NotAuthorized; filters];
            v5_0::Suback::builder().packet_id(id).reason_codes(codes).build()?.into()
        }
    })
}

pub(super) fn unsuback(version: Version, id: u16, filters: usize) -> Built {
    Ok(match version {
        Version::Three => v3_1_1::Unsuback::builder().packet_id(id).build()?.into(),
        Version::Five => {
            let codes = vec![UnsubackReasonCode::NoSubscriptionExisted; filters];
            v5_0::Unsuback::builder().packet_id(id).reason_codes(codes).build()?.into()
        }
    })
}

/// 3.1.1 has no such packet for servers: the connection just ends.
pub(super) fn disconnect(leave: Leave) -> Built {
    let code = match leave {
        Leave::Stopping => DisconnectReasonCode::ServerShuttingDown,
        Leave::Busy => DisconnectReasonCode::ServerBusy,
        Leave::TakenOver => DisconnectReasonCode::SessionTakenOver,
        Leave::Revoked => DisconnectReasonCode::NotAuthorized,
        Leave::Silent => DisconnectReasonCode::KeepAliveTimeout,
    };
    goodbye(code)
}

pub(super) fn goodbye(code: DisconnectReasonCode) -> Built {
    Ok(v5_0::Disconnect::builder().reason_code(code).build()?.into())
}

fn words(why: Why) -> &'static str {
    match why {
        Why::Topic => "nothing is taken at this topic",
        Why::Forbidden => "not the readings of this device, or not its patient",
        Why::Payload => "a reading in it cannot be read, or cannot be true",
    }
}
