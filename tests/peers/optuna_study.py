"""Reads a journal by Optuna itself, or writes one: optuna_study.py read|write|run|importance|dashboard JOURNAL STUDY"""

import json
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
mode, path, name = sys.argv[1:]
storage = JournalStorage(JournalFileBackend(path))


def objective(trial):
    x = trial.suggest_float("x", -5.0, 5.0)
    n = trial.suggest_int("n", 1, 9, step=2)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    trial.report(float("nan") if trial.number == 1 else x, 0)
    if trial.number == 2:
        raise optuna.TrialPruned()
    return x * x + n + (1.0 if kind == "a" else 0.0)


def dashboard():
    """What optuna-dashboard answers on its page and its API, called as a WSGI application."""
    from wsgiref.util import setup_testing_defaults

    from optuna_dashboard import wsgi

    app = wsgi(storage)

    def get(address):
        environ, answer = {"PATH_INFO": address}, {}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda status, headers, exc=None: answer.update(status=status)))
        return int(answer["status"].split()[0]), body.decode()

    status, page = get("/dashboard/")
    found = {"page": [status, "optuna" in page.lower()]}
    status, body = get("/api/studies")
    studies = json.loads(body)["study_summaries"]
    found["studies"] = [status, [study["study_name"] for study in studies]]
    number = next(study["study_id"] for study in studies if study["study_name"] == name)
    status, body = get(f"/api/studies/{number}")
    found["study"] = [status, json.loads(body)]
    return found


if mode == "importance":
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    study = optuna.load_study(study_name=name, storage=storage)
    print(json.dumps(optuna.importance.get_param_importances(study, evaluator=evaluator)))
    sys.exit()
if mode == "dashboard":
    print(json.dumps(dashboard()))
    sys.exit()
if mode == "write":
    study = optuna.create_study(study_name=name, storage=storage, direction="minimize")
    study.optimize(objective, n_trials=4)
else:
    study = optuna.load_study(study_name=name, storage=storage)
    if mode == "run":
        study.optimize(objective, n_trials=2)

trials = [
    {
        "number": t.number,
        "state": t.state.name.lower().replace("fail", "failed"),
        "value": t.value,
        "params": t.params,
        "distributions": {k: optuna.distributions.distribution_to_json(d) for k, d in t.distributions.items()},
        "intermediate": [[k, str(v)] for k, v in sorted(t.intermediate_values.items())],
    }
    for t in study.trials
]
print(json.dumps({"direction": study.direction.name, "best": study.best_trial.number, "trials": trials}))
