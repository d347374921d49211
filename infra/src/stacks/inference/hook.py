"""Before a version gets traffic: is it ready, does it predict, does it refuse nonsense as its caller's mistake?"""
import base64
import json
import os
import struct
import zlib

import boto3


def png(shade):
    """A 64x64 PNG of one shade with a lighter square."""
    rows = b"".join(
        b"\0" + b"".join(bytes([shade + (90 if 16 <= x < 48 and 16 <= y < 48 else 0)] * 3) for x in range(64)) for y in range(64)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def call(method, path, body=b"", kind="application/json"):
    event = {
        "version": "2.0", "routeKey": f"{method} {path}", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": kind, "host": "hook"},
        "requestContext": {"accountId": "0", "apiId": "hook", "domainName": "hook", "domainPrefix": "hook",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "hook"},
            "requestId": "hook", "routeKey": f"{method} {path}", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 0},
        "body": base64.b64encode(body).decode(), "isBase64Encoded": True,
    }
    answer = boto3.client("lambda").invoke(FunctionName=os.environ["VERSION_ARN"], Payload=json.dumps(event).encode())
    if "FunctionError" in answer:
        raise AssertionError(f"{method} {path}: {answer['Payload'].read().decode()[:500]}")
    answer = json.loads(answer["Payload"].read())
    return answer["statusCode"], answer.get("body") or ""


def check():
    status, body = call("GET", "/ready")
    assert status == 200, f"GET /ready answers {status}: {body[:200]}"
    for shade in (20, 90, 160):
        status, body = call("POST", "/v1/predict", png(shade), "image/png")
        assert status == 200, f"an image: {status} {body[:200]}"
        total = sum(json.loads(body)["predictions"][0]["probabilities"].values())
        assert abs(total - 1) < 1e-3, f"probabilities add up to {total}"
    status, body = call("POST", "/v1/predict", b"no image", "image/png")
    assert 400 <= status < 500, f"no image: {status} {body[:200]}"


def handler(event, context):
    try:
        check()
        status = "Succeeded"
    except Exception as error:
        print(json.dumps({"level": "error", "message": f"the version gets no traffic: {error}"}))
        status = "Failed"
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return status
