//! Rules 7 to 9 under random loss, repetition, gaps and moves: what arrived and what was told tile
//! 1..=cursor.
//!
//! Three origins, two regions that lag behind each other, sockets that are cut at any moment with frames in
//! flight. The scripted gateway keeps section 8's contract (dense per socket from the subscribed cursor, or a
//! gap first).

use std::collections::BTreeMap;

use super::*;

const ORIGINS: [&str; 3] = [US, EU, "ap-south-1"];

/// What one socket has been sent so far.
#[derive(Clone)]
struct Served {
    id: SocketId,
    region: usize,
    sent: Cursor,
}

struct World {
    rig: Rig,
    random: Box<dyn Random>,
    /// Heads of every origin, and how much of them each region has.
    heads: [u64; 3],
    has: [[u64; 3]; 2],
    served: Vec<Served>,
    /// Per (origin, seq): how often it was shown or told as skipped.
    covered: BTreeMap<(String, u64), u32>,
    read: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        rig.machine.random = random(seed);
        rig.follow(CHAT);
        let (heads, has) = ([0; 3], [[0; 3]; 2]);
        let covered = BTreeMap::new();
        Self { rig, random: random(seed ^ 0xabcd), heads, has, served: Vec::new(), covered, read: 0 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn step(&mut self) {
        self.greet();
        match self.draw(12) {
            0..=3 => {
                let origin = self.draw(3) as usize;
                self.heads[origin] += 1 + self.draw(4);
            }
            4 | 5 => {
                let (region, origin) = (self.draw(2) as usize, self.draw(3) as usize);
                let missing = self.heads[origin] - self.has[region][origin];
                self.has[region][origin] += self.draw(missing + 1);
            }
            6..=8 => self.serve(),
            9 => self.cut(),
            10 => self.ask_to_move(),
            _ => self.rig.pass(700),
        }
        self.count();
    }

    /// Opens what the client asked for; a region serves from the cursor that was subscribed with.
    fn greet(&mut self) {
        if matches!(self.rig.state(), State::Idle | State::Stopped) {
            self.rig.give(Input::Connect);
        }
        for (id, url) in std::mem::take(&mut self.rig.opened) {
            if !self.rig.machine.sockets().any(|one| one == id) {
                continue;
            }
            let region = usize::from(url.contains(EU));
            self.rig.give(Input::Opened(id));
            self.rig.frame(id, welcome([US, EU][region]));
            for asked in self.rig.subscriptions(id) {
                let sent = asked.cursor.unwrap_or_default();
                let head = cursor_of(&self.has[region]);
                self.rig.frame(id, subscribed(CHAT, &head, &head));
                self.served.push(Served { id, region, sent });
            }
        }
        self.served.retain(|served| self.rig.machine.sockets().any(|one| one == served.id));
    }

    /// One socket gets a few events, or a gap over some; repeats below what it has are allowed (section 8 g).
    fn serve(&mut self) {
        if self.served.is_empty() {
            return;
        }
        let at = self.draw(self.served.len() as u64) as usize;
        let Served { id, region, mut sent } = self.served[at].clone();
        let origin = self.draw(3) as usize;
        let name = ORIGINS[origin].parse().unwrap();
        let (from, upto) = (sent.get(&name), self.has[region][origin]);
        let frame = match self.draw(4) {
            0 if upto > from => {
                let to = from + 1 + self.draw(upto - from);
                sent.advance(&name, to);
                let text = |seq: u64| if seq == 0 { String::new() } else { format!("{name}:{seq}") };
                gap(CHAT, "skipped", &text(from), &text(to))
            }
            1 => gap(CHAT, "waiting", "", &format!("{name}:{}", upto + 9)),
            _ => {
                let first = from.saturating_sub(self.draw(3)) + 1;
                let last = (from + self.draw(6)).min(upto);
                sent.advance(&name, last);
                events(CHAT, (first..=last).map(|seq| event(ORIGINS[origin], seq)).collect())
            }
        };
        self.served[at].sent = sent;
        self.rig.frame(id, frame);
        assert!(self.rig.closed.iter().all(|(_, code)| *code != 4400), "no hole was made");
    }

    fn cut(&mut self) {
        if self.served.is_empty() || self.draw(3) > 0 {
            return;
        }
        let at = self.draw(self.served.len() as u64) as usize;
        let code = [1006, 4001, 1012][self.draw(3) as usize];
        self.rig.give(Input::Closed(self.served[at].id, code));
    }

    fn ask_to_move(&mut self) {
        let to = [US, EU][self.draw(2) as usize];
        if let Some(served) = self.served.first() {
            let (id, after) = (served.id, self.draw(900) as u32);
            self.rig.frame(id, asked_to_move(to, after, 3_000));
        }
    }

    fn count(&mut self) {
        for notice in &self.rig.notices[self.read..] {
            match notice {
                Notice::Shown { event, .. } => {
                    *self.covered.entry((event.origin.to_string(), event.seq)).or_default() += 1;
                }
                Notice::Skipped(_, holes) => {
                    for hole in holes {
                        for seq in hole.after + 1..=hole.upto {
                            *self.covered.entry((hole.origin.to_string(), seq)).or_default() += 1;
                        }
                    }
                }
                _ => {}
            }
        }
        self.read = self.rig.notices.len();
        let stream = CHAT.parse().unwrap();
        let at = self.rig.machine.cursor(&stream).cloned().unwrap_or_default();
        let total: u64 = at.iter().map(|(_, seq)| seq).sum();
        assert_eq!(self.covered.len() as u64, total, "something stands beyond the cursor, or is missing");
        for ((origin, seq), count) in &self.covered {
            assert!(*seq <= at.get(&origin.parse().unwrap()) && *count == 1, "{origin}:{seq} {count} times");
        }
    }
}

fn cursor_of(has: &[u64; 3]) -> Cursor {
    ORIGINS.iter().zip(has).map(|(origin, seq)| (origin.parse().unwrap(), *seq)).collect()
}

/// P7, P8, P9, section 8: events shown and gaps told tile 1..=cursor: each seq exactly once, in memory and
/// stored.
#[test]
fn events_and_gaps_tile_under_cuts_repeats_and_moves() {
    let (mut moved, mut shown) = (0, 0);
    for seed in 0..120 {
        let mut world = World::new(seed);
        for _ in 0..250 {
            world.step();
        }
        let stream: StreamId = CHAT.parse().unwrap();
        let at = world.rig.machine.cursor(&stream).cloned().unwrap_or_default();
        let stored = world.rig.storage.load().unwrap().streams.remove(&stream).unwrap_or_default();
        assert_eq!(stored.cursor, at, "what is stored is what was shown");
        moved += world.rig.closed.iter().filter(|(_, code)| *code == 1000).count();
        shown += world.covered.len();
    }
    assert!(moved > 200 && shown > 10_000, "the run exercised little: {moved} moves, {shown} seqs");
}
