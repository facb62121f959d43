"""make.py STORE RUNS [--refits N] [--metrics N] [--pickles N] [--bare N]: an MLflow file store
of any size, with the layout of the study's: every run a configuration of its own,
finished, with a metrics pickle of made-up numbers. From the 881st run on
featurizations have names that no registry lists. Needs numpy.

--refits    refits of a pickle (60: 2.6 MB)
--metrics   files of metrics of a run (182, as in the study)
--pickles   how many different pickles; runs share them in turn (all runs)
--bare      this many runs more that have no artifacts and no metrics

The same arguments give the same bytes."""

import argparse
import pathlib
import pickle
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "pickles"))
from make import SCALARS, metrics  # noqa: E402

EXPERIMENT = "100000000000000001"
CLASSIFIERS = [("CATBOOST", "CatBoost"), ("XGBOOST", "XGBoost"), ("TabPFN", "TabPFN"), ("TabM", "TabM"), ("LogisticRegression", "LogisticRegression")]
OUTLIERS = """pupil-gt MOMENT-gt-finetune MOMENT-gt-zeroshot UniTS-gt-finetune TimesNet-gt LOF OneClassSVM PROPHET SubPCA
ensemble-LOF-MOMENT-OneClassSVM-PROPHET-SubPCA-TimesNet-UniTS-gt-finetune
ensembleThresholded-MOMENT-TimesNet-UniTS-gt-finetune""".split()
IMPUTATIONS = "pupil-gt MOMENT-finetune MOMENT-zeroshot CSDI SAITS TimesNet ensemble-CSDI-MOMENT-SAITS ensemble-CSDI-MOMENT-SAITS-TimesNet".split()
FEATURES = ["simple1.0", "MOMENT-embedding"]
BEGAN = 1_700_000_000_000  # ms since 1970


def configuration(i):
    """The i-th of all combinations of registered methods, then of others."""
    i, classifier = divmod(i, len(CLASSIFIERS))
    i, imputation = divmod(i, len(IMPUTATIONS))
    features, outlier = divmod(i, len(OUTLIERS))
    feature = FEATURES[features] if features < len(FEATURES) else f"made-up-{features}"
    return CLASSIFIERS[classifier], feature, IMPUTATIONS[imputation], OUTLIERS[outlier]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("runs", type=int)
    parser.add_argument("--refits", type=int, default=60)
    parser.add_argument("--metrics", type=int, default=182)
    parser.add_argument("--pickles", type=int, default=0)
    parser.add_argument("--bare", type=int, default=0)
    a = parser.parse_args()
    pickles = [
        pickle.dumps(metrics(np.random.default_rng(i), a.refits, "f4" if i % 4 == 3 else "f8"), protocol=5)
        for i in range(a.pickles)
    ]
    experiment = a.store / EXPERIMENT
    write(experiment / "meta.yaml", f"""artifact_location: file:///elsewhere/mlruns/{EXPERIMENT}
creation_time: {BEGAN}
experiment_id: '{EXPERIMENT}'
last_update_time: {BEGAN}
lifecycle_stage: active
name: PLR_Classification
""")
    write(experiment / "tags" / "plr.synthetic", "true")
    ids = np.random.default_rng(len(FEATURES))
    for i in range(a.runs + a.bare):
        (prefix, classifier), feature, imputation, outlier = configuration(i)
        name = f"{prefix}_eval-auc__{feature}__{imputation}__{outlier}"
        run_id = ids.bytes(16).hex()
        run = experiment / run_id
        start = BEGAN + 60_000 * i
        write(run / "meta.yaml", f"""artifact_uri: file:///elsewhere/mlruns/{EXPERIMENT}/{run_id}/artifacts
end_time: {start + 59_000}
entry_point_name: ''
experiment_id: '{EXPERIMENT}'
lifecycle_stage: active
run_id: {run_id}
run_name: {name}
run_uuid: {run_id}
source_name: ''
source_type: 4
source_version: ''
start_time: {start}
status: 3
tags: []
user_id: nobody
""")
        params = {
            "model_name": classifier, "feature_param": feature, "imputation_source": imputation, "anomaly_source": outlier,
            "featurization_method": "handcrafted_features", "both_sources_gt": "False", "both_sources_ensemble": "False",
            "bootstrap_time": "1900.5", "glaucomaParam_prevalence": "0.0354", "weigh_the_samples": "False",
            "mlflow_run_featurization": "None", "mlflow_run_imputation": "None", "mlflow_run_outlier_detection": "None",
        }
        for key, value in params.items():
            write(run / "params" / key, value)
        for k in range(a.metrics if i < a.runs else 0):
            split = ("train", "val", "test")[k % 3]
            write(run / "metrics" / split / f"{SCALARS[k % len(SCALARS)]}_{k}", f"{start} {k / 200} 0\n")
        for key, value in {"mlflow.runName": name, "mlflow.user": "nobody", "mlflow.source.type": "LOCAL"}.items():
            write(run / "tags" / key, value)
        if i >= a.runs:
            continue
        if a.pickles:
            data = pickles[i % a.pickles]
        else:
            data = pickle.dumps(metrics(np.random.default_rng(i), a.refits, "f4" if i % 4 == 3 else "f8"), protocol=5)
        artifact = run / "artifacts" / "metrics" / f"metrics_{name}.pickle"
        artifact.parent.mkdir(parents=True)
        artifact.write_bytes(data)


main()
