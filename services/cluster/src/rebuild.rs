//! Rebuilding a region: a new life, after its log, its ingress or its table was not continuously its own
//! (E1).
//!
//! The witness raises the incarnation; the new life gets an ingress and a log of its own; what of the ended
//! lives some table has and another lacks is put there (`union`); and all that is still readable of the old
//! ingress and unsequenced is produced again, marked `resend`, into the new one (`carry`). Then, and not
//! before, the region may start under its new origin: [`may_start`] says so to whoever starts it.
//!
//! Whoever rebuilds names the life that ends. So two that do it at once, or one that does it twice, raise one
//! incarnation; and each step may be repeated, so a rebuild that was interrupted is simply run again. It is
//! not for a region whose roles still run: nothing of the ended life may go on.
//!
//! What was acked and stood nowhere else than in what was destroyed is not here: its authors' devices keep it
//! and offer it again (E9).
//!
//! Later, when the other regions have taken in what they had of the ended lives, [`Rebuild::gather`] puts all
//! that is left of them anywhere into every region's table, and says so there: until then, what rests on an
//! access event that was lost with the region waits for it, for it might still come (E24).

use std::sync::Arc;

use sterna_log::{Error as LogError, Log, Topic};
use sterna_storage::control::{self, Raised, Standing};
use sterna_storage::{Error as TableError, Table};
use sterna_stream::{Origin, Region};

use crate::stores::{ingress, own_log};

mod carry;
mod gather;
mod union;

pub use carry::Carried;
pub use union::United;

/// What is needed to rebuild a region.
#[derive(Clone)]
pub struct Rebuild {
    /// Which one.
    pub region: Region,
    /// The life that ends.
    pub ends: u32,
    /// Its witness, and the witness' table.
    pub witness: (Region, Arc<dyn Table>),
    /// The region's table as it is now, perhaps a copy of another's that lacks the newest items.
    pub table: Arc<dyn Table>,
    /// The region's log, with whatever is left in it.
    pub log: Arc<dyn Log>,
    /// The tables of the other regions, all of them.
    pub others: Vec<Arc<dyn Table>>,
    /// Their logs, with what they mirrored of the lives that end.
    pub mirrored: Vec<Arc<dyn Log>>,
    /// Unix milliseconds, for records that are produced again.
    pub wall_ms: u64,
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Who the region is from now on.
    pub origin: Origin,
    /// Whether this call raised the incarnation; another one had, otherwise.
    pub raised: bool,
    /// What tables had of the ended lives.
    pub united: United,
    /// What became of the ended lives' ingress.
    pub carried: Carried,
}

/// Why a region is not rebuilt, or may not start. Nothing was lost; what was done is not done again by the
/// next call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another life than the named one is the present one: look again at what is to end.
    #[error("{region} is in life {present}, not {named}: nothing was changed")]
    NotPresent {
        /// The region.
        region: Region,
        /// Its present life.
        present: u32,
        /// The life that was to end.
        named: u32,
    },
    /// A life goes on, as far as its witness says: what is left of it cannot be gathered.
    #[error("{0} has not ended: rebuild its region first. Nothing was declared")]
    GoesOn(Origin),
    /// What is left of ended lives still turned up at each of so many looks.
    #[error(
        "what is left of ended lives still turned up after {looks} looks ({given} items, all of them given \
         to every table): a mirror or a table's replication still brings it. Nothing was declared, and what \
         waits for it goes on waiting; run it again when that has ended"
    )]
    Unsettled {
        /// How often it was looked.
        looks: u32,
        /// How many items some table lacked, over all looks.
        given: u64,
    },
    /// A region is not its own witness.
    #[error("{0} cannot be its own witness")]
    NotWitness(Region),
    /// A table did not answer: run it again.
    #[error("a table did not answer; run it again")]
    Table(#[from] TableError),
    /// A log did not answer: run it again.
    #[error("a log did not answer; run it again")]
    Log(#[from] LogError),
    /// A stored item or record is of a form that this version does not know.
    #[error("{0} cannot be read")]
    Unreadable(String),
    /// A life was not opened: its rebuild was interrupted, or never run.
    #[error(
        "{0} was never opened: what former lives accepted may be missing in it; run its rebuild to the end, \
         or, where its stores are new, set [stores] provision = true"
    )]
    Unopened(Origin),
    /// A life that may not start, because a later one is the present one.
    #[error(
        "{ended} has ended: the region is in life {present}, and nothing of a former one may start; \
         set [region] incarnation to {present}"
    )]
    Ended {
        /// The one that was to start.
        ended: Origin,
        /// The present one.
        present: u32,
    },
}

