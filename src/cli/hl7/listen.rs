//! `vigia hl7 listen`: every frame is written to a file before it is answered, whatever it holds.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::cli::output;
use crate::cli::serve::on_signal;
use crate::clock::Clock;
use crate::hl7::wire::{self, Reader};
use crate::ingest::hl7::{Channel, ack, batch, message};
use crate::store::Verdict;

const IDLE: Duration = Duration::from_hours(1);
const LONGEST: usize = 64 << 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:2575")]
    bind: SocketAddr,
    /// The folder that frames are written to: 000001.hl7 and so on.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// End after so many frames instead of at Ctrl-C.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

struct Listening {
    out: PathBuf,
    written: AtomicU64,
    count: Option<u64>,
    clock: Clock,
    stop: CancellationToken,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let Options { bind, out, count } = options;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let socket = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    output::line(format!("listening on {}", socket.local_addr()?));
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let listening =
        Arc::new(Listening { out, written: AtomicU64::new(0), count, clock: Clock::default(), stop: stop.clone() });
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        let (stream, peer) = accepted?;
        let listening = listening.clone();
        tokio::spawn(async move {
            if let Err(error) = listening.serve(stream, peer).await {
                output::note(format!("{error:#}"));
                listening.stop.cancel();
            }
        });
    }
    Ok(())
}

impl Listening {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr) -> Result<()> {
        let (from, mut to) = stream.into_split();
        let mut reader = Reader::new(from, LONGEST, IDLE);
        while let Ok(Some(frame)) = reader.next().await {
            let number = self.written.fetch_add(1, Ordering::Relaxed) + 1;
            let path = self.out.join(format!("{number:06}.hl7"));
            let told = || format!("cannot write {}", path.display());
            let mut file = File::create_new(&path).with_context(told)?;
            file.write_all(&frame.message).and_then(|()| file.sync_all()).with_context(told)?;
            output::line(format!("{} {peer} {}", path.display(), kind(&frame.message)));
            for answer in self.answers(&frame.message) {
                if !wire::write(&mut to, answer, IDLE).await {
                    return Ok(());
                }
            }
            if self.count.is_some_and(|count| number >= count) {
                self.stop.cancel();
            }
        }
        Ok(())
    }

    /// Everything that can be read is accepted.
    fn answers(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (channel, now) = (Channel::default(), self.clock.now());
        let accepted = |bytes: &[u8]| match message::parse(bytes) {
            Ok(message) => ack::answer(Some(message.header()), Verdict::Accepted, &[], &channel, now),
            Err(refusal) => ack::answer(refusal.header.as_deref(), refusal.verdict(), &[refusal.issue], &channel, now),
        };
        match batch::split(bytes) {
            Some(Ok(batch)) => {
                let each = batch.messages().map(|range| accepted(bytes.get(range).unwrap_or_default())).collect();
                batch.answer(each, &channel, now).into_iter().collect()
            }
            _ => accepted(bytes),
        }
    }
}

fn kind(bytes: &[u8]) -> String {
    message::parse(bytes).map_or_else(
        |refusal| format!("cannot be read: {} at {}", refusal.issue.diagnostics, refusal.issue.expression),
        |message| format!("{}^{} {}", message.header().kind.0, message.header().kind.1, message.header().control_id),
    )
}
