#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const BOUND: u64 = limits::CLOCK_BOUND_MS;
const EPOCH: u64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

/// Regions whose clocks are `skew` off; true time is milliseconds since `EPOCH`, and everybody's monotonic
/// clock.
struct World {
    skew: Vec<i64>,
    watch: Vec<ClockWatch>,
    /// Per (hearer, speaker): the newest mark that arrived there and when, by the hearer's wall.
    echoes: BTreeMap<(usize, usize), Echo>,
}

impl World {
    fn new(skew: &[i64]) -> Self {
        let watch = skew.iter().map(|_| ClockWatch::new(BOUND)).collect();
        Self { skew: skew.to_vec(), watch, echoes: BTreeMap::new() }
    }

    fn now(&self, who: usize, t: u64) -> Now {
        Now { wall_ms: (EPOCH + t).saturating_add_signed(self.skew[who]), mono_ms: t }
    }

    /// `from` writes a mark at `t` for `to`.
    fn write(&mut self, from: usize, to: usize, t: u64) -> Heard {
        let now = self.now(from, t);
        self.watch[from].sent(now);
        Heard { wall_ms: now.wall_ms, echo: self.echoes.get(&(from, to)).copied() }
    }

    fn arrive(&mut self, from: usize, to: usize, mark: Heard, t: u64) {
        let now = self.now(to, t);
        self.echoes.insert((to, from), Echo { mark_ms: mark.wall_ms, received_ms: now.wall_ms });
        self.watch[to].heard(&region(from), mark, now);
    }

    /// Everybody writes to everybody each second; marks take `delay` ms.
    fn run(&mut self, from: u64, seconds: u64, delay: u64) -> u64 {
        let n = self.skew.len();
        for t in (0..seconds).map(|s| from + s * 1_000) {
            let pairs: Vec<(usize, usize)> =
                (0..n * n).map(|k| (k / n, k % n)).filter(|(a, b)| a != b).collect();
            let marks: Vec<Heard> = pairs.iter().map(|&(a, b)| self.write(a, b, t)).collect();
            for (&(a, b), mark) in pairs.iter().zip(marks) {
                self.arrive(a, b, mark, t + delay);
            }
        }
        from + seconds * 1_000
    }

    /// How far the clamped wall is from true time.
    fn error(&self, who: usize, t: u64) -> i64 {
        self.watch[who].wall_ms(self.now(who, t)) as i64 - (EPOCH + t) as i64
    }

    fn standing(&self, who: usize, t: u64) -> Standing {
        self.watch[who].standing(self.now(who, t))
    }
}

fn region(n: usize) -> Region {
    format!("r{n}").parse().unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        from: usize,
        to: usize,
    },
    /// The mark written as `pick`-th arrives, perhaps again, perhaps long after.
    Arrive {
        pick: usize,
    },
    Wait {
        ms: u64,
    },
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0usize..3, 1usize..3).prop_map(|(from, by)| Step::Write { from, to: (from + by) % 3 }),
        (0usize..1_000).prop_map(|pick| Step::Arrive { pick }),
        prop_oneof![0u64..300, 0u64..600_000].prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// E14: marks delayed by minutes, replayed and reordered never make a right clock look wrong or move it.
    #[test]
    fn delay_never_looks_like_a_wrong_clock(steps in any_steps(), skew in prop::array::uniform3(-40i64..40)) {
        let mut world = World::new(&skew);
        let mut written: Vec<(usize, usize, Heard)> = Vec::new();
        let mut t = 1_000;
        for step in steps {
            match step {
                Step::Write { from, to } => {
                    let mark = world.write(from, to, t);
                    written.push((from, to, mark));
                }
                Step::Arrive { pick } if !written.is_empty() => {
                    let (from, to, mark) = written[pick % written.len()];
                    world.arrive(from, to, mark, t);
                }
                Step::Arrive { .. } => {}
                Step::Wait { ms } => t += ms,
            }
            for who in 0..3 {
                prop_assert!(world.error(who, t).abs() <= 80, "{} by {}", who, world.error(who, t));
                let right = !matches!(world.standing(who, t), Standing::Apart { .. });
                prop_assert!(right, "{:?}", world.standing(who, t));
            }
        }
    }

    /// E14: one of three clocks is off by any amount, for any delay: it is overruled, the two others are not.
    #[test]
    fn two_of_three_overrule_the_third(off in -HOUR..HOUR, delay in 0u64..400) {
        let mut world = World::new(&[0, off, 0]);
        let t = world.run(10_000, 5, delay);
        for who in 0..3 {
            prop_assert!(world.error(who, t).unsigned_abs() <= delay + 2, "{}: {}", who, world.error(who, t));
            let far_off = off.unsigned_abs() > BOUND / 2 + delay;
            prop_assert_eq!(world.standing(who, t) != Standing::Proven, who == 1 && far_off);
        }
    }
}

/// E14: with none ever seen the wall stands and the region says so.
#[test]
fn without_any_mark_the_wall_stands_unproven() {
    let world = World::new(&[HOUR]);
    assert_eq!(world.error(0, 5_000), HOUR);
    assert_eq!(world.standing(0, 5_000), Standing::Unproven);
}

