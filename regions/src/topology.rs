//! The topology: one commented TOML file, parsed and validated whole, then passed to its owners.
//!
//! A [`Topology`] that exists is valid: names are unique ids, every witness is another region of it, peers
//! are regions of it, and a round trip between any two is known or can be estimated.

use std::collections::BTreeSet;

use serde::Deserialize;
use sterna_stream::{Origin, Region};

use crate::round_trips::{ROUND_TRIP_MS_MAX, RoundTrips};

#[cfg(test)]
mod tests;

/// The embedded file: the demo's three regions, each field explained.
pub const DEFAULT: &str = include_str!("default.toml");
/// Most regions of a deployment: cursors and marks name them all.
pub const REGIONS_MAX: usize = 16;

/// Why a topology is refused.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// Not TOML, a field unknown, missing or of a wrong type.
    #[error("the topology cannot be read")]
    Form(#[from] toml::de::Error),
    /// No region, or more than [`REGIONS_MAX`].
    #[error("{0} regions, expected 1 to {REGIONS_MAX}")]
    Count(usize),
    /// A name that is not a region's.
    #[error("{field}: {name:?} is no region name")]
    Name {
        /// Where it stands.
        field: &'static str,
        /// What stands there.
        name: String,
        /// Why not.
        source: sterna_stream::ids::Invalid,
    },
    /// Two regions of one name.
    #[error("two regions are named {0}")]
    Twice(Region),
    /// A name that is none of the topology's regions.
    #[error("{field} of {of}: {name} is not a region of this topology")]
    Unknown {
        /// Whose.
        of: Region,
        /// Which field.
        field: &'static str,
        /// The name.
        name: Region,
    },
    /// A region that is its own witness or peer.
    #[error("{field} of {of} is the region itself")]
    Itself {
        /// Whose.
        of: Region,
        /// Which field.
        field: &'static str,
    },
    /// A region among others without a witness.
    #[error("{0} has no witness")]
    NoWitness(Region),
    /// Incarnation 0.
    #[error("the incarnation of {0} is 0, expected 1 or more")]
    Incarnation(Region),
    /// An endpoint that is empty.
    #[error("an endpoint of {0} is empty")]
    Endpoint(Region),
    /// A round trip that is out of range.
    #[error("{ms} ms between {a} and {b}, expected 1 to {ROUND_TRIP_MS_MAX}")]
    RoundTrip {
        /// One region.
        a: Region,
        /// The other, or the same.
        b: Region,
        /// Milliseconds.
        ms: u32,
    },
    /// Regions of which no round trip is known.
    #[error("no round trip between {a} and {b} is known: add it to round_trips")]
    Apart {
        /// One region.
        a: Region,
        /// The other.
        b: Region,
    },
}

/// Where a region is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// By clients.
    pub client: String,
    /// By the roles of other regions.
    pub internal: String,
}

/// One region of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionPlan {
    /// Its name.
    pub name: Region,
    /// The region that alone may raise its incarnation (E1); `None` only in a deployment of one region.
    pub witness: Option<Region>,
    /// Which life of the region this is, from 1.
    pub incarnation: u32,
    /// Where it is reached.
    pub endpoints: Endpoints,
    /// Regions whose logs are mirrored into it, in byte order.
    pub peers: Vec<Region>,
}

/// All regions of a deployment, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// In byte order of their names.
    regions: Vec<RegionPlan>,
    round_trips: RoundTrips,
}

