//! How connections come in at the doors that are no HTTP: no more than the limit at once, closed in order at the end. What
//! is said on a connection is the matter of its door.

use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A handshake takes no longer.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// So long nobody is accepted when that has failed.
const NO_FILES: Duration = Duration::from_millis(100);
/// A peer that has vanished is asked after this time whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// A socket that listens, and is not yet accepted from. The error names the address.
pub(super) fn bind(address: SocketAddr) -> Result<Socket> {
    let socket = Socket::bind(address).with_context(|| format!("bind: cannot listen on {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts until cancelled, then waits for the connections to end. `serve` begins the work on a connection.
pub(super) async fn connections<Work>(
    socket: &Socket,
    most: usize,
    cancelled: &CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr, TaskTracker) -> Work,
) -> Result<()>
where
    Work: Future<Output = ()> + Send + 'static,
{
    let socket = TcpListener::from_std(socket.try_clone()?)?;
    let (places, open) = (Arc::new(Semaphore::new(most)), TaskTracker::new());
    loop {
        // A connection beyond the limit waits in the system's queue.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place?,
            () = cancelled.cancelled() => break,
        };
        let stream = tokio::select! {
            accepted = socket.accept() => accepted,
            () = cancelled.cancelled() => break,
        };
        let Ok((stream, peer)) = stream else {
            // No more files can be open, most likely: somebody has to close one first.
            tokio::time::sleep(NO_FILES).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        let work = serve(stream, peer, open.clone());
        open.spawn(async move {
            work.await;
            drop(place);
        });
    }
    open.close();
    open.wait().await;
    Ok(())
}
