//! What can be chosen about a demo, within bounds.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use sterna_protocol::Limits;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// People, each with one device.
    pub people: usize,
    /// Events per second, of all of them together.
    pub rate: u32,
    /// How long they talk.
    pub seconds: u64,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Where the region listens too, for others to join.
    pub listen: Option<SocketAddr>,
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
}

impl Default for Options {
    fn default() -> Self {
        Self { people: 24, rate: 100, seconds: 12, seed: 1, listen: None }
    }
}

impl Options {
    /// Checks the choice.
    ///
    /// # Errors
    /// The first that is out of bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        within("--people", self.people as u64, 2..=400)?;
        within("--rate", self.rate.into(), 1..=2_000)?;
        within("--seconds", self.seconds, 1..=600)?;
        // Half of what one session may: chance is not even.
        let each = Limits::default().publishes_per_s / 2;
        let enough = self.rate.div_ceil(each.max(1));
        if self.people < enough as usize {
            return Err(Invalid::Rate { rate: self.rate, people: self.people, enough });
        }
        Ok(())
    }
}

fn within(option: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), Invalid> {
    let (least, most) = range.into_inner();
    if (least..=most).contains(&value) { Ok(()) } else { Err(Invalid::Range { option, value, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_refused_with_what_would_do() {
        let with = |people, rate, seconds| {
            let options = Options { people, rate, seconds, ..Options::default() };
            options.check().err().map(|error| error.to_string())
        };
        assert_eq!(with(24, 100, 12), None);
        assert_eq!(with(1, 1, 1).unwrap(), "--people is 1: choose 2 to 400");
        assert_eq!(with(24, 0, 1).unwrap(), "--rate is 0: choose 1 to 2000");
        assert_eq!(with(24, 100, 601).unwrap(), "--seconds is 601: choose 1 to 600");
        let many = with(8, 500, 12).unwrap();
        assert_eq!(many, "--rate 500 is more than 8 people may publish: choose --people 50 or more");
    }
}
