"""Samplers and pruners of Kidu beside those of Optuna, on the same functions with the same budget, in one run.

    cargo build --release -p kidu-search --example ask_tell
    python tests/peers/compare_search.py target/release/examples/ask_tell [--seeds 30] [--trials 100]

Regret is the best value found less the least value there is. Each row gives its median over the seeds for both, and the
ratio of their geometric means with a bootstrap interval of 95 %: below 1 Kidu is better.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
import warnings

import numpy as np
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore")

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("kidu", help="the example ask_tell")
arguments.add_argument("--seeds", type=int, default=30)
arguments.add_argument("--trials", type=int, default=100)
arguments.add_argument("--only", choices=["samplers", "pruners"])
arguments = arguments.parse_args()


# Each function: the space in Kidu's writing, the same in Optuna's, the value of some parameters, and the least value.


def branin(p):
    x, y = p["x"], p["y"]
    bowl = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bowl * bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
])


def hartmann6(p):
    x = np.array([p[f"x{i}"] for i in range(6)])
    return -float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(A * (x - P) ** 2).sum(axis=1)))


def training(p):
    """What a training might end with: a log scale, choices, a whole number, and a parameter of one choice alone."""
    best = {"adam": -3.0, "sgd": -1.5, "rmsprop": -3.5}[p["optimizer"]]
    loss = {"adam": 0.10, "sgd": 0.0, "rmsprop": 0.2}[p["optimizer"]] + 0.25 * (math.log10(p["lr"]) - best) ** 2
    loss += 0.02 * abs(p["layers"] - 6) + {"small": 0.15, "middle": 0.05, "large": 0.0}[p["size"]]
    if p["optimizer"] == "sgd":
        loss += 2.0 * (p["momentum"] - 0.9) ** 2
    return loss


def suggest_training(trial):
    p = {
        "lr": trial.suggest_float("lr", 1e-5, 1.0, log=True),
        "layers": trial.suggest_int("layers", 1, 12),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"]),
        "size": trial.suggest_categorical("size", ["small", "middle", "large"]),
    }
    if p["optimizer"] == "sgd":
        p["momentum"] = trial.suggest_float("momentum", 0.0, 0.99)
    return p


FUNCTIONS = {
    "Branin, 2 numbers": (
        {"x": "float(interval(-5, 10))", "y": "float(interval(0, 15))"},
        lambda t: {"x": t.suggest_float("x", -5, 10), "y": t.suggest_float("y", 0, 15)},
        branin,
        0.39788735772973816,
    ),
    "Hartmann, 6 numbers": (
        {f"x{i}": "float(interval(0, 1))" for i in range(6)},
        lambda t: {f"x{i}": t.suggest_float(f"x{i}", 0, 1) for i in range(6)},
        hartmann6,
        -3.322368011415515,
    ),
    "mixed and conditional": (
        {
            "lr": "tag(log, interval(0.00001, 1.0))",
            "layers": "range(1, 12)",
            "optimizer": "choice(adam, sgd, rmsprop)",
            "size": "choice(small, middle, large)",
            "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
        },
        suggest_training,
        training,
        0.0,
    ),
}

EPOCHS = 27


def curve(p, number):
    """Losses of a training by epoch: towards the value of its parameters, the faster the larger the learning rate."""
    noise = np.random.default_rng(number).normal(0.0, 0.01, EPOCHS)
    end = training(p)
    pace = 0.08 + 0.5 / (1 + math.exp(-1.5 * (math.log10(p["lr"]) + 2.5)))
    return [end + 2.0 * math.exp(-pace * epoch) + noise[epoch - 1] for epoch in range(1, EPOCHS + 1)]


class Kidu:
    """A study of Kidu's in another process."""

    def __init__(self, folder, settings):
        self.process = subprocess.Popen(
            [arguments.kidu], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.trial = self.send({"journal": os.path.join(folder, "study.log"), "settings": settings})

    def send(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{arguments.kidu} ended")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def kidu(space, sampler, pruner, seed, run):
    """The least value of a study, and how many epochs were run. `run` gets parameters, a number, and where to report;
    it returns what the study is told (None for a pruned trial), what is true of the parameters, and its epochs."""
    settings = {
        "study_name": f"s{seed}", "metric": "val/loss", "direction": "minimize", "n_trials": arguments.trials,
        "seed": seed, "params": space, "sampler": sampler, "pruner": pruner,
    }
    found, steps = [], 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, Kidu(folder, settings) as study:
        while study.trial is not None:
            p, number = study.trial["params"], study.trial["number"]
            value, true, spent = run(p, number, lambda s, v: study.send({"report": [s, v]}))
            steps += spent
            if value is not None:
                found.append((value, true))
            study.trial = study.send({"pruned": True} if value is None else {"tell": value})
    return min(found, default=(math.inf, math.inf))[1], steps


def optunas(suggest, sampler, pruner, seed, run):
    """The same with Optuna."""
    study = optuna.create_study(study_name=f"s{seed}", sampler=sampler(seed), pruner=pruner)
    found, steps = [], 0
    for _ in range(arguments.trials):
        trial = study.ask()

        def report(step, value):
            trial.report(value, step)
            return trial.should_prune()

        value, true, spent = run(suggest(trial), trial.number, report)
        steps += spent
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)
            found.append((value, true))
    return min(found, default=(math.inf, math.inf))[1], steps


def whole(function):
    def run(p, number, report):
        value = function(p)
        return value, value, 0

    return run


def by_epoch(p, number, report):
    values = curve(p, number)
    for epoch, value in enumerate(values, 1):
        if report(epoch, value):
            return None, None, epoch
    return values[-1], training(p), EPOCHS


def row(name, ours, theirs, *more):
    """One line of the table from the regrets by seed."""
    ours, theirs = (np.maximum(np.array(r), 1e-12) for r in (ours, theirs))
    logs = np.log(ours), np.log(theirs)
    rng = np.random.default_rng(0)
    again = [np.exp(rng.choice(logs[0], len(ours)).mean() - rng.choice(logs[1], len(theirs)).mean()) for _ in range(2000)]
    low, high = np.percentile(again, [2.5, 97.5])
    ratio = f"{math.exp(logs[0].mean() - logs[1].mean()):.2f} ({low:.2f} to {high:.2f})"
    cells = [name, f"{np.median(ours):.4f}", f"{np.median(theirs):.4f}", ratio, *more]
    print("| " + " | ".join(cells) + " |", flush=True)


def samplers():
    tpe = optuna.samplers.TPESampler
    pairs = {
        "TPE, together": ({"name": "tpe"}, lambda s: tpe(seed=s, multivariate=True)),
        "TPE, one by one": ({"name": "tpe", "multivariate": False}, lambda s: tpe(seed=s, multivariate=False)),
        "random": ({"name": "random"}, lambda s: optuna.samplers.RandomSampler(seed=s)),
    }
    print(f"\n{arguments.trials} trials, {arguments.seeds} seeds\n")
    print("| function, sampler | Kidu, median regret | Optuna, median regret | ratio |\n|---|---|---|---|")
    for function, (space, suggest, value, least) in FUNCTIONS.items():
        for name, (ours, theirs) in pairs.items():
            mine = [kidu(space, ours, {"name": "none"}, s, whole(value))[0] - least for s in range(arguments.seeds)]
            peer = [
                optunas(suggest, theirs, optuna.pruners.NopPruner(), s, whole(value))[0] - least
                for s in range(arguments.seeds)
            ]
            row(f"{function}, {name}", mine, peer)


def pruners():
    p = optuna.pruners
    pairs = {
        "none": ({"name": "none"}, lambda: p.NopPruner()),
        "median": ({"name": "median"}, lambda: p.MedianPruner()),
        "successive halving": (
            {"name": "successive_halving", "min_resource": 1, "reduction_factor": 3},
            lambda: p.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        ),
        "Hyperband": (
            {"name": "hyperband", "max_resource": EPOCHS},
            lambda: p.HyperbandPruner(min_resource=1, max_resource=EPOCHS),
        ),
    }
    space, suggest, _, _ = FUNCTIONS["mixed and conditional"]
    print(f"\nSimulated learning curves of {EPOCHS} epochs, {arguments.trials} trials, {arguments.seeds} seeds\n")
    print("| pruner | Kidu, median regret | Optuna, median regret | ratio | epochs run, Kidu | Optuna |\n|---|---|---|---|---|---|")
    for name, (ours, theirs) in pairs.items():
        mine = [kidu(space, {"name": "tpe", "multivariate": False}, ours, s, by_epoch) for s in range(arguments.seeds)]
        tpe = optuna.samplers.TPESampler
        peer = [
            optunas(suggest, lambda s: tpe(seed=s, multivariate=False), theirs(), s, by_epoch)
            for s in range(arguments.seeds)
        ]
        spent = [np.mean([s for _, s in runs]) / (EPOCHS * arguments.trials) for runs in (mine, peer)]
        row(name, [r for r, _ in mine], [r for r, _ in peer], *(f"{100 * share:.0f} %" for share in spent))


# Each line of a journal is flushed to its disk; in memory that takes no time.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
if arguments.only != "pruners":
    samplers()
if arguments.only != "samplers":
    pruners()
