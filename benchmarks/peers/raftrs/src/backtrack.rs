//! Conflict backtracking: how many round trips a leader needs to find the last entry it shares with a follower.
use raft::prelude::*;
use raft::storage::MemStorage;
use raft::{Config, GetEntriesContext, RaftState, RawNode, StateRole, Storage};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const ENTRIES: u64 = 1_000_000;
const DIFFERING: u64 = 20_000;
const MAX_APPEND: u64 = 64 << 10;

/// MemStorage whose entries() stops copying near the size asked for: MemStorage itself copies everything to the log's
/// end first, which would be its own cost and not raft-rs's.
#[derive(Clone)]
struct Bounded(MemStorage);

impl Storage for Bounded {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.0.initial_state()
    }
    fn entries(
        &self,
        low: u64,
        high: u64,
        max: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let max: Option<u64> = max.into();
        let room = max.map_or(u64::MAX, |bytes| bytes / 16 + 2); // an entry of 16 B is more than 16 B encoded
        self.0.entries(low, high.min(low.saturating_add(room)), max, context)
    }
    fn term(&self, index: u64) -> raft::Result<u64> {
        self.0.term(index)
    }
    fn first_index(&self) -> raft::Result<u64> {
        self.0.first_index()
    }
    fn last_index(&self) -> raft::Result<u64> {
        self.0.last_index()
    }
    fn snapshot(&self, index: u64, to: u64) -> raft::Result<Snapshot> {
        self.0.snapshot(index, to)
    }
}

/// Entries of term 1, and behind them DIFFERING entries in equal runs of `terms`.
fn log_of(terms: &[u64]) -> Bounded {
    let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
    let shared = ENTRIES - DIFFERING;
    let run = DIFFERING / terms.len() as u64;
    let entries: Vec<Entry> = (1..=ENTRIES)
        .map(|index| {
            let term = if index <= shared {
                1
            } else {
                terms[(((index - shared - 1) / run) as usize).min(terms.len() - 1)]
            };
            Entry { term, index, data: vec![7u8; 16], ..Default::default() }
        })
        .collect();
    {
        let mut inner = storage.wl();
        inner.append(&entries).unwrap();
        let mut state = HardState::default();
        state.term = *terms.last().unwrap();
        state.commit = shared;
        inner.set_hardstate(state);
    }
    Bounded(storage)
}

fn node(id: u64, storage: Bounded) -> RawNode<Bounded> {
    let config = Config {
        id,
        election_tick: 10,
        heartbeat_tick: 3,
        max_size_per_msg: MAX_APPEND,
        max_inflight_msgs: 256,
        applied: ENTRIES - DIFFERING,
        ..Default::default()
    };
    RawNode::new(&config, storage, &crate::logger()).unwrap()
}

/// Carries out everything a node has ready; what it sends goes to `out`.
fn settle(raw: &mut RawNode<Bounded>, out: &mut VecDeque<Message>) {
    while raw.has_ready() {
        let mut ready = raw.ready();
        out.extend(ready.take_messages());
        let entries = ready.take_entries();
        let _ = ready.take_committed_entries();
        let state = ready.hs().cloned();
        {
            let storage = raw.mut_store();
            let mut inner = storage.0.wl();
            inner.append(&entries).unwrap();
            if let Some(state) = state {
                inner.set_hardstate(state);
            }
        }
        out.extend(ready.take_persisted_messages());
        let mut light = raw.advance(ready);
        if let Some(commit) = light.commit_index() {
            raw.mut_store().0.wl().mut_hard_state().commit = commit;
        }
        out.extend(light.take_messages());
        let _ = light.take_committed_entries();
        raw.advance_apply();
    }
}

fn elected(terms: &[u64]) -> RawNode<Bounded> {
    let mut leader = node(1, log_of(terms));
    let mut out = VecDeque::new();
    leader.campaign().unwrap();
    settle(&mut leader, &mut out);
    let mut vote = Message::default();
    vote.set_msg_type(MessageType::MsgRequestVoteResponse);
    vote.from = 3;
    vote.to = 1;
    vote.term = leader.raft.term;
    leader.step(vote).unwrap();
    assert_eq!(leader.raft.state, StateRole::Leader);
    leader
}

pub fn measure(terms: u64) {
    let odd: Vec<u64> = (0..terms).map(|at| 3 + 2 * at).collect();
    let even: Vec<u64> = (0..terms).map(|at| 2 + 2 * at).collect();
    let mut leader = elected(&odd);
    let mut follower = node(2, log_of(&even));
    let (mut rejections, mut sent) = (0u64, 0u64);
    let mut matched: Option<Duration> = None;
    let mut out = VecDeque::new();
    let began = Instant::now();
    settle(&mut leader, &mut out);
    while matched.is_none() {
        let there: Vec<Message> = out.drain(..).filter(|message| message.to == 2).collect();
        assert!(!there.is_empty(), "the leader has nothing to say");
        for message in there {
            sent += message.entries.len() as u64;
            follower.step(message).unwrap();
            settle(&mut follower, &mut out);
        }
        let back: Vec<Message> = out.drain(..).filter(|message| message.to == 1).collect();
        for message in back {
            if message.get_msg_type() == MessageType::MsgAppendResponse {
                if message.reject {
                    rejections += 1;
                } else if matched.is_none() {
                    matched = Some(began.elapsed());
                }
            }
            leader.step(message).unwrap();
            settle(&mut leader, &mut out);
        }
    }
    println!(
        "{{\"value\": {}, \"ms\": {:.3}, \"rejections\": {}, \"entries_sent\": {}}}",
        rejections + 1,
        matched.unwrap().as_secs_f64() * 1e3,
        rejections,
        sent
    );
}
