#!/usr/bin/env python3
"""Hold a running server against public tools: OpenAPI validator, schemathesis, Prometheus' own parser, and the original's
request as Python's requests sends it.

Usage: serve_contract.py URL IMAGE.jpg EXAMPLES

Prints what was done; exit code 1 where something does not hold.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path

import requests
from openapi_spec_validator import validate
from prometheus_client.openmetrics.parser import text_string_to_metric_families

url, image, examples = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

document = requests.get(url + "/openapi.json", timeout=30).json()
validate(document)
print("openapi.json is valid OpenAPI", document["openapi"])

uri = "data:image/jpeg;base64," + base64.b64encode(image.read_bytes()).decode()
answer = requests.post(url, json=json.dumps({"body": [uri]}), timeout=30)
answer.raise_for_status()
probabilities = list(answer.json()[0].values())
assert probabilities == sorted(probabilities, reverse=True), probabilities
assert abs(sum(probabilities) - 1) < 1e-4, probabilities
print("the original client's request is answered:", answer.text)

families = {f.name: f for f in text_string_to_metric_families(requests.get(url + "/metrics", timeout=30).text)}
assert families["kidu_images"].samples[0].value >= 1, families
print(len(families), "metrics are read by Prometheus' parser")

checks = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]
run = subprocess.run(
    [Path(sys.executable).parent / "schemathesis", "run", url + "/openapi.json", "--checks", ",".join(checks),
     "--max-examples", examples, "--seed", "1", "--continue-on-failure", "--no-color", "--warnings", "off"],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
)
print(run.stdout)
sys.exit(run.returncode)
