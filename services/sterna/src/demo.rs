//! The demo: three regions in memory with WAN delays between them, people who talk across them, everything
//! that can break breaking, and a ledger that says what came of it.
//!
//! Everything is real but the disks and the network: the roles, the edge, HTTP upgrades, the Rust client.
//! Time is tokio's throughout, so a test runs it in paused time and one seed gives one run. Reading order:
//! `options`, [`world`] (regions and what is between them), `device`, `stage` (people on their way through
//! it), [`script`] (what happens), [`unrest`] (when it is calm), [`ledger`], [`report`].

use std::net::SocketAddr;
use std::rc::Rc;

use sterna_process::Drain;
use tokio::time::Duration;

use self::device::Device;
use self::latency::Percentiles;
use self::ledger::Ledger;
use self::report::{Pair, Report};
use self::screen::Screen;
use self::stage::{Stage, Talked};
use self::world::World;

use crate::founder;
use crate::program::program;

mod device;
pub mod latency;
pub mod ledger;
mod options;
pub mod report;
pub mod screen;
pub mod script;
mod stage;
pub mod unrest;
pub mod world;

#[cfg(test)]
mod tests;

pub use options::{Invalid, Options, REGIONS, Sabotage};

/// The demo's tenant.
pub const TENANT: &str = "demo";
/// The root owner of that tenant.
const OWNER: &str = "operator";
/// Longest that everybody may take to be there.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Longest that the tables may take to be equal.
const TABLES: Duration = Duration::from_secs(10);

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of `--listen`.
    #[error("cannot listen on {0}: choose a free address with --listen, or port 0 for any")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// No room could be made.
    #[error("the rooms could not be made")]
    Founding(#[from] founder::Error),
    /// The memory socket was refused.
    #[error("the region refused a connection: {0:?}")]
    Refused(sterna_client::machine::Failure),
    /// Not everybody was live in time.
    #[error(
        "{missing} of {people} people did not get in within {} s: the machine is too slow for so many; \
         choose fewer --people",
        ARRIVAL.as_secs()
    )]
    Arrival {
        /// How many.
        missing: usize,
        /// Of how many.
        people: usize,
    },
    /// A token.
    #[error("no token: {0:?}")]
    Token(sterna_stream::Refusal),
}

/// Runs the demo on this thread, in a `LocalRuntime`; raising `stop` ends the talking early.
///
/// # Errors
/// It could not begin. A promise that was broken is no error: it stands in the report.
pub async fn run(options: &Options, stop: &Drain, screen: &mut Screen) -> Result<Report, Error> {
    let names: Vec<&str> = options.regions.iter().map(|name| name.as_str()).collect();
    screen.say(&format!("{} regions in memory and in this process: {}", names.len(), names.join(", ")));
    let mut stage = Stage::build(options).await?;
    let mut injected = Vec::new();
    for (from, to) in pairs(names.len()) {
        injected.push(world::injected(stage.world.one_way(from, to)).await);
    }
    stage.arrive().await?;
    let rooms = stage.rooms.len();
    screen.say(&format!("{} people in {rooms} rooms, each with people of every region", options.people));
    if options.listen.is_some() {
        invite(&stage, screen)?;
    }
    let talked = stage.talk(options, stop, screen).await;
    screen.say(&format!("{:5.1} s  nobody speaks any more", talked.length.as_secs_f64()));
    stage.settle().await;
    let table_differences = stage.world.until_tables_are_equal(TABLES).await;
    let changed_region = stage.changed_region();
    stage.devices.iter_mut().for_each(Device::leave);
    let world: Rc<World> = stage.world.clone();
    let roles_cut_at_the_end = world.end().await;
    let ledger = stage.shared.ledger.borrow();
    let verdict = ledger.verdict();
    let Talked { length, faults } = talked;
    Ok(Report {
        regions: names.into_iter().map(str::to_owned).collect(),
        people: options.people,
        rooms,
        seconds: length.as_secs_f64(),
        kept: verdict.holds() && table_differences == 0 && roles_cut_at_the_end.is_empty(),
        verdict,
        table_differences,
        changed_region,
        ack_calm: ledger.ack.calm(),
        ack: ledger.ack.all(),
        delivery: delivery(&world, &injected, &ledger),
        faults,
        roles_cut_at_the_end,
    })
}

fn pairs(regions: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..regions).flat_map(move |from| (0..regions).map(move |to| (from, to)))
}

fn delivery(world: &World, injected: &[Duration], ledger: &Ledger) -> Vec<Pair> {
    let us = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    let of = |((from, to), injected): ((usize, usize), &Duration)| {
        let latencies = ledger.delivery.get(&(from, to));
        let (calm, all) = latencies.map_or_else(
            || (Percentiles::default(), Percentiles::default()),
            |latencies| (latencies.calm(), latencies.all()),
        );
        let [from_name, to_name] = [from, to].map(|number| world.names[number].to_string());
        let (one_way_us, injected_us) = (us(world.one_way(from, to)), us(*injected));
        let injected_us = if from == to { 0 } else { injected_us };
        Pair { from: from_name, to: to_name, one_way_us, injected_us, calm, all }
    };
    pairs(world.names.len()).zip(injected).map(of).collect()
}

/// How somebody joins from two terminals, in two regions.
fn invite(stage: &Stage, screen: &Screen) -> Result<(), Error> {
    let (world, room) = (&stage.world, &stage.rooms[0]);
    screen.say("talk with them, each command in a terminal of its own (the second --url is where it goes on");
    screen.say(
        "when the first region goes away; with --device FILE a chat that was ended goes on where it was):",
    );
    let program = program();
    let regions = world.names.len();
    for number in 0..regions.min(2) {
        // The room's members of that region.
        let member = number * stage.rooms.len();
        let token = world.token(&stage::user(member))?;
        let other = (number + 1) % regions;
        let mut urls = format!("--url {}", world.url(number));
        if other != number {
            urls += &format!(" --url {}", world.url(other));
        }
        screen.say(&format!("\n  # person-{member}, in {}", world.names[number]));
        screen.say(&format!("  {program} chat {urls} --stream {room} --token {token}"));
    }
    screen.say("");
    Ok(())
}
