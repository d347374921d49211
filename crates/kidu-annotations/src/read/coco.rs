//! COCO: the categories of an image's annotations.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    Reading,
    value::{Object, Reason, number, text},
};
use crate::annotation::{Annotation, Origin, System};

/// The control's name for COCO.
const CONTROL: &str = "category";

/// One annotation for each image: the set of its categories. Several different ones are several answers, which a
/// classifier of one class cannot take.
pub(super) fn read(reading: &mut Reading, file: &str, coco: &Object) {
    let list = |key: &str| coco.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let categories =
        table(reading, file, "categories", list("categories"), |c| text(c.get("name")).ok_or("has no name".into()));
    let images = table(reading, file, "images", list("images"), |image| {
        text(image.get("file_name"))
            .or_else(|| text(image.get("coco_url")))
            .ok_or("has neither file_name nor coco_url".into())
    });
    let mut found: BTreeMap<u64, Annotation> = BTreeMap::new();
    for (i, item) in list("annotations").iter().enumerate() {
        let place = format!("annotations[{i}]");
        match annotation(item, &images, &categories) {
            Ok((image, address, category)) => {
                let entry = found.entry(image).or_insert_with(|| blank(item, address, Origin::new(file, &*place)));
                let answer = entry.answers.entry(CONTROL.into()).or_default();
                if !answer.contains(&category) {
                    answer.push(category);
                }
            }
            Err(reason) => reading.problem(file, &place, reason),
        }
    }
    reading.unannotated += images.len() - found.len();
    reading.annotations.extend(found.into_values());
}

/// A list of objects by their `id`.
fn table(
    reading: &mut Reading,
    file: &str,
    name: &str,
    items: &[Value],
    take: impl Fn(&Object) -> Result<String, Reason>,
) -> HashMap<u64, String> {
    let mut table = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        let row = item.as_object().ok_or("is not an object".to_string()).and_then(|object| {
            let id = number(object.get("id")).ok_or("has no id")?;
            Ok((id, take(object)?))
        });
        let place = format!("{name}[{i}]");
        match row {
            Ok((id, value)) => {
                if table.insert(id, value).is_some() {
                    reading.problem(file, &place, format!("the id {id} stands twice"));
                }
            }
            Err(reason) => reading.problem(file, &place, reason),
        }
    }
    table
}

fn annotation(
    item: &Value,
    images: &HashMap<u64, String>,
    categories: &HashMap<u64, String>,
) -> Result<(u64, String, String), Reason> {
    let object = item.as_object().ok_or("is not an object")?;
    let image = number(object.get("image_id")).ok_or("has no image_id")?;
    let category = number(object.get("category_id")).ok_or("has no category_id")?;
    let address = images.get(&image).ok_or_else(|| format!("image_id {image} is not among the images"))?;
    let name =
        categories.get(&category).ok_or_else(|| format!("category_id {category} is not among the categories"))?;
    Ok((image, address.clone(), name.clone()))
}

fn blank(item: &Value, address: String, origin: Origin) -> Annotation {
    Annotation {
        address,
        task: None,
        project: None,
        system: System::Coco,
        id: text(item.get("id")),
        annotator: None,
        answers: BTreeMap::new(),
        created: None,
        updated: None,
        skipped: false,
        ground_truth: None,
        split: None,
        origin,
    }
}
