//! Who is to do what, and when: rooms, members, traffic, absences. Drawn before the run begins.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dice::Dice;
use crate::overtaken::Overtaken;
use crate::person::Wish;
use crate::setting::Setting;

/// Traffic and faults end here, milliseconds of the run.
pub const HEAL_AT_MS: u64 = 62_000;
/// Traffic begins here.
const TRAFFIC_FROM_MS: u64 = 4_000;
/// Bytes that one event's text has at most, mostly far fewer.
const TEXT_BYTES: u64 = 2_000;

/// The person who owns the tenant.
pub const ADMINISTRATOR: usize = 0;

/// A room as it is meant to end up.
#[derive(Clone, Debug)]
pub struct Room {
    /// The person who creates it.
    pub owner: usize,
    /// People in it, the owner too.
    pub members: BTreeSet<usize>,
    /// Of them, those who are put out.
    pub removed: BTreeSet<usize>,
}

/// The script of a run.
#[derive(Clone, Debug)]
pub struct Script {
    /// The rooms; the last one has everybody.
    pub rooms: Vec<Room>,
    /// Who is suspended in the tenant, for good.
    pub suspended: Option<usize>,
    /// (milliseconds, person, wish), in order of time.
    pub wishes: Vec<(u64, usize, Wish)>,
}

impl Script {
    /// The script of a seed. `guests` are names of people who are let into the first and the last room and
    /// are nobody of the script's.
    pub fn of(seed: u64, setting: &Setting, guests: &[String]) -> Self {
        let dice = &mut Dice::new(seed, "script");
        let mut script = Self { rooms: rooms(dice, setting), suspended: None, wishes: Vec::new() };
        let last = script.rooms.len() - 1;
        script.furnish(dice, guests);
        script.talk(dice, setting);
        script.leave(dice, setting);
        if setting.regions.len() > 1 {
            script.travel(&mut Dice::new(seed, "travels"), setting);
        }
        if let (Some(overtaken), Some(room)) = (Overtaken::draw(seed, setting), script.rooms.last_mut()) {
            script.wishes.extend(overtaken.wishes(seed, (last, room)));
        }
        if setting.provisioned() {
            script.administer(seed, setting);
        }
        script.wishes.sort_by_key(|(at, person, _)| (*at, *person));
        script
    }

    /// Everybody comes into their rooms; some are put out again.
    fn furnish(&mut self, dice: &mut Dice, guests: &[String]) {
        let last = self.rooms.len() - 1;
        let mut wishes = Vec::new();
        for (number, room) in self.rooms.iter_mut().enumerate() {
            wishes.push((dice.between(100, 800), room.owner, Wish::Create(number)));
            wishes.push((900, room.owner, Wish::Follow(number)));
            for member in room.members.iter().filter(|member| **member != room.owner) {
                wishes.push((dice.between(1_000, 2_500), room.owner, Wish::Add(number, name(*member))));
                wishes.push((dice.between(900, 8_000), *member, Wish::Follow(number)));
            }
            if number == 0 || number == last {
                let add = |guest: &String| (1_500, room.owner, Wish::Add(number, guest.clone()));
                wishes.extend(guests.iter().map(add));
            }
            let others: Vec<usize> = room.members.iter().copied().filter(|m| *m != room.owner).collect();
            if !others.is_empty() && dice.chance(600) {
                let removed = *dice.pick(&others);
                room.removed.insert(removed);
                let at = dice.between(TRAFFIC_FROM_MS + 5_000, HEAL_AT_MS - 2_000);
                wishes.push((at, room.owner, Wish::Remove(number, name(removed))));
            }
        }
        self.wishes.extend(wishes);
    }

    fn talk(&mut self, dice: &mut Dice, setting: &Setting) {
        let mut left = setting.says;
        while left > 0 {
            let person = dice.index(setting.people);
            let own: Vec<usize> =
                (0..self.rooms.len()).filter(|room| self.rooms[*room].members.contains(&person)).collect();
            let room = *dice.pick(&own);
            let at = dice.between(TRAFFIC_FROM_MS, HEAL_AT_MS);
            // Now and then somebody pastes a page of short lines: the stream stands alone for a while.
            let lines = if dice.chance(30) { left.min(24) } else { 1 };
            for _ in 0..lines {
                let bytes = if dice.chance(20) { dice.between(200, TEXT_BYTES) } else { dice.between(1, 60) };
                self.wishes.push((at, person, Wish::Say(room, bytes as usize)));
            }
            left -= lines;
        }
    }

    fn leave(&mut self, dice: &mut Dice, setting: &Setting) {
        for person in 0..setting.people {
            for _ in 0..dice.index(3) {
                let at = dice.between(TRAFFIC_FROM_MS, HEAL_AT_MS - 1_000);
                let gone = Duration::from_millis(dice.between(50, 12_000));
                self.wishes.push((at, person, Wish::Vanish(gone)));
            }
        }
    }

    /// The tenant's owner suspends somebody who is nobody and lifts it, all the time, so that what is said
    /// rests on ever more of the access stream; and somebody for good.
    fn administer(&mut self, seed: u64, setting: &Setting) {
        let dice = &mut Dice::new(seed, "tenant");
        let (mut at, mut on) = (TRAFFIC_FROM_MS, false);
        while at < HEAL_AT_MS {
            on = !on;
            self.wishes.push((at, ADMINISTRATOR, Wish::Suspend("nobody".to_owned(), on)));
            at += dice.between(500, 6_000);
        }
        let owns = |person: &usize| self.rooms.iter().any(|room| room.owner == *person);
        let others: Vec<usize> =
            (0..setting.people).filter(|person| *person != ADMINISTRATOR && !owns(person)).collect();
        let suspended = *dice.pick(&others);
        let at = dice.between(TRAFFIC_FROM_MS + 5_000, HEAL_AT_MS - 2_000);
        let anywhere = || vec![(at, ADMINISTRATOR, Wish::Suspend(name(suspended), true))];
        let overtaken = Overtaken::draw(seed, setting);
        let wishes = overtaken.map_or_else(anywhere, |one| one.suspends(ADMINISTRATOR, suspended));
        self.wishes.extend(wishes);
        self.suspended = Some(suspended);
    }

    /// People go from region to region, some owners while their rooms are being made.
    fn travel(&mut self, dice: &mut Dice, setting: &Setting) {
        let regions = setting.regions.len();
        for room in &self.rooms {
            if dice.chance(300) {
                self.wishes.push((dice.between(150, 3_000), room.owner, Wish::Cross(dice.index(regions))));
            }
        }
        for person in 0..setting.people {
            for _ in 0..dice.index(3) {
                let at = dice.between(TRAFFIC_FROM_MS, HEAL_AT_MS - 1_000);
                self.wishes.push((at, person, Wish::Cross(dice.index(regions))));
            }
        }
    }
}

fn rooms(dice: &mut Dice, setting: &Setting) -> Vec<Room> {
    let mut rooms = Vec::new();
    for _ in 0..setting.rooms {
        let members: BTreeSet<usize> = (0..dice.between(2, 7)).map(|_| dice.index(setting.people)).collect();
        let all: Vec<usize> = members.iter().copied().collect();
        rooms.push(Room { owner: *dice.pick(&all), members, removed: BTreeSet::new() });
    }
    let owner = dice.index(setting.people);
    rooms.push(Room { owner, members: (0..setting.people).collect(), removed: BTreeSet::new() });
    rooms
}

/// The name of a person of the script.
pub fn name(person: usize) -> String {
    format!("p{person:02}")
}
