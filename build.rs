//! Makes the gRPC types from `proto/`, without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    // What the code is laid out for (`profile/rustc`).
    println!("cargo:rerun-if-changed=profile");
    println!("cargo:rerun-if-env-changed=MOTIF_COLLECT_PROFILE");
    let files = ["proto/motif/v1/matches.proto", "proto/motif/v1/events.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("motif_descriptors.bin"), prost_encode(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

fn prost_encode(descriptors: &impl prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
