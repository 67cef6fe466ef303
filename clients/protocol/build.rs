//! Compiles the client protocol's schema into plain prost messages: no protoc, no RPC code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}/sterna/v1/client.proto");
    let schema = protox::compile(["sterna/v1/client.proto"], [root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(schema)?;
    Ok(())
}
