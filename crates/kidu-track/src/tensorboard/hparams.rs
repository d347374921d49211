//! The hparams plugin: what was tried, with what result.

use super::{event, proto::Message};
use crate::params::ParamValue;

const PLUGIN: &str = "hparams";
const EXPERIMENT: &str = "_hparams_/experiment";
const START: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";

/// A metric that the table of runs shows: the tag of a scalar, and its heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Tag of the scalar.
    pub tag: String,
    /// Heading; empty for the tag.
    pub display_name: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// It came to its end.
    Success,
    /// It failed or was stopped.
    Failure,
}

/// The columns of the table.
pub(super) fn experiment(time: f64, params: &[(String, ParamValue)], metrics: &[Metric]) -> Message {
    let mut message = Message::new().double(3, time);
    for (name, value) in params {
        let kind = match value {
            ParamValue::Text(_) => 1,
            ParamValue::Bool(_) => 2,
            ParamValue::Number(_) => 3,
        };
        message = message.message(4, Message::new().text(1, name).int(4, kind));
    }
    for metric in metrics {
        let name = Message::new().text(2, &metric.tag);
        message = message.message(5, Message::new().message(1, name).text(3, &metric.display_name));
    }
    value(EXPERIMENT, 2, message)
}

/// The beginning of a run, with its values.
pub(super) fn session_start(time: f64, group: &str, params: &[(String, ParamValue)]) -> Message {
    let mut message = Message::new();
    for (name, value) in params {
        let value = match value {
            ParamValue::Number(number) => Message::new().double(2, *number),
            ParamValue::Text(text) => Message::new().text(3, text),
            ParamValue::Bool(truth) => Message::new().int(4, u64::from(*truth)),
        };
        message = message.message(1, Message::new().text(1, name).message(2, value));
    }
    value(START, 3, message.text(4, group).double(5, time))
}

/// The end of a run.
pub(super) fn session_end(time: f64, status: SessionStatus) -> Message {
    let status = match status {
        SessionStatus::Success => 1,
        SessionStatus::Failure => 2,
    };
    value(END, 4, Message::new().int(1, status).double(2, time))
}

/// `HParamsPluginData` of version 0 with one of its alternatives.
fn value(tag: &str, field: u64, data: Message) -> Message {
    event::plugin_value(tag, PLUGIN, &Message::new().message(field, data).finish())
}
