#!/usr/bin/env python3
"""Compare evaluation.json with scikit-learn on the predictions it was computed from.

Usage: compare_metrics.py DIR
       compare_metrics.py PREDICTIONS.csv EVALUATION.json

DIR holds predictions.csv and evaluation.json as `kidu evaluate` writes them. Needs numpy, scipy and scikit-learn.
Exit code 0 if every number agrees within 1e-9, 1 if one does not, 2 for wrong usage.
"""

import csv
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.special import softmax
from sklearn import metrics as sk

TOLERANCE = 1e-9


def read_predictions(path):
    """Class names, labels, logits, stored probabilities (or None), predictions and scores."""
    csv.field_size_limit(1 << 30)
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        rows = list(rows)
    logit_columns = [i for i, name in enumerate(header) if name.startswith("logit_")]
    names = [header[i][len("logit_"):] for i in logit_columns]
    index = {name: i for i, name in enumerate(names)}
    # The logits are 32-bit floats.
    logits = np.array([[np.float32(row[i]) for i in logit_columns] for row in rows]).astype(np.float64)
    first = 4
    stored = None
    if header[first] == f"prob_{names[0]}":
        stored = np.array([[float(x) for x in row[first:first + len(names)]] for row in rows])
    label, predicted, score = (header.index(name) for name in ("label", "predicted", "score"))
    labels = np.array([index[row[label]] for row in rows])
    predictions = np.array([index[row[predicted]] for row in rows])
    scores = np.array([float(row[score]) for row in rows])
    return names, labels, logits, stored, predictions, scores


class Checks:
    """Collects comparisons."""

    def __init__(self):
        self.count = 0
        self.failures = []

    def equal(self, name, found, expected):
        self.count += 1
        if found is None or expected is None:
            same = found is None and expected is None
        else:
            same = abs(found - expected) <= TOLERANCE
        if not same:
            self.failures.append(f"{name}: evaluation.json has {found}, scikit-learn says {expected}")


