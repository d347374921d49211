//! `kidu data preview`: a sheet to look at.

use std::fs;

use crate::{
    command::run,
    fixture::{SCENES, scratch, set},
};

#[test]
fn a_sheet_shows_rows_of_copies_and_repeats() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    let arguments = ["data", "preview", &root, "data.augmentation.pipeline=1", "--rows", "3", "--columns", "4"];
    let more = ["--tile", "40", "--json", "--out"];
    let sheet = run(dir.path(), &[&arguments[..], &more, &["a.png"]].concat()).ok().json();
    assert_eq!(sheet["rows"].as_array().unwrap().len(), 3);
    assert_eq!(sheet["augmentation"]["transforms"][0]["random_rotate90"]["p"], 0.5);
    let image = image::open(dir.path().join("a.png")).unwrap().into_rgb8();
    assert_eq!(
        (sheet["width"].as_u64(), sheet["height"].as_u64()),
        (Some(image.width().into()), Some(image.height().into()))
    );
    assert!(image.width() > 5 * 40 && image.height() > 3 * 40);

    run(dir.path(), &[&arguments[..], &more, &["b.png"]].concat()).ok();
    let read = |name| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("a.png"), read("b.png"));
    run(dir.path(), &[&arguments[..], &["--seed", "9"], &more, &["c.png"]].concat()).ok();
    assert_ne!(read("a.png"), read("c.png"));
    let dark = [&arguments[..], &["--background", "dark"], &more, &["d.png"]].concat();
    run(dir.path(), &dark).ok();
    let corner = |name| image::open(dir.path().join(name)).unwrap().into_rgb8().get_pixel(0, 0).0;
    assert!(corner("a.png") == [255; 3] && corner("d.png")[0] < 40);
}

#[test]
fn each_transform_has_a_row_of_its_own() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    let each = ["data", "preview", "--each", "--columns", "2", "--tile", "32", "--json", &root];
    let all = run(dir.path(), &each).ok().json();
    let rows = all["rows"].as_array().unwrap();
    assert!(rows.len() == 24 && rows.contains(&"clahe".into()), "{rows:?}");
    assert!(dir.path().join("augmentation.png").is_file());
    let own = run(
        dir.path(),
        &[&each[..], &["data.augmentation.transforms=[flip, {one_of: {transforms: [blur]}}]"]].concat(),
    );
    assert_eq!(own.ok().json()["rows"], serde_json::json!(["flip", "blur"]));
}

#[test]
fn nothing_to_see_is_said() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    run(dir.path(), &["data", "preview", &root, "data.augmentation.pipeline=none"]).fails(2, &["nothing", "--each"]);
    run(dir.path(), &["data", "preview"]).fails(2, &["--image", "data.root", "--manifest"]);
    run(dir.path(), &["data", "preview", "--image", "no.jpg"]).fails(1, &["no.jpg"]);
    assert!(!dir.path().join("augmentation.png").exists());
}
