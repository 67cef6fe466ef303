//! Compiles the schemas with protox: no `protoc` is needed.

use std::path::PathBuf;

use prost::Message;

const ROLES: [&str; 6] = ["record", "grant", "messaging", "persistence", "state", "notification"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../sterna/v1");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let roles = protox::compile(ROLES.map(|name| format!("sterna/v1/{name}.proto")), [".."])?;
    std::fs::write(out.join("descriptors.bin"), roles.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(roles)?;
    // Clients' frames: plain messages, no RPC code.
    let frames = protox::compile(["sterna/v1/client.proto"], [".."])?;
    prost_build::Config::new().bytes(["."]).compile_fds(frames)?;
    Ok(())
}
