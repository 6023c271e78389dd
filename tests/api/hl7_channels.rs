//! Channels by configuration: who may send where, over which line, in which words, and how it is answered.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use vigia::config::Config;
use vigia::config::hl7::{Acks, Channel, Tls};

use crate::helpers::{TestApp, resources};
use crate::mllp::{Sender, oru};

/// A channel as the others of tests are, with something of its own.
fn beside(config: &mut Config, name: &str, own: impl FnOnce(&mut Channel)) {
    let mut channel = Channel { name: name.to_owned(), ..config.hl7.channel[0].clone() };
    own(&mut channel);
    config.hl7.channel.push(channel);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_has_its_own_ways() {
    let app = TestApp::with(|config| {
        beside(config, "named", |c| c.senders = vec!["MONITOR|ER".into(), "OTHER".into()]);
        beside(config, "allowed", |c| c.senders = vec!["MONITOR|WARD".into()]);
        beside(config, "original", |c| c.acks = Acks::Original);
        beside(config, "enhanced", |c| c.acks = Acks::Enhanced);
        beside(config, "repeats", |c| c.control_id_repeats = true);
        beside(config, "strangers", |c| c.assigning_authorities = [("WARD".into(), "urn:other".into())].into());
        beside(config, "us", |c| (c.application, c.facility) = ("WATCH".into(), "ICU".into()));
    })
    .await;
    app.admit("r1", "Vega").await;
    let asks = |id: &str, modes: &str| oru(id, "r1", "72").replace("|P|2.6", &format!("|P|2.6|||{modes}"));
    let table = [
        ("named", oru("m1", "r1", "72"), "|AR|m1\rERR||MSH^1^3|"),
        ("named", oru("m1", "r1", "72").replace("MONITOR", "OTHER^1^ISO"), "|AA|m1\r"),
        ("allowed", oru("m2", "r1", "72"), "|AA|m2\r"),
        ("original", asks("m3", "AL|NE"), "|AA|m3\r"),
        ("enhanced", oru("m4", "r1", "72"), "|CA|m4\r"),
        ("enhanced", oru("m5", "nobody", "72"), "|CE|m5\r"),
        ("default", asks("m6", "AL|NE"), "|CA|m6\r"),
        ("default", oru("m7", "r1", "72"), "|AA|m7\r"),
        ("default", oru("m7", "r1", "73"), "|AE|m7\r"),
        ("repeats", oru("m7", "r1", "74"), "|AA|m7\r"),
        ("repeats", oru("m7", "r1", "74"), "|AA|m7\r"),
        ("strangers", oru("m8", "r1", "72"), "|AE|m8\r"),
        ("us", oru("m9", "r1", "72"), "\r"),
    ];
    for (channel, message, told) in table {
        let answer = Sender::connect(app.channel(channel)).await.send(&message).await;
        assert!(answer.contains(&format!("\rMSA{told}")) || told == "\r", "{channel}: {answer}");
        assert_eq!(answer.starts_with("MSH|^~\\&|WATCH|ICU|MONITOR|"), channel == "us", "{channel}: {answer}");
    }
    let administrator = app.administrator().await;
    for (query, found) in [("channel=named", 2), ("channel=repeats", 1), ("control=m7", 3)] {
        let list = administrator.get(&format!("/hl7/messages?{query}")).await.expect(200).json();
        assert_eq!(list["messages"].as_array().unwrap().len(), found, "{query}: {list}");
    }
    let gateway = app.gateway();
    for (channel, status) in [("original", 200), ("named", 400), ("nowhere", 400)] {
        let address = format!("/hl7/v2?channel={channel}");
        gateway.post_raw(&address, "application/hl7-v2", oru("h1", "r1", "72")).await.expect(status);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_does_not_say_its_channel_knows() {
    let app = TestApp::with(|config| {
        beside(config, "poland", |c| (c.charset, c.zone) = (Some("8859/2".into()), "+01:00".into()));
    })
    .await;
    let id = app.admit("r1", "Vega").await;
    let text = |n: &str| oru(n, "r1", "72").replace("+0000", "") + "NTE|1||\u{1}\r";
    let bytes = |n: &str| text(n).bytes().map(|b| if b == 1 { 0xb3 } else { b }).collect::<Vec<u8>>();
    let mut sender = Sender::connect(app.channel("poland")).await;
    assert!(sender.send_bytes(&bytes("m1")).await.contains("|AA|m1\r"));
    let own = String::from_utf8(bytes("m2").into_iter().filter(u8::is_ascii).collect()).unwrap();
    let named = own.replace("|P|2.6", "|P|2.6||||||UNICODE UTF-8").replace("NTE|1||", "NTE|1||ł");
    assert!(sender.send(&named).await.contains("|AA|m2\r"));
    let page = format!("/fhir/Observation?patient={id}&code=85354-9");
    let found = resources(&app.gateway().get(&page).await.expect(200).json());
    assert_eq!(found.len(), 2);
    for reading in found {
        assert_eq!(reading["note"][0]["text"], "ł");
        assert_eq!(reading["effectiveDateTime"], "2026-01-02T03:04:05+01:00");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_networks_of_a_channel_reach_it() {
    let app = TestApp::with(|config| {
        beside(config, "far", |c| c.networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        beside(config, "near", |c| c.networks = vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    app.admit("r1", "Vega").await;
    assert_eq!(Sender::connect(app.channel("far")).await.try_send(&oru("m1", "r1", "72")).await, None);
    assert!(Sender::connect(app.channel("near")).await.send(&oru("m2", "r1", "72")).await.contains("|AA|m2\r"));
    app.stop().await;
}

/// An authority and what it signs, as files.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for a name, its key and the authority's own.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Tls {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let write = |end: &str, text: String| {
            let path = folder.join(format!("{name}-{end}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Tls {
            cert: write("cert", cert.pem()),
            key: write("key", key.serialize_pem()),
            client_ca: Some(write("ca", self.0.pem())),
            clients: vec![],
        }
    }
}

pub(crate) async fn secure(
    address: SocketAddr,
    authority: &Authority,
    own: Option<&Tls>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some(tls) => {
            let chain = vigia::hl7::tls::certificates("cert", &tls.cert).unwrap();
            config.with_client_auth_cert(chain, vigia::hl7::tls::key("key", &tls.key).unwrap()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("vigia.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_knows_who_is_at_the_other_end() {
    let (ours, theirs, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let server = ours.write(folder.path(), "vigia.test");
    let (icu, ward) = (ours.write(folder.path(), "icu.test"), ours.write(folder.path(), "ward.test"));
    let app = TestApp::with(|config| {
        beside(config, "open", |c| c.tls = Some(Tls { client_ca: None, ..server.clone() }));
        beside(config, "ours", |c| c.tls = Some(server.clone()));
        beside(config, "icu", |c| c.tls = Some(Tls { clients: vec!["icu.test".into()], ..server.clone() }));
    })
    .await;
    app.admit("r1", "Vega").await;
    let folder = tempfile::tempdir().unwrap();
    let stranger = theirs.write(folder.path(), "icu.test");
    let table = [
        ("open", None, true),
        ("open", Some(&icu), true),
        ("ours", None, false),
        ("ours", Some(&stranger), false),
        ("ours", Some(&ward), true),
        ("icu", Some(&ward), false),
        ("icu", Some(&stranger), false),
        ("icu", Some(&icu), true),
    ];
    for (at, (channel, own, taken)) in table.into_iter().enumerate() {
        let message = oru(&format!("m{at}"), "r1", "72");
        let answer = match secure(app.channel(channel), &ours, own).await {
            Ok(stream) => Sender::over(stream).try_send(&message).await,
            Err(_) => None,
        };
        assert_eq!(answer.is_some_and(|answer| answer.contains("|AA|m")), taken, "{at} {channel}");
    }
    assert_eq!(Sender::connect(app.channel("open")).await.try_send(&oru("m", "r1", "72")).await, None, "not in clear");
    let list = app.administrator().await.get("/hl7/messages?channel=icu").await.expect(200).json();
    assert!(list["messages"][0]["peer"].as_str().unwrap().ends_with(" icu.test"), "{list}");
    app.stop().await;
}
