//! The region's wall: fed by marks, clamped by what they prove.

use sterna_process::Clock;
use sterna_proto::record::encode_mark;
use sterna_stream::clock_watch::Standing;

use super::*;

const AP: &str = "ap-southeast-1";
const HOUR: i64 = 3_600_000;

/// Two other regions whose clocks are right.
struct Others {
    mirrors: [(Topic, &'static str); 2],
    clock: ManualClock,
}

impl Others {
    fn of(world: &mut World) -> Self {
        let topic: Topic = "ap-southeast-1.sterna-log".parse().unwrap();
        world.log.create(&topic, 1);
        world.config.mirrors.push(Mirror { origin: AP.parse().unwrap(), topic: topic.clone() });
        Self { mirrors: [(world.mirror(), EU), (topic, AP)], clock: ManualClock::new(NOW) }
    }

    /// Each writes a mark a second, echoing the newest one of this region, which took no time.
    async fn talk(&self, world: &World, seconds: usize) {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            let wall_unix_ms = self.clock.wall_ms();
            let echo = |mark: v1::Mark| v1::Echo {
                origin: US.into(),
                mark_unix_ms: mark.wall_unix_ms,
                received_unix_ms: wall_unix_ms,
            };
            let echoes: Vec<_> = world.marks().await.pop().map(echo).into_iter().collect();
            for (topic, origin) in &self.mirrors {
                let (origin, echoes) = ((*origin).to_owned(), echoes.clone());
                let mark = v1::Mark { origin, wall_unix_ms, echoes, ..v1::Mark::default() };
                world.produce(topic, 0, encode_mark(mark), None).await;
            }
        }
    }

    fn error(&self, instance: &Instance) -> i64 {
        instance.wall.wall_ms() as i64 - self.clock.wall_ms() as i64
    }
}

/// E14: with no mark of others ever seen the wall stands, and the region says that nothing is proven.
#[tokio::test(start_paused = true)]
async fn alone_the_wall_stands_unproven() {
    let mut world = World::new();
    let instance = world.start();
    instance.clock.step_ms(HOUR);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(instance.wall.wall_ms(), NOW + 10_000 + HOUR as u64);
    assert_eq!((instance.wall.standing(), instance.wall.is_apart()), (Standing::Unproven, false));
}

/// E14, E22: a mark carries its writer's own wall, not the clamped one, and echoes each other region's last.
#[tokio::test(start_paused = true)]
async fn marks_carry_the_own_wall_and_echoes() {
    let mut world = World::new();
    let others = Others::of(&mut world);
    let instance = world.start();
    instance.clock.step_ms(HOUR);
    others.talk(&world, 5).await;
    sleep(Duration::from_secs(2)).await;
    let mark = world.marks().await.pop().unwrap();
    assert!(mark.wall_unix_ms > NOW + HOUR as u64, "its own clock");
    let echoed: Vec<&str> = mark.echoes.iter().map(|echo| echo.origin.as_str()).collect();
    assert_eq!(echoed, [AP, EU]);
    for echo in &mark.echoes {
        assert_eq!(echo.mark_unix_ms, NOW + 5_000);
        assert!(echo.received_unix_ms.abs_diff(NOW + 5_000 + HOUR as u64) < 100, "{echo:?}");
    }
}

/// E14: of three clocks the one that is an hour ahead is overruled and alarmed; put right, it agrees.
#[tokio::test(start_paused = true)]
async fn a_clock_an_hour_ahead_is_overruled_and_alarmed() {
    let mut world = World::new();
    let others = Others::of(&mut world);
    let instance = world.start();
    instance.clock.step_ms(HOUR);
    others.talk(&world, 5).await;
    assert!(others.error(&instance).abs() <= 1_100, "{} ms off", others.error(&instance));
    let Standing::Apart { ahead_ms } = instance.wall.standing() else { panic!("no alarm") };
    assert!(instance.wall.is_apart() && (ahead_ms - HOUR).abs() < 2_000, "{ahead_ms}");
    assert_eq!(instance.state.clock(), Standing::Apart { ahead_ms });
    instance.clock.set_skew_ms(0);
    others.talk(&world, 3).await;
    assert_eq!((others.error(&instance), instance.wall.is_apart()), (0, false));
}

/// E14: a sequencer's mark, which is numbered, carries what its region takes for the time: it proves nothing
/// by itself and is not echoed.
#[tokio::test(start_paused = true)]
async fn a_sequencers_mark_says_nothing_of_clocks() {
    let mut world = World::new();
    let instance = world.start();
    let (origin, log_hash) = (EU.to_owned(), Bytes::from_static(&[1; 32]));
    let mark = v1::Mark { origin, log_hash, wall_unix_ms: NOW + 5 * HOUR as u64, ..v1::Mark::default() };
    world.produce(&world.mirror(), 0, encode_mark(mark), Some(placed(1, 1))).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(instance.wall.standing(), Standing::Unproven);
    assert_eq!(world.marks().await.pop().unwrap().echoes, []);
}

/// E14: a mark echoes what came in its own partition, whose owner there has to recognise what its owner here
/// wrote.
#[tokio::test(start_paused = true)]
async fn a_mark_echoes_its_own_partition_alone() {
    let mut world = World::with(2, tails::Limits::default());
    let _instance = world.start();
    let mark =
        |partition| v1::Mark { origin: EU.into(), partition, wall_unix_ms: NOW, ..v1::Mark::default() };
    world.produce(&world.mirror(), 1, encode_mark(mark(1)), None).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.marks().await.pop().unwrap().echoes, [], "nothing came in the first partition");
    world.produce(&world.mirror(), 0, encode_mark(mark(0)), None).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.marks().await.pop().unwrap().echoes.len(), 1);
}

/// E14: when marks stop coming the clamp runs on by the monotonic clock, whatever the own clock does.
#[tokio::test(start_paused = true)]
async fn a_step_during_a_cut_moves_nothing() {
    let mut world = World::new();
    let others = Others::of(&mut world);
    let instance = world.start();
    others.talk(&world, 5).await;
    assert_eq!(instance.wall.standing(), Standing::Proven);
    instance.clock.step_ms(-HOUR);
    sleep(Duration::from_secs(300)).await;
    assert!(others.error(&instance).abs() <= 1_200, "{} ms off", others.error(&instance));
    assert!(instance.wall.is_apart());
}
