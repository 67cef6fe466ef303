//! One file of the configuration as a layer: an error names the file and the key as they stand there.

use std::path::Path;

use figment::providers::Serialized;
use figment::value::{Dict, Map};
use figment::{Error, Metadata, Profile, Provider};

/// What a file says.
pub(super) struct Layer<'a> {
    /// The file.
    pub(super) from: &'a Path,
    /// Its contents.
    pub(super) table: toml::Table,
}

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.from.display().to_string()).interpolater(|_, path| path.join("."))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Serialized::defaults(&self.table).data()
    }
}
