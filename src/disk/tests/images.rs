//! The ISO 9660 reader, over bytes.
use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::disk::LARGEST;
use crate::disk::iso9660::{Descriptor, Iso};

fn open(image: &[u8]) -> Result<Option<Iso<&[u8]>>, Reason> {
    let mut descriptor = Descriptor::empty();
    match descriptor.read_first(&image)? {
        true => Iso::open(image, &mut descriptor).map(Some),
        false => Ok(None),
    }
}

/// `Ok(None)`: there is no such file.
fn read(image: &[u8], name: &str) -> Result<Option<Vec<u8>>, Reason> {
    let arena = Arena::new();
    let iso = open(image)?.ok_or("no image")?;
    match iso.find(&arena, name.as_bytes())? {
        Some(file) => Ok(Some(file.read(&arena, &image)?.to_vec())),
        None => Ok(None),
    }
}

fn label(image: &[u8]) -> String {
    let mut descriptor = Descriptor::empty();
    assert_eq!(descriptor.read_first(&image), Ok(true));
    String::from_utf8(descriptor.label().to_vec()).unwrap()
}

const CONTEXT: &[u8] = b"ETH0_IP='10.0.0.1'\n";

/// Files as a context may carry, of every size that matters.
fn contents() -> Image<'static> {
    let mut numbers = Numbers(9);
    let mut image = Image::new(&[])
        .file("context.sh", CONTEXT)
        .file("configuration.sh", "DEFAULT_GATEWAY=\"10.0.0.254\"")
        .file("init.sh", "")
        .file("token.txt", "x\n");
    for size in [1, 2047, 2048, 2049, 70_000] {
        let bytes: Vec<u8> = (0..size).map(|_| numbers.next() as u8).collect();
        image = image.file(&format!("f{size}.bin"), bytes);
    }
    image
}

#[test]
fn images_in_every_way_they_are_made() {
    let ways: [&[&str]; 8] = [
        TODAY,
        &["-J", "-R"],
        &["-R"],
        &["-J"],
        &["-r", "-V", "_STRATUSLAB"],
        &["-J", "-joliet-long", "-V", "context"],
        &["-iso-level", "3", "-R"],
        &["-iso-level", "4"],
    ];
    for tool in [GENISOIMAGE, XORRISO] {
        for flags in ways {
            let image = Image {
                flags,
                ..contents()
            };
            let Some(bytes) = image.make(tool) else {
                return;
            };
            for (name, content) in &image.files {
                assert_eq!(
                    read(&bytes, name),
                    Ok(Some(content.clone())),
                    "{name}, {tool:?} {flags:?}"
                );
            }
            for absent in [
                "",
                ".",
                "context",
                "context.sh1",
                "context.shx",
                "ontext.sh",
            ] {
                assert_eq!(
                    read(&bytes, absent),
                    Ok(None),
                    "{absent}, {tool:?} {flags:?}"
                );
            }
            let default = if tool == XORRISO { "ISOIMAGE" } else { "CDROM" };
            let expected = flags.iter().skip_while(|flag| **flag != "-V").nth(1);
            assert_eq!(label(&bytes), *expected.unwrap_or(&default));
        }
    }
}
