//! Messages of `event.proto` and `summary.proto`.

use super::proto::{Content, Message, fields};

/// The version that makes TensorBoard obey [`session_start`]'s step.
const FILE_VERSION: &str = "brain.Event:2";
const DT_STRING: u64 = 7;
const SESSION_START: u64 = 1;

/// The first event of a file.
pub(super) fn file_version(time: f64) -> Vec<u8> {
    Message::new().double(1, time).text(3, FILE_VERSION).finish()
}

/// A restart: what earlier files hold of this step and later ones no longer counts.
pub(super) fn session_start(time: f64, step: u64) -> Vec<u8> {
    Message::new().double(1, time).int(2, step).message(7, Message::new().int(1, SESSION_START)).finish()
}

/// An event with one value of a summary.
pub(super) fn summary(time: f64, step: u64, value: Message) -> Vec<u8> {
    Message::new().double(1, time).int(2, step).message(5, Message::new().message(1, value)).finish()
}

/// A number.
pub(super) fn scalar(tag: &str, value: f64) -> Message {
    Message::new().text(1, tag).float(2, value as f32)
}

/// A PNG of [width, height] pixels.
pub(super) fn image(tag: &str, [width, height]: [u32; 2], png: &[u8]) -> Message {
    const RGB: u64 = 3;
    let image = Message::new().int(1, height.into()).int(2, width.into()).int(3, RGB).bytes(4, png);
    Message::new().text(1, tag).message(4, image)
}

/// A text in Markdown.
pub(super) fn text(tag: &str, markdown: &str) -> Message {
    let one = Message::new().message(2, Message::new().int(1, 1));
    let tensor = Message::new().int(1, DT_STRING).message(2, one).text(8, markdown);
    Message::new().text(1, tag).message(8, tensor).message(9, plugin("text", &[]))
}

/// A value that only a plugin reads.
pub(super) fn plugin_value(tag: &str, name: &str, content: &[u8]) -> Message {
    Message::new().text(1, tag).message(9, plugin(name, content))
}

fn plugin(name: &str, content: &[u8]) -> Message {
    Message::new().message(1, Message::new().text(1, name).bytes(2, content))
}

/// The step of an event, and the tags of its values.
pub(super) fn step_and_tags(event: &[u8]) -> (u64, Vec<&[u8]>) {
    let (mut step, mut tags) = (0, Vec::new());
    for (field, content) in fields(event) {
        match (field, content) {
            (2, Content::Number(number)) => step = number,
            (5, Content::Bytes(summary)) => {
                for (field, value) in fields(summary) {
                    if let (1, Content::Bytes(value)) = (field, value)
                        && let Some((1, Content::Bytes(tag))) = fields(value).find(|f| f.0 == 1)
                    {
                        tags.push(tag);
                    }
                }
            }
            _ => {}
        }
    }
    (step, tags)
}
