//! A removal that another region's words overtake (E24): for a while nothing gets from where it was said to
//! where the removed person is; a third region knows of it, goes on talking, and is heard there. Whoever
//! comes back there asks for what was said, and must not get what rests on the removal before that arrives.
//!
//! Part of it is faults and part of it is what people do, so it is drawn apart from both.

use std::time::Duration;

use sterna_cluster::region::Place;

use crate::dice::Dice;
use crate::faults::{Between, Fault, Inside};
use crate::person::Wish;
use crate::script::{Room, name};
use crate::setting::Setting;

/// Runs of a thousand that have one.
const RUNS: u32 = 400;
/// Removals are said between these, milliseconds of the run.
const WITHIN_MS: (u64, u64) = (16_000, 45_000);
/// How long before that everybody goes where they have to be, milliseconds.
const BEFORE_MS: u64 = 4_000;
/// How long nothing gets through, milliseconds.
const CUT_MS: u64 = 12_000;

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Overtaken {
    /// When the removal is said, milliseconds of the run.
    at_ms: u64,
    /// The region where it is said, the one that goes on talking, and the one where the removed person is.
    regions: [usize; 3],
    /// Shards of the last.
    shards: usize,
}

impl Overtaken {
    /// The one of a seed, if it has one: three regions are needed.
    pub fn draw(seed: u64, setting: &Setting) -> Option<Self> {
        let dice = &mut Dice::new(seed, "overtaken");
        if setting.regions.len() < 3 || !dice.chance(RUNS) {
            return None;
        }
        let (first, by) = (dice.index(3), 1 + dice.index(2));
        let regions = [first, (first + by) % 3, (first + 2 * by) % 3];
        let at_ms = dice.between(WITHIN_MS.0, WITHIN_MS.1);
        Some(Self { at_ms, regions, shards: setting.regions[regions[2]].plan.shards })
    }

    /// What has to go wrong for it: nothing comes from where the removal is said, and shards die whose rings
    /// would hold what the removed person missed.
    pub fn faults(&self) -> Vec<(u64, Fault)> {
        let [said, _, removed] = self.regions;
        let cut = Between::Cut { way: (said, removed), both: false, ms: CUT_MS };
        let dies = |shard| Inside::Dies { place: Place::Gateway(shard), poll: 0, down_ms: 100 };
        let mut faults = vec![(self.at_ms - 500, Fault::Between(cut))];
        faults.extend((0..self.shards).map(|n| (self.at_ms + 2_500, Fault::Inside(removed, dies(n)))));
        faults
    }

    /// What people do for it, in the room of all.
    pub fn wishes(&self, seed: u64, room: (usize, &mut Room)) -> Vec<(u64, usize, Wish)> {
        let ((number, room), dice) = (room, &mut Dice::new(seed, "overtaken people"));
        let mut others: Vec<usize> =
            room.members.difference(&room.removed).copied().filter(|one| *one != room.owner).collect();
        if others.len() < 2 {
            return Vec::new();
        }
        let removed = others.remove(dice.index(others.len()));
        let speaker = *dice.pick(&others);
        room.removed.insert(removed);
        let [said, talks, at] = self.regions;
        let mut wishes = vec![
            (self.at_ms - BEFORE_MS, room.owner, Wish::Cross(said)),
            (self.at_ms - BEFORE_MS, speaker, Wish::Cross(talks)),
            (self.at_ms - BEFORE_MS, removed, Wish::Cross(at)),
            (self.at_ms, room.owner, Wish::Remove(number, name(removed))),
            (self.at_ms + 1_000, removed, Wish::Vanish(Duration::from_secs(3))),
        ];
        wishes.extend((0..6).map(|n| (self.at_ms + 1_000 + n * 500, speaker, Wish::Say(number, 9))));
        wishes
    }

    /// What people do so that the same befalls a suspension: it is said where the removal is, of somebody who
    /// is where the removed person is.
    pub fn suspends(&self, by: usize, user: usize) -> Vec<(u64, usize, Wish)> {
        let [said, _, at] = self.regions;
        vec![
            (self.at_ms - BEFORE_MS, by, Wish::Cross(said)),
            (self.at_ms - BEFORE_MS, user, Wish::Cross(at)),
            (self.at_ms, by, Wish::Suspend(name(user), true)),
        ]
    }
}
