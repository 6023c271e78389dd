//! TLS under MLLP: certificates from PEM files, and who is at the other end. A channel that names its clients takes
//! nobody whose certificate is not for one of these names.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream as ClientStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config;

/// The server's side of a channel's TLS.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    clients: Arc<[ServerName<'static>]>,
}

impl Tls {
    /// Reads the files. The error names the key.
    pub fn of(settings: &config::hl7::Tls) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (chain, key) = (certificates("tls.cert", &settings.cert)?, key("tls.key", &settings.key)?);
        let versions = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let clients = match &settings.client_ca {
            Some(path) => versions.with_client_cert_verifier(verifier(path, provider)?),
            None => versions.with_no_client_auth(),
        };
        let server = clients.with_single_cert(chain, key).context("tls.key: it does not belong to tls.cert")?;
        let name = |name: &String| {
            ServerName::try_from(name.clone()).map_err(|_| anyhow!("tls.clients: {name} is no DNS name nor address"))
        };
        let clients = settings.clients.iter().map(name).collect::<Result<_>>()?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), clients })
    }

    /// The handshake; who it is, where the channel asks for that.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<String>)> {
        let stream = self.acceptor.accept(stream).await?;
        let own = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let Some(own) = own.filter(|_| !self.clients.is_empty()) else { return Ok((stream, None)) };
        let stranger = || io::Error::new(ErrorKind::PermissionDenied, "a certificate for another name");
        let own = ParsedCertificate::try_from(&own).map_err(|_| stranger())?;
        let name = self.clients.iter().find(|name| verify_server_name(&own, name).is_ok()).ok_or_else(stranger)?;
        Ok((stream, Some(name.to_str().into_owned())))
    }
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let roots = roots("tls.client_ca", path)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().context("tls.client_ca")
}

/// The client's side: a connection to a server of this name, whose certificate is of an authority of the file or of
/// those of the system; with a certificate and key of our own where there are any.
pub async fn connect(
    stream: TcpStream,
    name: &str,
    authorities: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<ClientStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verified = match authorities {
        Some(path) => versions.with_root_certificates(roots("the authority", path)?),
        None => versions.with_platform_verifier()?,
    };
    let client = match own {
        Some((cert, path)) => {
            verified.with_client_auth_cert(certificates("the certificate", cert)?, key("the key", path)?)?
        }
        None => verified.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).with_context(|| format!("{name} is no name of a server"))?;
    TlsConnector::from(Arc::new(client)).connect(name, stream).await.context("no TLS")
}

/// The authorities of a PEM file.
fn roots(name: &str, path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(name, path)? {
        roots.add(authority).with_context(|| format!("{name}: {}", path.display()))?;
    }
    Ok(roots)
}

/// The certificates of a PEM file, one at least.
pub fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let told = || format!("{name}: {}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(told)?.collect();
    let found = found.with_context(told)?;
    ensure!(!found.is_empty(), "{} holds no certificate", told());
    Ok(found)
}

/// The first key of a PEM file.
pub fn key(name: &str, path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("{name}: {}", path.display()))
}
