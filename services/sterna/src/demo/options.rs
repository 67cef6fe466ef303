//! What can be chosen about a demo, within bounds.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use sterna_protocol::Limits;
use sterna_regions::RoundTrips;
use sterna_regions::round_trips::TYPICAL_MS;
use sterna_stream::Region;

/// The regions of a run that names none.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
/// Most regions: each is a whole one, on the same thread.
const REGIONS_MAX: usize = 6;
/// How long people talk, unless told otherwise.
const SECONDS: u64 = 26;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// The regions, by the names that the table of round trips knows.
    pub regions: Vec<Region>,
    /// People, each with one device, spread over the regions.
    pub people: usize,
    /// Events per second, of all of them together.
    pub rate: u32,
    /// How long they talk; `None`: 26 s, or with `listen` until somebody ends it.
    pub seconds: Option<u64>,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Where the first region listens too, for others to join; the next ones on the ports that follow.
    pub listen: Option<SocketAddr>,
    /// Whether segments also go between regions by express; without it mirrors alone carry them, later.
    pub express: bool,
    /// A promise to break on purpose.
    pub sabotage: Option<Sabotage>,
}

/// What one device does wrong on purpose, so that it can be seen that the ledger notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// It leaves an event out.
    Lose,
    /// It shows an event twice.
    Twice,
    /// It shows two events in each other's place.
    Swap,
}

/// A choice that is out of bounds.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A number.
    #[error("{option} is {value}: choose {least} to {most}")]
    Range {
        /// The option.
        option: &'static str,
        /// What was chosen.
        value: u64,
        /// The least that can be.
        least: u64,
        /// The most that can be.
        most: u64,
    },
    /// More than people may publish.
    #[error("--rate {rate} is more than {people} people may publish: choose --people {enough} or more")]
    Rate {
        /// The rate.
        rate: u32,
        /// The people.
        people: usize,
        /// How many would do.
        enough: u32,
    },
    /// A region whose distance nobody knows.
    #[error("--regions: how far {0} is from the others is not known; choose among {known}", known = known())]
    Region(Region),
    /// One region twice.
    #[error("--regions names {0} twice: name each once")]
    Twice(Region),
    /// More ports than there are.
    #[error("--listen {0}: each region takes the next port, and there are not enough: choose a lower one")]
    Ports(SocketAddr),
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        let regions = REGIONS.map(|name| name.parse().expect("a region's name")).into();
        let (people, rate, seed) = (24, 60, 1);
        Self { regions, people, rate, seconds: None, seed, listen: None, express: true, sabotage: None }
    }
}

impl Options {
    /// Checks the choice.
    ///
    /// # Errors
    /// The first that is out of bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        within("the number of --regions", self.regions.len() as u64, 1..=REGIONS_MAX as u64)?;
        within("--people", self.people as u64, 2..=400)?;
        within("--rate", self.rate.into(), 1..=2_000)?;
        within("--seconds", self.seconds.unwrap_or(SECONDS), 1..=600)?;
        let distances = RoundTrips::typical();
        for (at, region) in self.regions.iter().enumerate() {
            if self.regions[..at].contains(region) {
                return Err(Invalid::Twice(region.clone()));
            }
            if !TYPICAL_MS.iter().any(|(a, b, _)| [*a, *b].contains(&region.as_str()))
                || distances.one_way(&self.regions[0], region).is_none()
            {
                return Err(Invalid::Region(region.clone()));
            }
        }
        if let Some(address) = self.listen
            && address.port().checked_add(self.regions.len() as u16 - 1).is_none()
        {
            return Err(Invalid::Ports(address));
        }
        // Half of what one session may: chance is not even.
        let each = Limits::default().publishes_per_s / 2;
        let enough = self.rate.div_ceil(each.max(1));
        if self.people < enough as usize {
            return Err(Invalid::Rate { rate: self.rate, people: self.people, enough });
        }
        Ok(())
    }

    /// How long one round of what happens takes, seconds.
    pub fn round_s(&self) -> u64 {
        self.seconds.unwrap_or(SECONDS)
    }

    /// Whether it goes on, after the first round, until somebody ends it.
    pub fn is_open_ended(&self) -> bool {
        self.listen.is_some() && self.seconds.is_none()
    }

    /// Where the region with this number listens.
    pub fn address(&self, region: usize) -> Option<SocketAddr> {
        let mut address = self.listen?;
        if address.port() != 0 {
            address.set_port(address.port() + region as u16);
        }
        Some(address)
    }
}

fn within(option: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), Invalid> {
    let (least, most) = range.into_inner();
    if (least..=most).contains(&value) { Ok(()) } else { Err(Invalid::Range { option, value, least, most }) }
}

fn known() -> String {
    let names: std::collections::BTreeSet<&str> = TYPICAL_MS.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
    Vec::from_iter(names).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        options.check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_what_would_do() {
        assert_eq!(said(|_| ()), "");
        assert_eq!(said(|o| o.people = 1), "--people is 1: choose 2 to 400");
        assert_eq!(said(|o| o.rate = 0), "--rate is 0: choose 1 to 2000");
        assert_eq!(said(|o| o.seconds = Some(601)), "--seconds is 601: choose 1 to 600");
        assert_eq!(said(|o| o.regions.clear()), "the number of --regions is 0: choose 1 to 6");
        let many = said(|o| (o.people, o.rate) = (8, 500));
        assert_eq!(many, "--rate 500 is more than 8 people may publish: choose --people 50 or more");
    }

    #[test]
    fn an_unknown_region_is_refused_with_the_known_ones() {
        let far = said(|o| o.regions[2] = "moon-north-1".parse().unwrap());
        assert!(
            far.contains("moon-north-1") && far.contains("ap-northeast-1, ap-southeast-1, eu-c"),
            "{far}"
        );
        assert!(said(|o| o.regions = vec!["moon-north-1".parse().unwrap()]).contains("choose among"));
        assert!(said(|o| o.regions[2] = o.regions[0].clone()).contains("us-east-1 twice"));
    }

    #[test]
    fn each_region_listens_on_a_port_of_its_own() {
        let mut options = Options { listen: Some("127.0.0.1:9000".parse().unwrap()), ..Options::default() };
        assert_eq!(options.address(2).unwrap().port(), 9002);
        assert!(options.is_open_ended());
        options.listen = Some("127.0.0.1:0".parse().unwrap());
        assert_eq!(options.address(2).unwrap().port(), 0);
        assert!(said(|o| o.listen = Some("127.0.0.1:65535".parse().unwrap())).contains("choose a lower one"));
    }
}
