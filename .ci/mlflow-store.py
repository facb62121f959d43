"""Writes a tracking store with real MLflow.

    mlflow-store.py URI MANIFEST [ARTIFACT_ROOT]

URI is a directory, sqlite:///PATH or http://HOST. MANIFEST gets, as JSON, what
MLflow itself says afterwards that the store holds, and digests of the artifacts
that were logged: it is what the Go reader is compared with.
"""

import hashlib
import json
import os
import pickle
import sys
import tempfile

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

uri, manifest = sys.argv[1:3]
root = sys.argv[3] if len(sys.argv) > 3 else None
os.environ["MLFLOW_TRACKING_URI"] = uri  # artifacts go by this, not by the client's

from mlflow.entities import ViewType  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

client = MlflowClient(uri)
scratch = tempfile.mkdtemp()
logged = {}  # artifacts by run: MLflow lists none where it deleted or moved a file store


def experiment(name):
    place = f"{root}/{name}" if root else None
    return client.create_experiment(name, artifact_location=place, tags={"plr.synthetic": "true"})


def run(exp, name, status="FINISHED", metrics=(), artifact=True, **tags):
    id = client.create_run(exp, run_name=name, tags=tags).info.run_id
    for key, value in {"model_name": "CATBOOST", "a/b": "slash", "empty": "", "lines": "one\ntwo", "unicode": "Å\u2028"}.items():
        client.log_param(id, key, value)
    for key, value, step in metrics:
        client.log_metric(id, key, value, timestamp=1700000000000 + step, step=step)
    if artifact:
        # Not a multiple of any buffer, and larger than one.
        path = os.path.join(scratch, f"metrics_{name}.pickle")
        with open(path, "wb") as f:
            pickle.dump({"run": name, "filler": os.urandom(300_001)}, f)
        client.log_artifact(id, path, "metrics")
        with open(path, "rb") as f:
            logged[id] = {f"metrics/{os.path.basename(path)}": hashlib.sha256(f.read()).hexdigest()}
    if status:
        client.set_terminated(id, status)
    return id


a, b, gone = experiment("PLR_Classification"), experiment("PLR_Other"), experiment("to_be_deleted")
name = "CATBOOST_eval-auc__simple1.0__SAITS__LOF"
run(a, name, metrics=[("AUROC", 0.5, 0), ("AUROC", 0.91, 1), ("AUROC", 0.7, 0), ("x/nested", 1e-05, 0)])
run(a, "NAN", metrics=[("nan", float("nan"), 0), ("inf", float("inf"), 0), ("ninf", float("-inf"), 0)])
run(a, "FAILED", status="FAILED", artifact=False)
run(a, "KILLED", status="KILLED")
client.delete_run(run(a, "DELETED"))
parent = run(b, "OLD_NAME")
client.update_run(parent, name="RENAMED")
run(b, "CHILD", **{"mlflow.parentRunId": parent})
run(b, "RUNNING", status=None, artifact=False)
run(gone, "IN_DELETED")
client.delete_experiment(gone)

def number(v):
    # In SQLite MLflow stores the largest double for an infinity, and gives it back.
    return repr(float("inf") if v == sys.float_info.max else float("-inf") if v == -sys.float_info.max else float(v))


held = {"experiments": []}
for e in client.search_experiments(view_type=ViewType.ALL):
    runs = []
    for r in client.search_runs([e.experiment_id], run_view_type=ViewType.ALL, max_results=1000):
        runs.append({
            "id": r.info.run_id,
            "name": r.info.run_name,
            "status": r.info.status,
            "lifecycle": r.info.lifecycle_stage,
            "start": r.info.start_time,
            "end": r.info.end_time or 0,
            "params": r.data.params,
            "tags": r.data.tags,
            "metrics": {k: number(v) for k, v in r.data.metrics.items()},
            "artifacts": logged.get(r.info.run_id, {}),
        })
    held["experiments"].append({"id": e.experiment_id, "name": e.name, "lifecycle": e.lifecycle_stage, "tags": e.tags, "runs": runs})
with open(manifest, "w") as f:
    json.dump(held, f)
