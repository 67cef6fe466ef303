//! Which logs are consumed beside the own one: those of every life of every peer region whose mirror is here
//! (E1).
//!
//! A region that was rebuilt goes on under a new origin, in a log of another name; its witness raised its
//! incarnation in a control item, which replication brings here. The new log's mirror is consumed from its
//! beginning; the old ones stay, because late events of theirs may still surface. Nothing is unfollowed while
//! the instance lives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sterna_log::Error;
use sterna_storage::control;
use sterna_stream::{Origin, Region};
use tokio::sync::Notify;

use crate::{Inner, Mirror};

/// How often control items are looked at, and mirrors that were not there yet.
pub const LOOK: Duration = Duration::from_secs(5);

/// The mirrors that are followed.
pub(crate) struct Lives {
    mirrors: Mutex<Arc<[Mirror]>>,
    changed: Notify,
}

impl Lives {
    /// Begins with those that the configuration names.
    pub(crate) fn new(mirrors: &[Mirror]) -> Self {
        Self { mirrors: Mutex::new(mirrors.into()), changed: Notify::new() }
    }

    /// The mirrors as they are now; the order of those that were there before never changes.
    pub(crate) fn mirrors(&self) -> Arc<[Mirror]> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the origin is some known life of a peer's.
    pub(crate) fn knows(&self, origin: &Origin) -> bool {
        self.mirrors().iter().any(|mirror| mirror.origin == *origin)
    }

    /// Resolves when there are more mirrors than before.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn add(&self, found: Vec<Mirror>) {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        *mirrors = mirrors.iter().cloned().chain(found).collect();
        drop(mirrors);
        self.changed.notify_one();
    }
}

/// Looks again and again, for the role's life.
pub(crate) async fn watch(role: Arc<Inner>) {
    let drain = role.process.drain_signal();
    let mut regions: Vec<Region> = role.config.mirrors.iter().map(|mirror| mirror.origin.region()).collect();
    regions.sort_unstable();
    regions.dedup();
    while !drain.is_raised() {
        let mut found = Vec::new();
        for region in &regions {
            found.extend(unfollowed(&role, region).await);
        }
        if !found.is_empty() {
            found.iter().for_each(|mirror| tracing::info!(origin = %mirror.origin, "a life is followed"));
            role.lives.add(found);
        }
        tokio::select! {
            biased;
            () = drain.raised() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Mirrors of this region's lives that are here and are not followed. What cannot be asked now is asked at
/// the next look.
async fn unfollowed(role: &Inner, region: &Region) -> Vec<Mirror> {
    let known = role.lives.mirrors();
    let of_region = known.iter().filter(|mirror| mirror.origin.region() == *region);
    let configured = of_region.map(|mirror| mirror.origin.incarnation()).max().unwrap_or(1);
    let newest = match control::incarnation(&*role.table, region).await {
        Ok(newest) => newest.max(configured),
        Err(error) => {
            tracing::warn!(%region, %error, "a region's incarnation cannot be read yet");
            configured
        }
    };
    let mut found = Vec::new();
    for incarnation in 1..=newest {
        let mirror = Mirror::of(Origin::of(region, incarnation));
        if known.iter().any(|known| known.origin == mirror.origin) {
            continue;
        }
        match role.log.describe(&mirror.topic, None).await {
            Ok(described) if described.partitions.len() == usize::from(role.config.partitions) => {
                found.push(mirror);
            }
            Ok(_) => tracing::error!(topic = %mirror.topic, "alarm: a mirror has another partition count"),
            Err(Error::MissingTopic(..)) => {}
            Err(error) => tracing::warn!(topic = %mirror.topic, %error, "a mirror cannot be described yet"),
        }
    }
    found
}
