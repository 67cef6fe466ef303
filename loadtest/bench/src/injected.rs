//! What the WAN's delays are as they are injected: a timer ends when it is due, then its thread's round and
//! its queue come. What is measured here, all the time and in the server itself, is what a packet suffers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use sterna_regions::RoundTrips;
use sterna_stream::Region;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::process::quantile;

/// Delays kept of each pair; probing ends then.
const SAMPLES: usize = 20_000;

/// The probes of each pair of regions, either way.
pub(crate) struct Injected(Vec<(String, Rc<RefCell<Vec<f64>>>)>);

/// The name of a pair: both regions, in order.
pub(crate) fn pair(a: &str, b: &str) -> String {
    format!("{} {}", a.min(b), a.max(b))
}

impl Injected {
    /// Probes all pairs from now on, on this thread.
    pub(crate) fn start(names: &[Region], distances: &RoundTrips) -> Self {
        let mut probes = Vec::new();
        for (n, a) in names.iter().enumerate() {
            for b in &names[n + 1..] {
                let Some(one_way) = distances.one_way(a, b) else { continue };
                let took = Rc::new(RefCell::new(Vec::new()));
                probes.push((pair(a.as_str(), b.as_str()), took.clone()));
                spawn_local(async move {
                    while took.borrow().len() < SAMPLES {
                        let began = Instant::now();
                        sleep(one_way).await;
                        took.borrow_mut().push(began.elapsed().as_secs_f64() * 1_000.0);
                    }
                });
            }
        }
        Self(probes)
    }

    /// The median of each pair so far, milliseconds.
    pub(crate) fn medians(&self) -> BTreeMap<String, f64> {
        let median = |took: &Rc<RefCell<Vec<f64>>>| quantile(&mut took.borrow_mut(), 0.50);
        self.0.iter().map(|(pair, took)| (pair.clone(), median(took))).collect()
    }
}
