//! Measures joining, memory and lease round trips of a server with one thread.

use crate::crowd::Crowd;
use anyhow::{Context, Result};
use seedrush::coordinator::Config;
use seedrush::jobs::{JobSpec, SumOfSquares};
use seedrush::net::client::link::Transport;
use seedrush::net::listener::{Server, bind, listen};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Crowds that send at the same time: enough to keep the server busy.
const CROWDS: u64 = 64;

/// Ticks of processor time in a second, as /proc counts it.
const TICKS: f64 = 100.0;

/// Runs a server with an endless job. It prints its port and runs until its standard input ends.
pub(crate) fn serve() -> Result<()> {
    // One thread, so that its limit is that of one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = listen("0.0.0.0:0".parse()?)?;
        let address = listener.local_addr()?;
        let config = Config { min_clients: 1, ..Config::default() };
        let server = Server::new(config, Some(listener), Some(bind(address)?));
        let endless = JobSpec::SumOfSquares(SumOfSquares::new(0, 1 << 64)?);
        let server = server.with_job(endless).map_err(anyhow::Error::msg)?;
        println!("{}", address.port());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(end);
        });
        server.run(async { drop(ended.await) }, |_| {}).await;
        Ok(())
    })
}

pub(crate) fn run(clients: u64, time: Duration, transport: Transport) -> Result<()> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut port = String::new();
    BufReader::new(server.stdout.take().context("no output")?).read_line(&mut port)?;
    let port = port.trim().parse()?;
    // Only after the server has started, because it raises its own limit.
    #[cfg(unix)]
    rlimit::increase_nofile_limit(u64::MAX)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(measure(&server, port, clients, time, transport));
    drop(server.stdin.take());
    server.wait()?;
    result
}

async fn measure(
    server: &Child,
    port: u16,
    clients: u64,
    time: Duration,
    transport: Transport,
) -> Result<()> {
    let (memory, cpu, began) = (memory(server)?, cpu(server)?, Instant::now());
    let crowds = CROWDS.min(clients);
    let mut joining = JoinSet::new();
    for crowd in 0..crowds {
        let members = clients * crowd / crowds..clients * (crowd + 1) / crowds;
        joining.spawn(Crowd::join(port, transport, members));
    }
    let crowds: Vec<Crowd> = joining.join_all().await.into_iter().collect::<Result<_>>()?;
    println!(
        "{clients} clients over {transport:?} joined in {:.2?}, of which the server worked {:.2} s",
        began.elapsed(),
        self::cpu(server)? - cpu
    );
    println!(
        "{} bytes of the server's memory for each",
        (self::memory(server)? - memory) / clients
    );

    let (cpu, began) = (self::cpu(server)?, Instant::now());
    let mut trading = JoinSet::new();
    for mut crowd in crowds {
        trading.spawn(async move {
            let mut trips = 0u64;
            while began.elapsed() < time {
                trips += crowd.trade().await?;
            }
            anyhow::Ok((trips, crowd))
        });
    }
    let done: Vec<(u64, Crowd)> = trading.join_all().await.into_iter().collect::<Result<_>>()?;
    let trips = done.iter().map(|(trips, _)| trips).sum::<u64>() as f64;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), self::cpu(server)? - cpu);
    println!(
        "{:.0} leases a second lent and given back, the server busy for {:.0} % of the time: \
         {:.0} for each second of its processor time",
        trips / seconds,
        100.0 * cpu / seconds,
        trips / cpu
    );
    println!(
        "{} bytes of the server's memory for each",
        (self::memory(server)? - memory) / clients
    );
    Ok(())
}

/// Returns the resident memory of a process in bytes.
fn memory(process: &Child) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS in /proc")?.parse::<u64>()? * 1024)
}

/// Returns the processor time of a process in seconds.
fn cpu(process: &Child) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    // The name, in brackets, may hold blanks; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}
