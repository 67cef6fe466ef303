//! How a region's life ends in a run, and how the next one begins.

use sterna_cluster::region::Place;
use sterna_log::{Log, Topic};
use sterna_process::Clock;

use super::World;
use crate::faults::Undo;
use crate::faults::lives::{LifeEnds, Loss, Next};
use crate::judge;
use crate::paths::Path;
use crate::site::Former;

/// Time for whoever sequences to notice that a topic was made anew, milliseconds.
const NOTICED_MS: u64 = 3_000;

impl World {
    /// Others begin to fall behind; the rest follows.
    pub fn life_ends(&mut self, life: &LifeEnds) -> Option<(u64, Undo)> {
        let Loss::Destroyed { behind, express_alone } = life.loss else {
            return Some((0, Undo::Life(Next::Lose(life.clone()))));
        };
        self.hold_back(life.region, behind);
        if express_alone {
            let others = (0..self.sites.len()).filter(|to| *to != life.region);
            others.for_each(|to| self.mirror((life.region, to)).stop(true));
        }
        Some((life.behind_ms, Undo::Life(Next::Lose(life.clone()))))
    }

    /// The next step.
    ///
    /// # Errors
    /// What must not have happened since the last one.
    pub async fn life_goes_on(&mut self, next: &Next) -> Result<(), String> {
        match next {
            Next::Lose(life) => {
                self.lose(life).await;
                Ok(())
            }
            Next::Again(life) => {
                let site = &self.sites[life.region];
                let before = site.openings();
                for number in 0..site.plan.messaging {
                    self.start(life.region, Place::Messaging(number));
                }
                self.sites[life.region].mark_openings(before);
                self.later(life.again_ms, Undo::Life(Next::Rebuild(life.clone())));
                Ok(())
            }
            Next::Rebuild(life) => {
                let site = &self.sites[life.region];
                let whole = matches!(life.loss, Loss::LogRecreated | Loss::IngressRecreated);
                let went_on = whole && site.opened_since_mark();
                self.rebuild(life).await?;
                if went_on {
                    return Err("E1: a sequencer went on behind a topic that is another one".into());
                }
                Ok(())
            }
        }
    }

    /// What a life's loss destroys. What it had accepted is noted first, for the judge alone.
    async fn lose(&mut self, life: &LifeEnds) {
        let site = &self.sites[life.region];
        let accepted = judge::accepted_so_far(site).await;
        let (origin, destroyed) = (site.origin(), matches!(life.loss, Loss::Destroyed { .. }));
        let (ingress, log) = (site.topic(true), site.topic(false));
        let memory = &site.stores.log;
        let again = match life.loss {
            Loss::Destroyed { .. } => {
                self.unsteady.extend(0..self.sites.len());
                let site = &mut self.sites[life.region];
                site.kill_all();
                site.forget_late();
                self.between.destroy(&site.plan.region);
                self.hold_back(life.region, 0);
                self.later(life.rebuilt_ms, Undo::Life(Next::Rebuild(life.clone())));
                None
            }
            Loss::LogRecreated => memory.recreate(&log).err(),
            Loss::IngressRecreated => memory.recreate(&ingress).err(),
            Loss::LogTruncated => self.truncate(life.region, &log).await,
            Loss::IngressTruncated => self.truncate(life.region, &ingress).await,
        };
        assert!(again.is_none(), "{again:?}");
        self.sites[life.region].former.push(Former { origin, accepted, destroyed });
        if !destroyed {
            self.later(NOTICED_MS, Undo::Life(Next::Again(life.clone())));
        }
    }

    /// Every partition loses the newer half of what it holds.
    async fn truncate(&self, region: usize, topic: &Topic) -> Option<sterna_log::Error> {
        let log = &self.sites[region].stores.log;
        let described = log.describe(topic, None).await.ok()?;
        for (partition, extent) in (0..).zip(&described.partitions) {
            let half = extent.earliest + (extent.end - extent.earliest) / 2;
            if let Err(error) = log.truncate(topic, partition, half) {
                return Some(error);
            }
        }
        None
    }

    /// The next region is the witness. Two operators do it, one after the other.
    async fn rebuild(&mut self, life: &LifeEnds) -> Result<(), String> {
        self.unsteady.extend(0..self.sites.len());
        let broke = self.sites[life.region].kill_all();
        self.broken = self.broken.take().or(broke);
        let witness = self.sites[(life.region + 1) % self.sites.len()].plan.region.clone();
        let (region, ends) = {
            let plan = &self.sites[life.region].plan;
            (plan.region.clone(), plan.incarnation)
        };
        let wall_ms = self.clock.wall_ms();
        let mut raised = 0;
        let mut origin = None;
        for _ in 0..2 {
            let rebuilt = self.between.rebuild(&region, &witness, ends, wall_ms).await;
            let rebuilt = rebuilt.map_err(|error| format!("E1: {region} was not rebuilt: {error}"))?;
            self.trace.line("operator", "rebuilds", format_args!("{rebuilt:?}"));
            raised += u32::from(rebuilt.raised);
            self.paths.add(Path::Carried, rebuilt.carried.records);
            self.paths.add(Path::United, rebuilt.united.given);
            origin = Some(rebuilt.origin);
        }
        let origin = origin.filter(|_| raised == 1).ok_or_else(|| format!("E1: raised {raised} times"))?;
        let peers = self.between.peers_of(&region);
        self.sites[life.region].begin(&origin, peers);
        self.paths.took(Path::NewIncarnation);
        Ok(())
    }

    /// Now that all regions are well, an operator has what is left of ended lives gathered: until then what
    /// rests on an access event that was lost waits for it (E1, E24).
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn gather(&self) -> Result<(), String> {
        for (number, site) in self.sites.iter().enumerate().filter(|(_, site)| !site.former.is_empty()) {
            let witness = &self.sites[(number + 1) % self.sites.len()].plan.region;
            let (region, ends) = (&site.plan.region, site.plan.incarnation - 1);
            let gathered = self.between.gather(region, witness, ends).await;
            let gathered = gathered.map_err(|error| format!("E1: {region} was not gathered: {error}"))?;
            self.trace.line("operator", "gathers", format_args!("{gathered:?}"));
        }
        Ok(())
    }

    fn hold_back(&self, region: usize, items: u64) {
        for to in (0..self.sites.len()).filter(|to| *to != region) {
            self.tables((region, to), |tables, from, to| tables.hold_back(from, to, items));
        }
    }
}
