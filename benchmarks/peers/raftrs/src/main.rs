//! raft-rs 0.7 (tikv `raft`), the core alone: no disk, no sockets. Each call prints one line of JSON.
//!
//!   raftrs core BATCH ENTRIES     {"ns_per_entry": ...}: 16 B entries, committed and applied on three cores in one
//!                                 process; messages pass as bytes (prost)
//!   raftrs backtrack TERMS        {"value": round trips until the logs match, "ms": ..., ...}: logs of 1,000,000
//!                                 entries whose last 20,000 hold TERMS interleaved terms that differ
mod backtrack;
mod cores;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| -> usize {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or_else(|| usage())
    };
    match arguments.get(1).map(String::as_str) {
        Some("core") => cores::measure(number(2), number(3)),
        Some("backtrack") => backtrack::measure(number(2) as u64),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: raftrs core BATCH ENTRIES | raftrs backtrack TERMS");
    std::process::exit(2)
}

pub fn logger() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}
