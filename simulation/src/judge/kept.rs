//! What a region was shown by express alone has to be in its table, whoever died meanwhile (E20).

use sterna_storage::{Consistency, Table};

use crate::faults::between::Way;
use crate::faults::express::{Held, Left};
use crate::paths::Path;
use crate::world::World;

/// Looked at before any other way brings it, and only if nothing else went wrong in the region meanwhile.
///
/// # Errors
/// A segment that was in a tail when its state died and is not in the table.
pub async fn kept(world: &World, (from, to): Way, held: &Held) -> Result<(), String> {
    let Some(Left { since_ms, segments }) = held.left() else { return Ok(()) };
    if !world.is_calm(to, since_ms) || world.trace.elapsed_ms() < since_ms + Held::TIME_MS {
        return Ok(());
    }
    for (key, bytes) in segments {
        let found =
            world.sites[to].stores.table.get(std::slice::from_ref(&key), Consistency::Consistent).await;
        let found = found.map_err(|error| error.to_string())?.pop().flatten();
        if found.is_none_or(|item| item.value != bytes) {
            let (from, to) = (&world.sites[from].plan.region, &world.sites[to].plan.region);
            let name = (&key.hash, &key.sort);
            return Err(format!("E20: {to} showed {name:?} of {from} by express and did not keep it"));
        }
        world.paths.took(Path::ExpressKept);
    }
    Ok(())
}
