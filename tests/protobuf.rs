//! The committed protobuf code is what prost-build makes of the schema.

use std::fs;
use std::path::Path;

#[test]
fn generated_code_is_current() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema");
    fs::create_dir_all(&out).unwrap();
    let descriptors = protox::compile([proto.join("seedrush.proto")], [&proto]).unwrap();
    let mut compiler = prost_build::Config::new();
    compiler.skip_protoc_run().out_dir(&out).compile_fds(descriptors).unwrap();
    let current = fs::read_to_string(out.join("seedrush.v1.rs")).unwrap();

    let committed = proto.join("generated.rs");
    if std::env::var_os("SEEDRUSH_BLESS").is_some_and(|value| value == "1") {
        fs::write(&committed, &current).unwrap();
    }
    // Git may have changed the line ends of the committed file.
    let committed = fs::read_to_string(committed).unwrap().replace("\r\n", "\n");
    assert!(
        committed == current.replace("\r\n", "\n"),
        "src/proto/generated.rs is older than the schema: run \
         `SEEDRUSH_BLESS=1 cargo test --test main protobuf`"
    );
}
