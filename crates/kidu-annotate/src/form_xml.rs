//! A labelling form written from class names.

use std::fmt::Write;

use kidu_core::markup::escape;

/// Name of the `<Image>` tag and of the key of a task's data.
pub const IMAGE: &str = "image";
/// Name of the `<Choices>` tag.
pub const CHOICE: &str = "choice";

/// The form that asks for one class of an image.
pub fn of_classes<S: AsRef<str>>(classes: &[S]) -> String {
    let mut xml = format!(
        "<View>\n  <Image name=\"{IMAGE}\" value=\"${IMAGE}\"/>\n  \
         <Choices name=\"{CHOICE}\" toName=\"{IMAGE}\" choice=\"single\" showInline=\"true\" required=\"true\">\n"
    );
    for class in classes {
        // Writing to a string cannot fail.
        let _ = writeln!(xml, "    <Choice value=\"{}\"/>", escape(class.as_ref()));
    }
    xml + "  </Choices>\n</View>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Form;

    #[test]
    fn what_is_written_is_read_back() {
        let classes = ["sea", "R&D <lab>", "\"quoted\"", "straße 7"];
        let form = Form::parse(&of_classes(&classes), None).unwrap();
        let values: Vec<&str> = form.choices().iter().map(|c| c.value.as_str()).collect();
        assert_eq!(values, classes);
        assert!(form.compare(&classes).is_whole());
        assert_eq!((form.image_key.as_str(), form.control.as_str()), (IMAGE, CHOICE));
    }

    #[test]
    fn what_xml_forbids_makes_no_form_unreadable() {
        let form = Form::parse(&of_classes(&["a\tb\nc", "bell\u{7}", "it's"]), None).unwrap();
        let values: Vec<&str> = form.choices().iter().map(|c| c.value.as_str()).collect();
        assert_eq!(values, ["a\tb\nc", "bell\u{FFFD}", "it's"]);
    }
}
