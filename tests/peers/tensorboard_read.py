"""Prints as JSON what tensorboard's own reader finds in a folder: scalars, images, texts, hparams."""

import io
import json
import sys

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

everything = {"scalars": 0, "images": 0, "tensors": 0}
events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance=everything)
events.Reload()


def image(event):
    picture = Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB")
    assert picture.size == (event.width, event.height)
    return [event.step, event.width, event.height, list(picture.getpixel((0, 0)))]


hparams = {}
for tag in events.summary_metadata:
    content = events.SummaryMetadata(tag).plugin_data
    if content.plugin_name != "hparams":
        continue
    data = plugin_data_pb2.HParamsPluginData.FromString(content.content)
    if tag == "_hparams_/experiment":
        hparams["infos"] = {info.name: info.type for info in data.experiment.hparam_infos}
        hparams["metrics"] = [info.name.tag for info in data.experiment.metric_infos]
    elif tag == "_hparams_/session_start_info":
        values = data.session_start_info.hparams
        read = {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}
        hparams["start"] = {"group": data.session_start_info.group_name, "values": read}
    elif tag == "_hparams_/session_end_info":
        hparams["end"] = data.session_end_info.status

tags = events.Tags()
texts = [tag for tag in tags["tensors"] if events.SummaryMetadata(tag).plugin_data.plugin_name == "text"]
print(json.dumps({
    "scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [image(e) for e in events.Images(tag)] for tag in tags["images"]},
    "texts": {tag: [e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)] for tag in texts},
    "hparams": hparams,
}))
