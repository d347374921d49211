"""The other side of `kidu bench`: PyTorch with timm, ONNX Runtime and Pillow, one request a line.

Usage: peer.py THREADS. Requests and answers are JSON objects, one a line, on standard input and output:

  {"prepare": ID, "kind": "train", "model": ..., "batch": ..., ...} -> {} after warming up
  {"turn": ID, "seconds": S}                                        -> {"seconds": [one number for each run]}
  {"forget": ID}                                                    -> {}
  {"memory": {"kind": "train", "model": ..., "batch": ...}}         -> {"before": BYTES, "peak": BYTES}

What cannot be answered gets {"missing": REASON}. The first line, unasked, is {"ready": {package: version or null}}.
"""

import functools
import importlib.metadata
import io
import json
import os
import sys
import time

PACKAGES = ["torch", "timm", "captum", "onnxruntime", "onnx", "Pillow", "numpy"]
THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
WARM_UP = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Missing(Exception):
    """A package that is not installed."""


def version(package):
    """Its version, or None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def need(*packages):
    """Raises if one is not installed."""
    absent = [name for name in packages if version(name) is None]
    if absent:
        raise Missing("not installed: " + ", ".join(absent))


@functools.cache
def load_torch():
    """PyTorch and timm, on the wanted number of threads."""
    need("torch", "timm")
    import timm
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    return torch, timm


def network_and_images(request):
    """timm's network with random weights and a batch of random images."""
    torch, timm = load_torch()
    network = timm.create_model(request["model"], pretrained=False, num_classes=request["classes"])
    images = torch.rand(request["batch"], 3, request["size"], request["size"]) * 2 - 1
    if request.get("channels_last"):
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    return torch, network, images


def train(request):
    """A training step: forward, cross entropy, backward, Adam."""
    torch, network, images = network_and_images(request)
    labels = torch.arange(request["batch"]) % request["classes"]
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_eager(request):
    """A forward pass without gradients."""
    torch, network, images = network_and_images(request)
    network.eval()

    def step():
        with torch.inference_mode():
            return network(images).numpy()

    return step


@functools.cache
def onnx_of(model, classes, size):
    """The network as ONNX, for any batch."""
    need("onnx")
    torch, timm = load_torch()
    network = timm.create_model(model, pretrained=False, num_classes=classes, exportable=True).eval()
    out = io.BytesIO()
    # The exporter that needs no further package.
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, size, size),),
        out,
        dynamo=False,
        opset_version=17,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
    )
    return out.getvalue()


def onnx_runtime(request):
    """A forward pass of the exported network; the batch is fixed when the session is made."""
    need("onnxruntime", "numpy")
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_free_dimension_override_by_name("batch", request["batch"])
    options.log_severity_level = 3
    graph = onnx_of(request["model"], request["classes"], request["size"])
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    shape = (request["batch"], 3, request["size"], request["size"])
    images = {"images": numpy.random.default_rng(0).uniform(-1, 1, shape).astype(numpy.float32)}
    return lambda: session.run(None, images)


def pillow(request):
    """Decodes, resizes and normalises every photograph once."""
    need("Pillow", "numpy")
    import numpy
    from PIL import Image

    photographs = [bytes.fromhex(photograph) for photograph in request["photographs"]]
    size = request["size"]
    mean, std = numpy.array(MEAN, numpy.float32), numpy.array(STD, numpy.float32)

    def one(photograph):
        image = Image.open(io.BytesIO(photograph)).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        values = (numpy.asarray(image, numpy.float32) / 255 - mean) / std
        return numpy.ascontiguousarray(values.transpose(2, 0, 1))

    return lambda: [one(photograph) for photograph in photographs]


def handler(request):
    """What the Python handler of a Lambda does with each body: JSON, base64, Pillow, resize, network, JSON."""
    need("Pillow", "numpy")
    import base64

    import numpy
    from PIL import Image

    torch, timm = load_torch()
    classes, size = request["classes"], request["size"]
    network = timm.create_model(request["model"], pretrained=False, num_classes=len(classes)).eval()
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

    def one(body):
        encoded = json.loads(body)["image"].split(",")[1]
        image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
        # torchvision's ToTensor, Resize and Normalize.
        values = torch.from_numpy(numpy.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        values = torch.nn.functional.interpolate(values[None], (size, size), mode="bilinear", antialias=True)
        with torch.no_grad():
            probabilities = torch.softmax(network((values - mean) / std)[0], 0).tolist()
        ranked = sorted(zip(classes, probabilities), key=lambda pair: -pair[1])
        return json.dumps([dict(ranked)])

    return lambda: [one(body) for body in request["bodies"]]


def captum_gradients(request):
    """Integrated Gradients of one image from a baseline of zeros, by Gauss and Legendre."""
    need("captum")
    from captum.attr import IntegratedGradients

    torch, network, images = network_and_images(request)
    integrated = IntegratedGradients(network.eval())
    options = {"n_steps": request["steps"], "internal_batch_size": request["internal_batch"]}
    return lambda: integrated.attribute(images, target=0, return_convergence_delta=True, **options)


KINDS = {
    "captum": captum_gradients,
    "handler": handler,
    "train": train,
    "torch": torch_eager,
    "onnxruntime": onnx_runtime,
    "pillow": pillow,
}


def turn(step, seconds):
    """The time of each run; runs for about that long, at least once."""
    times, begin = [], time.perf_counter()
    while True:
        start = time.perf_counter()
        step()
        end = time.perf_counter()
        times.append(end - start)
        if end - begin >= seconds:
            return times


def status(key):
    """A size in bytes that the system tells of this process."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            for line in lines:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    raise Missing(f"this system does not tell {key} in /proc/self/status")


def memory(request):
    """What is resident before there is a network, and the most after some steps."""
    load_torch()
    before = status("VmRSS")
    step = KINDS[request["kind"]](request)
    for _ in range(request["steps"]):
        step()
    return {"before": before, "peak": status("VmHWM")}


def serve(request, cases):
    """The answer to one request."""
    if "prepare" in request:
        step = KINDS[request["kind"]](request)
        for _ in range(WARM_UP):
            step()
        cases[request["prepare"]] = step
        return {}
    if "turn" in request:
        return {"seconds": turn(cases[request["turn"]], request["seconds"])}
    if "forget" in request:
        cases.pop(request["forget"], None)
        return {}
    return memory(request["memory"])


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Libraries that print must not come between the answers.
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"ready": {package: version(package) for package in PACKAGES} | {"python": sys.version.split()[0]}})
    cases = {}
    for line in sys.stdin:
        try:
            say(serve(json.loads(line), cases))
        except Missing as reason:
            say({"missing": str(reason)})
        except Exception as error:  # One measurement less must not end the others.
            first = (str(error).splitlines() or [""])[0]
            say({"missing": f"{type(error).__name__}: {first}"})


main()