// === the file ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    regions: Vec<FileRegion>,
    #[serde(default)]
    round_trips: Vec<FileRoundTrip>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRegion {
    name: String,
    witness: Option<String>,
    #[serde(default = "first")]
    incarnation: u32,
    endpoints: Endpoints,
    peers: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRoundTrip {
    between: [String; 2],
    ms: u32,
}

fn first() -> u32 {
    1
}

// === impl Topology ===

impl Topology {
    /// Reads a topology file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let file: File = toml::from_str(text)?;
        if file.regions.is_empty() || file.regions.len() > REGIONS_MAX {
            return Err(Invalid::Count(file.regions.len()));
        }
        let mut names = BTreeSet::new();
        for region in &file.regions {
            let name = parse_name("name", &region.name)?;
            if !names.insert(name.clone()) {
                return Err(Invalid::Twice(name));
            }
        }
        let plan = |region| RegionPlan::read(region, &names);
        let mut regions = file.regions.into_iter().map(plan).collect::<Result<Vec<_>, _>>()?;
        regions.sort_by(|a, b| a.name.cmp(&b.name));
        let round_trips = read_round_trips(file.round_trips)?;
        let topology = Self { regions, round_trips };
        topology.check_reach()?;
        Ok(topology)
    }

    /// The embedded [`DEFAULT`].
    pub fn demo() -> Self {
        Self::parse(DEFAULT).expect("the embedded file is tested")
    }

    /// All regions, in byte order of their names.
    pub fn regions(&self) -> &[RegionPlan] {
        &self.regions
    }

    /// One region; `None` if it is not of this topology.
    pub fn region(&self, name: &Region) -> Option<&RegionPlan> {
        self.regions.iter().find(|region| region.name == *name)
    }

    /// The regions whose incarnation `witness` may raise.
    pub fn witnessed_by<'a>(&'a self, witness: &'a Region) -> impl Iterator<Item = &'a RegionPlan> {
        self.regions.iter().filter(move |region| region.witness.as_ref() == Some(witness))
    }

    /// The region of this topology that is nearest to a place named like a region.
    pub fn nearest(&self, from: &Region) -> Option<&RegionPlan> {
        let name = self.round_trips.nearest(from, self.regions.iter().map(|region| &region.name))?;
        self.region(name)
    }

    /// Typical, configured and estimated round trips.
    pub fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    fn check_reach(&self) -> Result<(), Invalid> {
        for (at, a) in self.regions.iter().enumerate() {
            for b in &self.regions[at + 1..] {
                if self.round_trips.round_trip(&a.name, &b.name).is_none() {
                    return Err(Invalid::Apart { a: a.name.clone(), b: b.name.clone() });
                }
            }
        }
        Ok(())
    }
}

// === impl RegionPlan ===

impl RegionPlan {
    /// What it is as an origin of events: its name and, from 2 on, its incarnation.
    pub fn origin(&self) -> Origin {
        Origin::of(&self.name, self.incarnation)
    }

    fn read(file: FileRegion, names: &BTreeSet<Region>) -> Result<Self, Invalid> {
        let name = parse_name("name", &file.name)?;
        if file.incarnation == 0 {
            return Err(Invalid::Incarnation(name));
        }
        if file.endpoints.client.is_empty() || file.endpoints.internal.is_empty() {
            return Err(Invalid::Endpoint(name));
        }
        let witness = file.witness.map(|text| other(&name, "witness", &text, names)).transpose()?;
        if witness.is_none() && names.len() > 1 {
            return Err(Invalid::NoWitness(name));
        }
        let peers: BTreeSet<Region> = match file.peers {
            None => names.iter().filter(|peer| **peer != name).cloned().collect(),
            Some(peers) => {
                peers.iter().map(|text| other(&name, "peers", text, names)).collect::<Result<_, _>>()?
            }
        };
        let (incarnation, endpoints, peers) = (file.incarnation, file.endpoints, peers.into_iter().collect());
        Ok(Self { name, witness, incarnation, endpoints, peers })
    }
}

fn parse_name(field: &'static str, text: &str) -> Result<Region, Invalid> {
    text.parse().map_err(|source| Invalid::Name { field, name: text.to_owned(), source })
}

/// Parses the name of another region of the topology than `of`.
fn other(of: &Region, field: &'static str, text: &str, names: &BTreeSet<Region>) -> Result<Region, Invalid> {
    let name = parse_name(field, text)?;
    if name == *of {
        return Err(Invalid::Itself { of: of.clone(), field });
    }
    if !names.contains(&name) {
        return Err(Invalid::Unknown { of: of.clone(), field, name });
    }
    Ok(name)
}

fn read_round_trips(file: Vec<FileRoundTrip>) -> Result<RoundTrips, Invalid> {
    let mut table = RoundTrips::typical();
    for FileRoundTrip { between: [a, b], ms } in file {
        let (a, b) = (parse_name("round_trips", &a)?, parse_name("round_trips", &b)?);
        if a == b || ms == 0 || ms > ROUND_TRIP_MS_MAX {
            return Err(Invalid::RoundTrip { a, b, ms });
        }
        table.set(&a, &b, ms);
    }
    Ok(table)
}
