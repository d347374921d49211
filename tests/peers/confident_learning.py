"""What cleanlab finds in labels and probabilities, as JSON: {"labels": [...], "probabilities": [[...], ...]} in, out."""

import json
import sys

import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

given = json.load(sys.stdin)
labels = np.array(given["labels"])
probabilities = np.array(given["probabilities"])
issues = find_label_issues(labels, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
json.dump(
    {
        "thresholds": get_confident_thresholds(labels, probabilities).tolist(),
        "joint": compute_confident_joint(labels, probabilities).tolist(),
        "scores": get_label_quality_scores(labels, probabilities, method="normalized_margin").tolist(),
        "suspects": np.flatnonzero(issues).tolist(),
    },
    sys.stdout,
)
