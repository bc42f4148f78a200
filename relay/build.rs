//! Embeds the built web client (`web/dist`) into the binary: one table of path, entity tag and bytes, sorted by path.
//! Without a built client the table is empty and the pages say how to build it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("cargo sets {name}"));
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| missing("CARGO_MANIFEST_DIR"))?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| missing("OUT_DIR"))?);
    let dist = here.join("../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let url = url_of(&dist, file);
        let file = file.canonicalize()?;
        let tag = fnv1a(&fs::read(&file)?);
        writeln!(table, "    ({url:?}, \"\\\"{tag:016x}\\\"\", include_bytes!({:?})),", file.display().to_string())
            .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    fs::write(out.join("statics.rs"), table)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_map = path.extension().is_some_and(|e| e == "map");
        if path.is_dir() {
            collect(&path, files)?;
        } else if !is_map {
            files.push(path);
        }
    }
    Ok(())
}

fn url_of(dist: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(dist).unwrap_or(file);
    inside.components().fold(String::new(), |url, part| url + "/" + &part.as_os_str().to_string_lossy())
}

/// FNV-1a, 64 bits: an entity tag need not resist anybody, it only has to change with the content.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
