//! Compiles the wire schema; protox reads it, so nobody needs protoc.

const SCHEMA: &str = "src/proto/seedrush.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    let descriptors = protox::compile([SCHEMA], ["src/proto"])?;
    prost_build::Config::new().skip_protoc_run().compile_fds(descriptors)?;
    Ok(())
}
