//! What happens to the regions while people talk.

use std::time::Duration;

use sterna_cluster::region::Place;
use sterna_stream::Region;

use super::ledger::RegionNumber;

/// How long a crashed role is away.
const AWAY: Duration = Duration::from_millis(500);
/// How long dropped devices are away.
const OFFLINE: Duration = Duration::from_millis(1_500);
/// How long a region is cut off from the others.
const CUT: Duration = Duration::from_secs(3);
/// How long a region's gateway is down, where people can go on elsewhere.
const DOWN: Duration = Duration::from_secs(3);

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A role of a region crashes.
    Crash(RegionNumber, Place),
    /// It is built anew from the stores.
    Restart(RegionNumber, Place),
    /// Nothing goes between a region and the others any more: no log and no table.
    CutOff(RegionNumber),
    /// The cut is healed.
    Heal(RegionNumber),
    /// Every third device is killed in the middle of what it does.
    DropDevices,
    /// They start again from what they had stored.
    ReviveDevices,
}

/// What happens when, in order, within `length`, to so many regions.
pub fn scenes(length: Duration, regions: usize) -> Vec<(Duration, Scene)> {
    let mut scenes = Vec::new();
    let several = regions > 1;
    let in_region = |number: RegionNumber| number % regions;
    // In a short run everything lasts less, and what people notice lasts longest.
    let mut away = |percent: u32, lasts: Duration, begins: Scene, ends: Scene| {
        let at = length * percent / 100;
        let most = if lasts > OFFLINE { length / 8 } else { length / 12 };
        scenes.push((at, begins));
        scenes.push((at + lasts.min(most), ends));
    };
    let mut crash = |percent: u32, lasts: Duration, region: RegionNumber, place: Place| {
        let region = in_region(region);
        away(percent, lasts, Scene::Crash(region, place), Scene::Restart(region, place));
    };
    crash(22, AWAY, 0, Place::Messaging(0));
    crash(45, AWAY, 1, Place::State(0));
    crash(55, AWAY, 2, Place::Persistence);
    crash(65, if several { DOWN } else { AWAY }, 2, Place::Gateway(0));
    crash(88, AWAY, 0, Place::Notification);
    away(12, OFFLINE, Scene::DropDevices, Scene::ReviveDevices);
    if several {
        away(31, CUT, Scene::CutOff(in_region(1)), Scene::Heal(in_region(1)));
    }
    scenes.sort_by_key(|(at, _)| *at);
    scenes
}

impl Scene {
    /// In words; `regions` are the names.
    pub fn told(self, regions: &[Region]) -> String {
        let several = regions.len() > 1;
        match self {
            Self::Crash(region, Place::Gateway(_)) if several => {
                format!("{}: the gateway is gone; its people go on in other regions", regions[region])
            }
            Self::Crash(region, place) => format!("{}: {} crashes", regions[region], place.role()),
            Self::Restart(region, place) => format!("{}: {} is back", regions[region], place.role()),
            Self::CutOff(region) => format!("{} is cut off from the other regions", regions[region]),
            Self::Heal(region) => format!("{} is reachable again", regions[region]),
            Self::DropDevices => "every third device is killed while it talks".to_owned(),
            Self::ReviveDevices => "they start again from what they had stored".to_owned(),
        }
    }

    /// In few words, where it breaks something.
    pub fn fault(self, regions: &[Region]) -> Option<String> {
        match self {
            Self::Crash(region, place) => Some(format!("{} of {}", place.role(), regions[region])),
            Self::CutOff(region) => Some(format!("{} cut off", regions[region])),
            Self::DropDevices => Some("devices killed".to_owned()),
            Self::Restart(..) | Self::Heal(_) | Self::ReviveDevices => None,
        }
    }

    /// Whether something is broken from here on, until its counterpart.
    pub fn breaks(self) -> bool {
        matches!(self, Self::Crash(..) | Self::CutOff(_) | Self::DropDevices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_broken_at_a_time_and_all_is_whole_at_the_end() {
        for (seconds, regions) in [(1, 1), (2, 3), (15, 2), (26, 3), (600, 6)] {
            let length = Duration::from_secs(seconds);
            let mut broken = 0;
            for (at, scene) in scenes(length, regions) {
                broken += if scene.breaks() { 1 } else { -1 };
                assert!((0..=1).contains(&broken) && at < length, "{scene:?} at {at:?} of {length:?}");
            }
            assert_eq!(broken, 0);
        }
    }

    #[test]
    fn a_region_that_stands_alone_is_not_cut_off() {
        let alone = scenes(Duration::from_secs(26), 1);
        assert!(!alone.iter().any(|(_, scene)| matches!(scene, Scene::CutOff(_))));
        let two = scenes(Duration::from_secs(26), 2);
        assert!(two.iter().any(|(_, scene)| *scene == Scene::CutOff(1)));
    }
}
