//! The code that is made of the schemas, written to where it is kept: `cargo xtask proto`.
//!
//! It is kept so that building the program needs no compiler of schemas. This stands alone, and so works
//! while nothing that uses the code compiles; its test says when what is kept is not what the schemas say.

use std::path::{Path, PathBuf};

/// Each file by its path from the repository's root, as the schemas say it.
const FILES: [(&str, &[u8]); 3] = [
    ("proto/src/generated/sterna.v1.rs", include_bytes!(concat!(env!("OUT_DIR"), "/sterna.v1.rs"))),
    ("proto/src/generated/descriptors.bin", include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))),
    (
        "clients/protocol/src/generated/sterna.v1.client.rs",
        include_bytes!(concat!(env!("OUT_DIR"), "/sterna.v1.client.rs")),
    ),
];

fn main() -> std::io::Result<()> {
    for (name, made) in FILES {
        let path = kept(name);
        let is_kept = std::fs::read(&path).is_ok_and(|kept| kept == made);
        if !is_kept {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, made)?;
        }
        println!("{name}: {}", if is_kept { "as it was" } else { "written" });
    }
    Ok(())
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_the_schemas_say() {
        for (name, made) in FILES {
            let is_kept = std::fs::read(kept(name)).is_ok_and(|kept| kept == made);
            assert!(is_kept, "{name} is not what the schemas say: run `cargo xtask proto`");
        }
    }
}