def calibration_errors(labels, probabilities, bins):
    """Expected and maximum calibration error with bins (lower, upper] of equal width."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int), 1, bins) - 1
    gaps = [(abs(correct[which == b].mean() - confidence[which == b].mean()), (which == b).mean())
            for b in range(bins) if (which == b).any()]
    return sum(gap * share for gap, share in gaps), max(gap for gap, _ in gaps)


def top_k(labels, logits, k):
    """Share of the labels among the k greatest logits; of equal logits the lower index comes first."""
    order = np.argsort(-logits, axis=1, kind="stable")
    return float((order[:, :k] == labels[:, None]).any(axis=1).mean())


def compare_decisions(check, names, labels, predictions, quality, ours):
    """All that follows from labels and predicted classes."""
    classes = list(range(len(names)))
    options = {"labels": classes, "zero_division": 0}
    check.equal("images", ours["images"], len(labels))
    matrix = sk.confusion_matrix(labels, predictions, labels=classes)
    for i in classes:
        for j in classes:
            check.equal(f"confusion_matrix.{i}.{j}", quality["confusion_matrix"][str(i)][str(j)], matrix[i, j])
    accuracy = sk.accuracy_score(labels, predictions)
    check.equal("accuracy", quality["accuracy"]["value"], accuracy)
    deviation = np.sqrt(accuracy * (1 - accuracy) / len(labels))
    check.equal("accuracy std", quality["accuracy"]["standard_deviation"], deviation)
    constant = np.full_like(labels, np.bincount(labels, minlength=len(names)).argmax())
    for suffix, answer in (("", predictions), ("_best_constant_classifier", constant)):
        check.equal("accuracy" + suffix, quality["accuracy" + suffix]["value"], sk.accuracy_score(labels, answer))
        for beta, name in ((0.5, "f0_5"), (1.0, "f1"), (2.0, "f2")):
            expected = sk.fbeta_score(labels, answer, beta=beta, average="weighted", **options)
            check.equal(f"weighted_{name}{suffix}", quality[f"weighted_{name}{suffix}"]["value"], expected)
        for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score)):
            expected = score(labels, answer, average="weighted", **options)
            check.equal(f"weighted_{name}{suffix}", quality[f"weighted_{name}{suffix}"]["value"], expected)
    for average in ("macro", "weighted", "micro"):
        expected = sk.precision_recall_fscore_support(labels, predictions, average=average, **options)
        for name, value in zip(("precision", "recall", "f1"), expected):
            check.equal(f"{average} {name}", ours[f"{average}_average"][name], value)
    rows = sk.precision_recall_fscore_support(labels, predictions, **options)
    for i, row in enumerate(zip(*rows)):
        for name, value in zip(("precision", "recall", "f1", "support"), row):
            check.equal(f"{names[i]} {name}", ours["per_class"][i][name], value)
    check.equal("balanced_accuracy", ours["balanced_accuracy"], sk.balanced_accuracy_score(labels, predictions))
    kappa = sk.cohen_kappa_score(labels, predictions, labels=classes)
    check.equal("cohen_kappa", ours["cohen_kappa"], None if np.isnan(kappa) else kappa)
    check.equal("matthews_corrcoef", ours["matthews_corrcoef"], sk.matthews_corrcoef(labels, predictions))


def compare_areas(check, names, labels, probabilities, ours):
    """One class against the rest."""
    roc, precision, weights = [], [], []
    for i, name in enumerate(names):
        positive = labels == i
        area = sk.roc_auc_score(positive, probabilities[:, i]) if 0 < positive.sum() < len(labels) else None
        average = sk.average_precision_score(positive, probabilities[:, i]) if positive.any() else None
        check.equal(f"{name} roc_auc", ours["per_class"][i]["roc_auc"], area)
        check.equal(f"{name} average_precision", ours["per_class"][i]["average_precision"], average)
        roc.append(area)
        precision.append(average)
        weights.append(positive.sum())
    for key, areas in (("roc_auc", roc), ("average_precision", precision)):
        defined = [(a, w) for a, w in zip(areas, weights) if a is not None]
        mean = np.mean([a for a, _ in defined]) if defined else None
        weighted = np.average([a for a, _ in defined], weights=[w for _, w in defined]) if defined else None
        check.equal(f"{key} macro", ours[key]["macro"], mean)
        check.equal(f"{key} weighted", ours[key]["weighted"], weighted)
    if len(names) > 2 and all(a is not None for a in roc):
        for average in ("macro", "weighted"):
            expected = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average=average)
            check.equal(f"roc_auc_score ovr {average}", ours["roc_auc"][average], expected)


def compare_probabilities(check, labels, logits, probabilities, ours):
    """Losses and calibration."""
    classes = list(range(probabilities.shape[1]))
    calibration = ours["calibration"]
    bins = len(calibration["bins"])
    if len(classes) > 1:
        given = probabilities[:, 1] if len(classes) == 2 else probabilities
        check.equal("log_loss", calibration["log_loss"], sk.log_loss(labels, probabilities, labels=classes))
        check.equal("brier_score", calibration["brier_score"], sk.brier_score_loss(labels, given, labels=classes))
        plain = sk.log_loss(labels, softmax(logits, axis=1), labels=classes)
        check.equal("uncalibrated_log_loss", calibration["uncalibrated_log_loss"], plain)
    expected, maximum = calibration_errors(labels, probabilities, bins)
    check.equal("expected_calibration_error", calibration["expected_calibration_error"], expected)
    check.equal("maximum_calibration_error", calibration["maximum_calibration_error"], maximum)
    plain, _ = calibration_errors(labels, softmax(logits, axis=1), bins)
    check.equal("uncalibrated ECE", calibration["uncalibrated_expected_calibration_error"], plain)
    for entry in ours["top_k"]:
        check.equal(f"top-{entry['k']}", entry["accuracy"], top_k(labels, logits, entry["k"]))


def main(arguments):
    if len(arguments) == 1:
        predictions_file, evaluation_file = (Path(arguments[0]) / n for n in ("predictions.csv", "evaluation.json"))
    elif len(arguments) == 2:
        predictions_file, evaluation_file = map(Path, arguments)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    # Absent classes are expected; what is done about them is part of the comparison.
    warnings.simplefilter("ignore")
    names, labels, logits, stored, predictions, scores = read_predictions(predictions_file)
    evaluation = json.loads(evaluation_file.read_text(encoding="utf-8"))
    quality, ours = evaluation["multiclass_classification_metrics"], evaluation["kidu"]

    check = Checks()
    if names != ours["classes"]:
        check.failures.append(f"classes: evaluation.json has {ours['classes']}, predictions.csv {names}")
    probabilities = softmax(logits / ours["calibration"]["temperature"], axis=1)
    check.equal("scores", float(np.abs(scores - probabilities.max(axis=1)).max()), 0.0)
    check.equal("predicted classes", int((predictions != logits.argmax(axis=1)).sum()), 0)
    if stored is not None:
        check.equal("probabilities", float(np.abs(stored - probabilities).max()), 0.0)
        # Areas depend on which scores are exactly equal, so they are compared on the stored numbers.
        probabilities = stored
    compare_decisions(check, names, labels, predictions, quality, ours)
    compare_areas(check, names, labels, probabilities, ours)
    compare_probabilities(check, labels, logits, probabilities, ours)

    for failure in check.failures:
        print(f"MISMATCH {failure}")
    agreed = "all agree" if not check.failures else f"{len(check.failures)} differ"
    print(f"{check.count} numbers compared with scikit-learn: {agreed}")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
