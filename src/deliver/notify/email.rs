//! E-mail by SMTP: plain text to one address.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use super::Failure;
use crate::config::notify::{Smtp, SmtpTls};

/// What sends: the connection is made anew for each message, since alerts are rare.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// None when no mail server is named. The error names the key.
    pub(super) fn new(smtp: &Smtp, timeout: Duration) -> Result<Option<Self>, String> {
        let Some(host) = &smtp.host else { return Ok(None) };
        let from = smtp.from.parse().map_err(|_| "notify.smtp.from: this is no address".to_owned())?;
        let builder = match smtp.tls {
            SmtpTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host),
            SmtpTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(host),
            SmtpTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)),
        };
        let mut builder = builder.map_err(|error| format!("notify.smtp.host: {error}"))?.timeout(Some(timeout));
        if let Some(port) = smtp.port {
            builder = builder.port(port);
        }
        if let (Some(user), Some(password)) = (&smtp.user, &smtp.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Some(Self { transport: builder.build(), from }))
    }

    /// Sends a text. `id`: what the message is known by, however often it is sent.
    pub(super) async fn send(&self, to: &str, id: &str, (subject, text): (String, String)) -> Result<(), Failure> {
        let to: Mailbox = to.parse().map_err(|_| Failure::Never("the recipient's address is none".into()))?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .message_id(Some(format!("<{id}@{domain}>")))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|_| Failure::Never("the message cannot be written".into()))?;
        match self.transport.send(message).await {
            Ok(answer) if answer.is_positive() => Ok(()),
            Ok(answer) => Err(Failure::Later(format!("the mail server answered {}", answer.code()))),
            Err(error) if error.is_permanent() => {
                Err(Failure::Later(format!("the mail server refused it ({})", error.status().map_or(0, u16::from))))
            }
            Err(_) => Err(Failure::Later("the mail server cannot be reached".into())),
        }
    }
}
