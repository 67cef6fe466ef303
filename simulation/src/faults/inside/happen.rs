//! How each fault inside a region happens, and what undoes it.

use std::time::Duration;

use sterna_cluster::region::Place;
use sterna_process::End;
use tokio::time::sleep;

use super::Inside;
use crate::faults::Undo;
use crate::site::Site;
use crate::world::World;

/// A call of a slow table.
const SLOW: Duration = Duration::from_millis(300);

impl Inside {
    /// Under which name it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dies { .. } => "a role dies at a poll",
            Self::Sleeps { .. } => "a role stops and wakes",
            Self::Zombie { .. } => "a writer stops with puts under way, past its session",
            Self::PowerLoss { .. } => "a region loses power",
            Self::Writes { .. } => "puts: unknown, late or lost",
            Self::TableFlaky { .. } => "the table is flaky",
            Self::TableDown { .. } => "the table is down",
            Self::Produces { .. } => "produces: unavailable, refused, unknown, late or lost",
            Self::LogSlow { .. } => "the log is slow",
            Self::LogDown { .. } => "the log is down",
            Self::FewReplicas { .. } => "too few replicas in sync",
            Self::TailsWiped => "tails wiped",
            Self::TailsLost { .. } => "the last writes of tails lost",
            Self::OffsetsForgotten { .. } => "group offsets forgotten",
            Self::PushesLost { .. } => "pushes lost",
            Self::LastPushesLost { .. } => "the last words' pushes lost",
            Self::ClockSteps { .. } => "a region's clock steps",
            Self::DeadWritersPut { .. } => "a dead writer's put before its successor's",
        }
    }

    /// Whether streams between roles may end by it.
    pub fn ends_pushes(&self) -> bool {
        match self {
            Self::Dies { place, .. } | Self::Sleeps { place, .. } => !matches!(place, Place::Messaging(_)),
            Self::PowerLoss { .. }
            | Self::LogSlow { .. }
            | Self::LogDown { .. }
            | Self::PushesLost { .. }
            | Self::LastPushesLost { .. }
            | Self::OffsetsForgotten { sequencers: false } => true,
            _ => false,
        }
    }

    /// Makes it happen in the region of this number; says how it is undone, and after how long.
    pub fn happen(&self, world: &mut World, region: usize) -> Option<(u64, Undo)> {
        let site = &world.sites[region];
        match self {
            Self::Dies { place, poll, down_ms } => {
                site.process(*place)?.die_at_poll(*poll);
                Some((*down_ms, Undo::Start(region, vec![*place])))
            }
            Self::Sleeps { place, ms } => {
                let process = site.process(*place)?;
                process.pause(true);
                Some((*ms, Undo::Wake(process)))
            }
            Self::Zombie { place, ms } => {
                let mut chances = site.table_chances();
                (chances.delay_min, chances.delay_max) = (SLOW, SLOW * 2);
                site.table_faults.set_chances(chances);
                Some((1_000, Undo::Stop(region, *place, *ms)))
            }
            Self::PowerLoss { down_ms } => {
                let places = site.places();
                places.iter().for_each(|place| site.kill(*place));
                Some((*down_ms, Undo::Start(region, places)))
            }
            Self::OffsetsForgotten { sequencers } => {
                let place = site.forget_offsets(*sequencers);
                Some((100, Undo::Start(region, vec![place])))
            }
            Self::ClockSteps { by_ms } => {
                site.clock.step_ms(*by_ms);
                None
            }
            Self::DeadWritersPut { puts, down_ms } => {
                site.ambush.arm(site.origin(), *puts);
                let killer = kill_writers(site, Duration::from_millis(*down_ms));
                world.outside().spawn_local("an ambush", End::Expected, killer);
                None
            }
            _ => self.happen_to_stores(site, region),
        }
    }

    fn happen_to_stores(&self, site: &Site, region: usize) -> Option<(u64, Undo)> {
        match self {
            Self::PushesLost { pushes } => {
                site.pushes.lose(*pushes);
                None
            }
            Self::LastPushesLost { ms } => {
                site.pushes.lose_own_for(Duration::from_millis(*ms));
                None
            }
            Self::TailsWiped => {
                site.stores.tails.wipe();
                None
            }
            Self::TailsLost { writes } => {
                site.stores.tails.lose_last(*writes);
                None
            }
            Self::Writes { fault, times } => {
                (0..*times).for_each(|_| site.table_faults.next_write(*fault));
                None
            }
            Self::TableFlaky { throttled, unknown, late, ms } => {
                let mut chances = site.table_chances();
                (chances.throttle, chances.unknown, chances.late) = (*throttled, *unknown, *late);
                site.table_faults.set_chances(chances);
                Some((*ms, Undo::Table(region)))
            }
            Self::TableDown { ms } => {
                site.table_faults.set_down(true);
                Some((*ms, Undo::Table(region)))
            }
            Self::Produces { fault, ingress, times } => {
                site.log_faults.force(*fault, Some(&site.topic(*ingress)), *times);
                None
            }
            Self::LogSlow { ms } => {
                site.log_faults.set(|chances| chances.slow = 500);
                Some((*ms, Undo::Log(region)))
            }
            Self::LogDown { ms } => {
                site.log_faults.set_down(true);
                Some((*ms, Undo::Log(region)))
            }
            Self::FewReplicas { ms } => {
                site.stores.log.set_in_sync(1);
                Some((*ms, Undo::Replicas(region)))
            }
            _ => None,
        }
    }
}

/// Kills every instance of messaging once a put is caught, and starts them again after a while.
fn kill_writers(site: &Site, down: Duration) -> impl Future<Output = ()> + 'static {
    let (ambush, region) = (site.ambush.clone(), site.region.clone());
    let writers: Vec<Place> =
        site.places().into_iter().filter(|place| matches!(place, Place::Messaging(_))).collect();
    async move {
        ambush.caught().await;
        writers.iter().for_each(|place| region.borrow_mut().kill(*place));
        sleep(down).await;
        writers.iter().for_each(|place| region.borrow_mut().restart(*place));
    }
}
