//! The confusion matrix as a heat map.

use kidu_core::ClassNames;
use kidu_plot::{Anchor, INK, Svg, blue, shorten};

use crate::confusion::ConfusionMatrix;

/// More classes than this do not fit with a readable number in each cell.
const MAX_CLASSES: usize = 40;

/// A cell of this many pixels has room for the share below the count.
const ROOMY: f64 = 52.0;

/// In a matrix of more classes, cells without images stay empty: so many zeros would hide the rest.
const FEW: usize = 20;

/// Faint, so that a cell without images is seen as empty.
const NONE: &str = "#949494";

/// Not [`INK`], which a page may set light on a dark ground: the cells stay as they are.
const CELL_INK: &str = "#212121";

/// Rows and columns of the drawing for a number of classes.
pub(crate) fn confusion_cells(classes: usize) -> usize {
    if classes > MAX_CLASSES { MAX_CLASSES + 1 } else { classes }
}

/// The matrix with the count in each cell and the share of the true class (row) as colour. Of more than 40 classes it
/// shows the 40 with the most mistakes and sums up the others.
pub fn confusion_matrix(matrix: &ConfusionMatrix, classes: &ClassNames) -> String {
    let table = Table::new(matrix, classes);
    let n = table.names.len();
    let cell = (640.0 / n as f64).clamp(26.0, 64.0);
    let name_font = (cell * 0.4).clamp(9.0, 13.0);
    let longest = table.names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64;
    let margin = longest * name_font * 0.62 + 14.0;
    let (left, top, side) = (margin + 28.0, 44.0, cell * n as f64);
    let width = (left + side + 24.0).max(table.title.chars().count() as f64 * 7.4 + 28.0);
    // Names below the matrix are turned by 45 degrees and run to the left.
    let mut svg = Svg::new(width, top + side + margin * 0.75 + 44.0, "Confusion matrix");
    svg.text((14.0, 26.0), Anchor::Start, 15.0, INK, &table.title);
    for (r, row) in table.counts.iter().enumerate() {
        let total: u64 = row.iter().sum();
        let y = top + cell * r as f64;
        svg.text((left - 8.0, y + cell / 2.0 + name_font * 0.35), Anchor::End, name_font, INK, &table.names[r]);
        for (c, count) in row.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
            let x = left + cell * c as f64;
            let verb = if r == c { "seen as" } else { "taken for" };
            let hint = format!("{} {verb} {}: {count} ({:.1} %)", table.names[r], table.names[c], share * 100.0);
            svg.rect((x, y), (cell, cell), &blue(share), Some(&hint));
            if *count > 0 || n <= FEW {
                number(&mut svg, (x + cell / 2.0, y + cell / 2.0), cell, *count, share);
            }
        }
    }
    for i in 0..=n {
        let at = cell * i as f64;
        svg.line((left + at, top), (left + at, top + side), "#eeeeee", 0.5, "");
        svg.line((left, top + at), (left + side, top + at), "#eeeeee", 0.5, "");
    }
    for (c, name) in table.names.iter().enumerate() {
        let at = (left + cell * (c as f64 + 0.5) + name_font * 0.3, top + side + name_font + 4.0);
        svg.turned_text(at, Anchor::End, name_font, INK, name, -45.0);
    }
    svg.text((left + side / 2.0, top + side + margin * 0.75 + 32.0), Anchor::Middle, 13.0, INK, "predicted class");
    svg.turned_text((18.0, top + side / 2.0), Anchor::Middle, 13.0, INK, "true class", -90.0);
    svg.finish()
}

/// The count in the middle of a cell and, where there is room, its share of the row.
fn number(svg: &mut Svg, (x, y): (f64, f64), cell: f64, count: u64, share: f64) {
    let font = (cell * 0.3).clamp(8.5, 15.0);
    // Where white on the cell's blue has more contrast than dark ink.
    let ink = if share > 0.78 { "#ffffff" } else { CELL_INK };
    let middle = y + font * 0.35;
    if count == 0 {
        svg.text((x, middle), Anchor::Middle, font, NONE, "0");
    } else if cell < ROOMY {
        svg.text((x, middle), Anchor::Middle, font, ink, &compact(count));
    } else {
        svg.text((x, middle - 8.0), Anchor::Middle, font, ink, &compact(count));
        svg.text((x, middle + 10.0), Anchor::Middle, 11.0, ink, &format!("{:.0} %", share * 100.0));
    }
}

/// What is drawn: the matrix, or its most interesting part.
struct Table {
    title: String,
    names: Vec<String>,
    counts: Vec<Vec<u64>>,
}

impl Table {
    fn new(matrix: &ConfusionMatrix, classes: &ClassNames) -> Self {
        let n = matrix.classes();
        let shown = shown_classes(matrix);
        let mut names: Vec<String> = shown.iter().map(|c| shorten(classes.get(*c).unwrap_or_default(), 22)).collect();
        // Position of each class in the drawing; all that are not shown share the last one.
        let mut position = vec![shown.len(); n];
        shown.iter().enumerate().for_each(|(i, c)| position[*c] = i);
        let title = if shown.len() < n {
            names.push(format!("({} others)", n - shown.len()));
            format!("Confusion matrix: the {} of {n} classes with the most mistakes", shown.len())
        } else {
            "Confusion matrix (colour: share of the true class)".to_string()
        };
        let mut counts = vec![vec![0; names.len()]; names.len()];
        for r in 0..n {
            for (c, count) in matrix.row(r).iter().enumerate() {
                counts[position[r]][position[c]] += count;
            }
        }
        Self { title, names, counts }
    }
}

/// The classes to show, in their own order.
fn shown_classes(matrix: &ConfusionMatrix) -> Vec<usize> {
    let n = matrix.classes();
    if n <= MAX_CLASSES {
        return (0..n).collect();
    }
    let counts = matrix.class_counts();
    let mistakes = |c: usize| counts.support[c] + counts.predicted[c] - 2 * counts.true_positives[c];
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|c| std::cmp::Reverse(mistakes(*c)));
    order.truncate(MAX_CLASSES);
    order.sort_unstable();
    order
}

/// A count in at most four characters.
fn compact(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{}M", count / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_classes_are_summed_up_without_losing_an_image() {
        let pairs = (0..5000).map(|i| (i % 100, if i % 7 == 0 { (i / 7) % 50 } else { i % 100 }));
        let matrix = ConfusionMatrix::from_pairs(100, pairs).unwrap();
        let classes = ClassNames::new((0..100).map(|c| format!("class {c}"))).unwrap();
        let table = Table::new(&matrix, &classes);
        assert_eq!((table.names.len(), confusion_cells(100)), (41, 41));
        assert_eq!(table.names[40], "(60 others)");
        assert_eq!(table.counts.iter().flatten().sum::<u64>(), 5000);
    }

    #[test]
    fn counts_stay_short() {
        assert_eq!([compact(9999), compact(12_345), compact(3_000_000)], ["9999", "12k", "3M"]);
    }
}
