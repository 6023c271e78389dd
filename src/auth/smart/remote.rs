//! Key sets of clients at addresses of theirs. Fetched without redirects, in a few seconds, up to a size, and never from
//! an address inside the house unless the settings name the host: a registered address must not become a way to reach
//! what only this server can reach. Remembered as long as their server allows, an hour at most.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use jsonwebtoken::jwk::Jwk;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CACHE_CONTROL;
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::registration;
use crate::clock::Clock;
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 256 << 10;
/// Bounds of how long a set is remembered, s.
const KEPT_S: (i64, i64) = (30, 3600);
/// Unless it says otherwise, s.
const USUAL_S: i64 = 300;
/// One that could not be fetched is not asked for again so soon, s.
const FAILED_S: i64 = 10;
/// A set may be fetched anew for a key that is not in it, but not more often, s.
const ANEW_S: i64 = 30;
const MAX_SETS: usize = 1000;

#[derive(Clone)]
struct Set {
    keys: Result<Arc<Vec<Jwk>>, &'static str>,
    fetched: i64,
    until: i64,
}

/// Fetches key sets and remembers them.
#[derive(Clone)]
pub struct KeySets {
    http: reqwest::Client,
    /// Hosts that may be inside the house.
    inside: Arc<Vec<String>>,
    clock: Clock,
    known: Arc<Mutex<HashMap<String, Set>>>,
}

impl KeySets {
    /// `inside`: names or addresses of hosts that may be on a private network.
    pub fn new(inside: Vec<String>, clock: Clock) -> Result<Self> {
        let inside = Arc::new(inside);
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .no_proxy()
            .dns_resolver(Arc::new(Guarded { inside: inside.clone() }))
            .user_agent(concat!("vigia/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("no HTTP client can be made")?;
        Ok(Self { http, inside, clock, known: Arc::default() })
    }

    /// The keys at this address. `kid`: the one that is needed; a set that is remembered without it is fetched anew.
    pub async fn at(&self, address: &str, kid: Option<&str>) -> Result<Arc<Vec<Jwk>>, Error> {
        let now = self.clock.now_seconds();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
        if let Some(set) = known.filter(|set| set.until > now && set.fetched <= now) {
            let has = |keys: &Vec<Jwk>| {
                kid.is_none_or(|kid| keys.iter().any(|key| key.common.key_id.as_deref() == Some(kid)))
            };
            match &set.keys {
                Ok(keys) if has(keys) || set.fetched + ANEW_S > now => return Ok(keys.clone()),
                Err(why) => return Err(Error::Unauthenticated(Some(why))),
                Ok(_) => {}
            }
        }
        let (keys, kept) = match self.fetch(address).await {
            Ok((keys, kept)) => (Ok(Arc::new(keys)), kept),
            Err(why) => (Err(why), FAILED_S),
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SETS {
            all.clear();
        }
        all.insert(address.to_owned(), Set { keys: keys.clone(), fetched: now, until: now + kept });
        keys.map_err(|why| Error::Unauthenticated(Some(why)))
    }

    async fn fetch(&self, address: &str) -> Result<(Vec<Jwk>, i64), &'static str> {
        let url = Url::parse(address).map_err(|_| "the address of the client's keys cannot be read")?;
        // A name is looked at when it is resolved; what is an address already is resolved by nobody.
        let direct = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if direct.is_some_and(|ip| !is_outside(ip)) && !is_named(&self.inside, url.host_str().unwrap_or_default()) {
            return Err("the client's keys are at an address that is not asked");
        }
        let asked = self.http.get(url).header("Accept", "application/json").send().await;
        let reply = asked.map_err(|_| "the client's keys cannot be fetched")?;
        if !reply.status().is_success() {
            return Err("the client's keys cannot be fetched");
        }
        let kept = reply.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).map_or(USUAL_S, kept_s);
        let mut body = Vec::new();
        let mut parts = reply.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| "the client's keys cannot be fetched")?;
            if body.len() + part.len() > MAX_BYTES {
                return Err("the client's key set is too large");
            }
            body.extend_from_slice(&part);
        }
        let set = serde_json::from_slice(&body).map_err(|_| "the client's key set cannot be read")?;
        Ok((registration::keys(&set)?, kept))
    }
}

fn kept_s(cache_control: &str) -> i64 {
    let mut parts = cache_control.split(',').map(str::trim);
    let (least, most) = KEPT_S;
    if parts.clone().any(|part| part.eq_ignore_ascii_case("no-store") || part.eq_ignore_ascii_case("no-cache")) {
        return least;
    }
    let age = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("max-age=")?.parse::<i64>().ok());
    age.unwrap_or(USUAL_S).clamp(least, most)
}

fn is_named(inside: &[String], host: &str) -> bool {
    inside.iter().any(|known| known.eq_ignore_ascii_case(host.trim_matches(['[', ']'])))
}

/// An address that anybody can reach, and not one that only means something from here.
fn is_outside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || shared
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// Resolves names, and forgets what must not be asked: looked at where the connection is made, so that a name cannot
/// mean something else by then.
struct Guarded {
    inside: Arc<Vec<String>>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let inside = is_named(&self.inside, name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| inside || is_outside(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the host is at no address that is asked".into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_only_mean_something_from_here() {
        for (ip, outside) in [
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
            ("10.1.2.3", false),
            ("192.168.0.1", false),
            ("172.16.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
            ("fd00::1", false),
        ] {
            assert_eq!(is_outside(ip.parse().unwrap()), outside, "{ip}");
        }
    }

    #[test]
    fn sets_are_kept_as_long_as_is_allowed_and_sensible() {
        for (header, kept) in [
            ("max-age=600", 600),
            ("public, Max-Age=600", 600),
            ("max-age=1", 30),
            ("max-age=99999999", 3600),
            ("no-store", 30),
            ("private", 300),
            ("max-age=x", 300),
        ] {
            assert_eq!(kept_s(header), kept, "{header}");
        }
    }
}
