"""Prints as JSON what MLflow's own client reads of the run with a key: server, experiment, key."""

import json
import sys

import mlflow

uri, experiment, key = sys.argv[1:4]
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient()
runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], f"tags.`kidu.run` = '{key}'")
run = runs[0]
run_id = run.info.run_id


def artifacts(path=None):
    for item in client.list_artifacts(run_id, path):
        if item.is_dir:
            yield from artifacts(item.path)
        else:
            yield item.path, item.file_size


def history(name):
    return [[m.step, m.value] for m in sorted(client.get_metric_history(run_id, name), key=lambda m: m.step)]


files = dict(artifacts())
cards = [path for path in files if path.endswith(".md")]
print(json.dumps({
    "runs": len(runs),
    "name": run.info.run_name,
    "status": run.info.status,
    "params": run.data.params,
    "metrics": {name: history(name) for name in run.data.metrics},
    "tags": run.data.tags,
    "artifacts": files,
    "card": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{cards[0]}") if cards else None,
}))
