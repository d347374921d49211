"""Gives a journal's trials, report by report, to Optuna's pruner, and prints what was judged and where it differs.

optuna_pruners.py JOURNAL STUDY SETTINGS: the settings are Kidu's hparams_search.pruner as JSON."""

import json
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
path, name, settings = sys.argv[1:]
settings = json.loads(settings)
known = {
    "median": optuna.pruners.MedianPruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}
pruner = known[settings.pop("name")](**settings)
theirs = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(path)))
# Hyperband's brackets follow from the study's name.
again = optuna.create_study(study_name=name, pruner=pruner, direction=theirs.direction)
judged, different, rungs = 0, [], []
for trial in theirs.trials:
    steps = sorted(trial.intermediate_values.items())
    pruned = trial.state == optuna.trial.TrialState.PRUNED
    asked = again.ask()
    for i, (step, value) in enumerate(steps):
        asked.report(value, step)
        verdict = asked.should_prune()
        judged += 1
        if verdict != (pruned and i + 1 == len(steps)):
            different.append([trial.number, step, verdict])
    mine = {k: v for k, v in trial.system_attrs.items() if k.startswith("completed_rung")}
    kept = {k: v for k, v in again.trials[asked.number].system_attrs.items() if k.startswith("completed_rung")}
    if mine != kept:
        rungs.append([trial.number, mine, kept])
    again.tell(asked, None if pruned else trial.value, state=trial.state)
print(json.dumps({"judged": judged, "different": different, "rungs": rungs}))