/// E14: without a fresh mark the clamp runs on from the last proven offset by the monotonic clock.
#[test]
fn a_step_during_a_cut_changes_nothing() {
    for regions in [2, 3] {
        let mut world = World::new(&vec![0; regions]);
        let t = world.run(10_000, 3, 40);
        assert_eq!(world.standing(0, t), Standing::Proven);
        world.skew[0] = HOUR;
        let later = t + 600_000;
        assert!(world.error(0, later).abs() <= 40 + 120 * 2, "{}", world.error(0, later));
        assert!(matches!(world.standing(0, later), Standing::Apart { ahead_ms } if ahead_ms > HOUR - 1_000));
        world.skew[0] = 0;
        assert_eq!(world.standing(0, later), Standing::Proven);
    }
}

/// E14: of two regions the one that stepped is overruled and alarms; the other goes on undisturbed.
#[test]
fn of_two_the_one_that_stepped_alarms() {
    let mut world = World::new(&[0, 0]);
    let t = world.run(10_000, 3, 40);
    world.skew[1] = 5 * 60_000;
    let t = world.run(t, 5, 40);
    assert_eq!(world.standing(0, t), Standing::Proven);
    assert!(world.error(0, t).abs() <= 45);
    assert!(matches!(world.standing(1, t), Standing::Apart { ahead_ms } if ahead_ms > 290_000));
    assert!(world.error(1, t).abs() <= 45, "{}", world.error(1, t));
}

/// E14: a mark from before a peer's step that arrives after it is older evidence, whatever it contradicts.
#[test]
fn a_mark_from_before_a_step_does_not_undo_it() {
    let mut world = World::new(&[0, 0]);
    let t = world.run(10_000, 3, 40);
    let held_up = world.write(1, 0, t);
    world.skew[1] = 5 * 60_000;
    let t = world.run(t + 1_000, 5, 40);
    let proven = |world: &World| {
        let proof = world.watch[0].peers[&region(1)];
        (proof.low - EPOCH as i64, proof.high - EPOCH as i64)
    };
    let (low, high) = proven(&world);
    assert!(299_000 < low && low <= high && high < 301_000, "the step is seen: {low}..{high}");
    world.arrive(1, 0, held_up, t);
    assert!(proven(&world).0 > 299_000 && proven(&world).1 < 301_000, "{:?}", proven(&world));
}

/// E14: two that never agreed cannot tell who is wrong: both alarm, neither is moved.
#[test]
fn two_that_never_agreed_both_alarm() {
    let mut world = World::new(&[0, HOUR]);
    let t = world.run(10_000, 3, 40);
    assert!(matches!(world.standing(0, t), Standing::Apart { ahead_ms } if ahead_ms < -HOUR + 1_000));
    assert!(matches!(world.standing(1, t), Standing::Apart { ahead_ms } if ahead_ms > HOUR - 1_000));
    assert_eq!((world.error(0, t), world.error(1, t)), (0, HOUR));
}

/// E14: the alarm is at half the bound, and ends when the clock is put right.
#[test]
fn the_alarm_is_at_half_the_bound() {
    let half = (BOUND / 2) as i64;
    for (off, apart) in [(half, false), (half + 1, true), (-half, false), (-half - 1, true)] {
        let mut world = World::new(&[0, 0, 0]);
        let t = world.run(10_000, 3, 0);
        world.skew[0] = off;
        assert_eq!(matches!(world.standing(0, t - 1_000), Standing::Apart { .. }), apart, "{off}");
    }
}

/// E14: hostile or broken marks (any numbers) neither panic nor move a wall that a majority proves.
#[test]
fn absurd_marks_are_survived() {
    let mut world = World::new(&[0, 0, 0]);
    let t = world.run(10_000, 3, 10);
    let far = [0, 1, u64::MAX / 2, u64::MAX];
    for wall_ms in far {
        for received_ms in far {
            let mark_ms = EPOCH + 12_000;
            let heard = Heard { wall_ms, echo: Some(Echo { mark_ms, received_ms }) };
            let now = world.now(0, t);
            world.watch[0].heard(&region(1), heard, now);
            assert!(world.error(0, t).abs() <= 20);
        }
    }
    for mono_ms in [0, u64::MAX] {
        let now = Now { wall_ms: u64::MAX, mono_ms };
        world.watch[0].wall_ms(now);
        world.watch[0].standing(now);
    }
}

/// E29: own marks are remembered up to a bound; echoes of forgotten ones prove only the lower side.
#[test]
fn forgotten_marks_prove_the_lower_side_only() {
    let mut watch = ClockWatch::new(BOUND);
    for t in 0..limits::SENT_MARKS as u64 + 1 {
        watch.sent(Now { wall_ms: EPOCH + t, mono_ms: t });
    }
    assert_eq!(watch.sent.len(), limits::SENT_MARKS);
    assert!(!watch.sent.contains_key(&EPOCH), "the oldest went");
    let now = Now { wall_ms: EPOCH + 9_000, mono_ms: 9_000 };
    let echo = Echo { mark_ms: EPOCH, received_ms: EPOCH + 1 };
    watch.heard(&region(1), Heard { wall_ms: EPOCH + 8_990, echo: Some(echo) }, now);
    assert_eq!(
        watch.peers[&region(1)],
        Proof { low: EPOCH as i64 - 10, high: HIGHEST, at_ms: 9_000, asked_ms: None }
    );
    assert_eq!(watch.standing(now), Standing::Unproven);
}
