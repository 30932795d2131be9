//! Three cores in one process: what a committed entry costs without disk and sockets.
use prost::Message as _;
use raft::prelude::*;
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use std::collections::VecDeque;
use std::time::Instant;

struct Core {
    raw: RawNode<MemStorage>,
    storage: MemStorage,
    index: u64,
    applied: u64, // entries with a payload
}

struct Cores {
    nodes: Vec<Core>,
    flying: VecDeque<(usize, Vec<u8>)>,
}

impl Cores {
    fn new() -> Self {
        let nodes = (1..=3u64)
            .map(|id| {
                let config = Config {
                    id,
                    election_tick: 10,
                    heartbeat_tick: 3,
                    max_size_per_msg: 1 << 20,
                    max_inflight_msgs: 256,
                    ..Default::default()
                };
                let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
                let raw = RawNode::new(&config, storage.clone(), &crate::logger()).unwrap();
                Core { raw, storage, index: 0, applied: 0 }
            })
            .collect();
        let mut cores = Cores { nodes, flying: VecDeque::new() };
        cores.nodes[0].raw.campaign().unwrap();
        cores.settle();
        assert_eq!(cores.nodes[0].raw.raft.state, StateRole::Leader);
        cores
    }

    fn send(flying: &mut VecDeque<(usize, Vec<u8>)>, messages: Vec<Message>) {
        for message in messages {
            flying.push_back((message.to as usize - 1, message.encode_to_vec()));
        }
    }

    fn apply(index: &mut u64, applied: &mut u64, entries: Vec<Entry>) {
        for entry in entries {
            *index = entry.index;
            *applied += u64::from(!entry.data.is_empty());
        }
    }

    /// Carries out one Ready of a node; false when there is none.
    fn ready(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        if !node.raw.has_ready() {
            return false;
        }
        let mut ready = node.raw.ready();
        Self::send(&mut self.flying, ready.take_messages());
        Self::apply(&mut node.index, &mut node.applied, ready.take_committed_entries());
        let entries = ready.take_entries();
        {
            let mut storage = node.storage.wl();
            storage.append(&entries).unwrap();
            if let Some(state) = ready.hs() {
                storage.set_hardstate(state.clone());
            }
        }
        Self::send(&mut self.flying, ready.take_persisted_messages());
        let mut light = node.raw.advance(ready);
        if let Some(commit) = light.commit_index() {
            node.storage.wl().mut_hard_state().commit = commit;
        }
        Self::send(&mut self.flying, light.take_messages());
        Self::apply(&mut node.index, &mut node.applied, light.take_committed_entries());
        node.raw.advance_apply();
        true
    }

    /// Until nobody has anything to do. All that flies is delivered before the next Readies: what waits is batched.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            for at in 0..3 {
                while self.ready(at) {
                    busy = true;
                }
            }
            while let Some((to, bytes)) = self.flying.pop_front() {
                busy = true;
                self.nodes[to].raw.step(Message::decode(&bytes[..]).unwrap()).unwrap();
            }
            if !busy {
                return;
            }
        }
    }

    /// One MsgPropose with all entries: what costs least.
    fn propose(&mut self, batch: usize) {
        let payload = vec![7u8; 16];
        let entries: Vec<Entry> =
            (0..batch).map(|_| Entry { data: payload.clone(), ..Default::default() }).collect();
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = 1;
        message.entries = entries.into();
        self.nodes[0].raw.step(message).unwrap();
        self.settle();
    }
}

pub fn measure(batch: usize, entries: usize) {
    let mut cores = Cores::new();
    for _ in 0..(2000 / batch).max(2) {
        cores.propose(batch);
    }
    let before = cores.nodes[0].applied;
    let rounds = (entries / batch).max(1);
    let began = Instant::now();
    for _ in 0..rounds {
        cores.propose(batch);
    }
    let elapsed = began.elapsed().as_nanos() as f64;
    for node in &cores.nodes {
        assert_eq!(node.applied, before + (rounds * batch) as u64, "applied on every core");
    }
    println!("{{\"ns_per_entry\": {:.1}}}", elapsed / (rounds * batch) as f64);
}