/// Whether a region may start as `origin`, as far as its own table says. `opens`: its stores are new, so that
/// there is nothing of a former life to carry over, and its start opens it.
///
/// # Errors
/// [`Error::Ended`], [`Error::Unopened`]: nothing of it may start; [`Error::Table`].
pub async fn may_start(table: &dyn Table, origin: &Origin, opens: bool) -> Result<(), Error> {
    match control::standing(table, origin).await? {
        Standing::Present => Ok(()),
        Standing::Ended(present) => Err(Error::Ended { ended: origin.clone(), present }),
        Standing::Unopened if opens => Ok(control::open(table, origin).await?),
        Standing::Unopened => Err(Error::Unopened(origin.clone())),
    }
}

impl Rebuild {
    /// Rebuilds it; `make` makes those of the topics that are not there yet, ready to be used.
    ///
    /// # Errors
    /// [`Error`]; after each it may be run again, with the same life to end.
    pub async fn run(
        &self,
        make: impl AsyncFnOnce(&[Topic]) -> Result<(), LogError>,
    ) -> Result<Rebuilt, Error> {
        let (origin, raised) = self.raise().await?;
        make(&[ingress(&origin), own_log(&origin)]).await?;
        let united = union::unite(self).await?;
        let carried = carry::carry(self, &origin).await?;
        control::open(&*self.table, &origin).await?;
        tracing::warn!(
            %origin, raised, ?united, ?carried,
            "a region was rebuilt; what only its former life had is offered again by its authors' devices"
        );
        Ok(Rebuilt { origin, raised, united, carried })
    }

    async fn raise(&self) -> Result<(Origin, bool), Error> {
        let (witness, table) = &self.witness;
        let raised = control::raise_incarnation(&**table, witness, &self.region, self.ends).await?;
        let (present, raised) = match raised {
            Raised::Done(present) => (present, true),
            Raised::Is(present) => (present, false),
            Raised::NotWitness => return Err(Error::NotWitness(self.region.clone())),
        };
        if present.checked_sub(1) != Some(self.ends) {
            let (region, named) = (self.region.clone(), self.ends);
            return Err(Error::NotPresent { region, present, named });
        }
        Ok((Origin::of(&self.region, present), raised))
    }

    /// Gathers all that is left of the lives that have ended, from every region's table and log, into every
    /// region's table, and declares there that no more of them will come. Takes a few times fifteen seconds
    /// and reads what is kept of the ended lives' logs; may be called at any time after [`Rebuild::run`], and
    /// again. To be called when the other regions consume what was mirrored, and not while one of them is
    /// away: what it alone has in hand would come too late, and be shown as it comes.
    ///
    /// # Errors
    /// [`Error`]; nothing is declared while a table or a log does not answer, or holds what cannot be read.
    pub async fn gather(&self) -> Result<United, Error> {
        let (_, table) = &self.witness;
        let present = control::incarnation(&**table, &self.region).await?;
        if present <= self.ends {
            return Err(Error::GoesOn(Origin::of(&self.region, self.ends)));
        }
        let found = gather::gather(self).await?;
        tracing::warn!(
            region = %self.region, ended = self.ends, ?found,
            "all that is left of a region's ended lives stands in every table; nobody waits for more"
        );
        Ok(found)
    }

    /// Every region's table.
    fn tables(&self) -> impl Iterator<Item = &dyn Table> {
        self.others.iter().chain([&self.table]).map(|table| &**table)
    }

    /// The lives that have ended, oldest first.
    fn ended(&self) -> impl Iterator<Item = Origin> {
        (1..=self.ends).map(|life| Origin::of(&self.region, life))
    }

    fn has_ended(&self, origin: &Origin) -> bool {
        origin.region() == self.region && origin.incarnation() <= self.ends
    }
}
