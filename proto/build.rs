//! Compiles the role services and records with protox: no `protoc` is needed.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 6] = ["record", "grant", "messaging", "persistence", "state", "notification"];
    println!("cargo::rerun-if-changed=sterna/v1");
    let files: Vec<String> = FILES.iter().map(|name| format!("sterna/v1/{name}.proto")).collect();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
