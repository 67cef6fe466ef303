//! Whether the regions' tables hold the same events (G5).

use std::collections::BTreeMap;

use sterna_storage::{Error, Name, Table};
use sterna_stream::Region;

use crate::between::Between;

impl Between {
    /// Every event item of a region's table, by its key.
    ///
    /// # Errors
    /// The table's.
    pub async fn events(&self, region: &Region) -> Result<BTreeMap<(String, String), Vec<u8>>, Error> {
        let mut items = BTreeMap::new();
        let Some(stores) = self.stores.get(region) else { return Ok(items) };
        let mut after = None;
        loop {
            let page = stores.table.scan(Name::Events, after).await?;
            for item in page.items {
                items.insert((item.key.hash.to_string(), item.key.sort.to_string()), item.value.to_vec());
            }
            match page.next {
                Some(token) => after = Some(token),
                None => return Ok(items),
            }
        }
    }

    /// How many event items one of two regions' tables lacks, or holds with other bytes.
    ///
    /// # Errors
    /// A table's.
    pub async fn differences(&self, one: &Region, other: &Region) -> Result<usize, Error> {
        let (one, other) = (self.events(one).await?, self.events(other).await?);
        let missing = other.keys().filter(|key| !one.contains_key(*key)).count();
        Ok(missing + one.iter().filter(|(key, value)| other.get(*key) != Some(*value)).count())
    }
}
