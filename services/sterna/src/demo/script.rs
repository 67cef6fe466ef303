//! What happens to the region while people talk.

use std::time::Duration;

use sterna_cluster::region::Place;

/// How long a crashed role is away.
const AWAY: Duration = Duration::from_millis(500);
/// How long dropped devices are away.
const OFFLINE: Duration = Duration::from_millis(1_500);

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A role crashes.
    Crash(Place),
    /// It is built anew from the stores.
    Restart(Place),
    /// Every third device is killed in the middle of what it does.
    DropDevices,
    /// They start again from what they had stored.
    ReviveDevices,
}

/// What happens when, in order, within `length`.
pub fn scenes(length: Duration) -> Vec<(Duration, Scene)> {
    let mut scenes = Vec::new();
    let mut away = |percent: u32, lasts: Duration, begins: Scene, ends: Scene| {
        let at = length * percent / 100;
        scenes.push((at, begins));
        scenes.push((at + lasts.min(length / 12), ends));
    };
    away(15, OFFLINE, Scene::DropDevices, Scene::ReviveDevices);
    for (percent, place) in [
        (30, Place::Messaging(0)),
        (45, Place::State(0)),
        (58, Place::Persistence),
        (70, Place::Gateway(0)),
        (84, Place::Notification),
    ] {
        away(percent, AWAY, Scene::Crash(place), Scene::Restart(place));
    }
    scenes.sort_by_key(|(at, _)| *at);
    scenes
}

impl Scene {
    /// In words.
    pub fn told(self) -> String {
        match self {
            Self::Crash(Place::Gateway(_)) => "gateway crashes: everybody loses the connection".to_owned(),
            Self::Crash(place) => format!("{} crashes", place.role()),
            Self::Restart(place) => format!("{} is back", place.role()),
            Self::DropDevices => "every third device is killed while it talks".to_owned(),
            Self::ReviveDevices => "they start again from what they had stored".to_owned(),
        }
    }

    /// Whether something is broken from here on, until its counterpart.
    pub fn breaks(self) -> bool {
        matches!(self, Self::Crash(_) | Self::DropDevices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_broken_at_a_time_and_all_is_whole_at_the_end() {
        for seconds in [1, 2, 15, 600] {
            let length = Duration::from_secs(seconds);
            let mut broken = 0;
            for (at, scene) in scenes(length) {
                broken += if scene.breaks() { 1 } else { -1 };
                assert!((0..=1).contains(&broken) && at < length, "{scene:?} at {at:?} of {length:?}");
            }
            assert_eq!(broken, 0);
        }
    }
}
