"""make.py DIR FILES [REFITS]: writes metrics pickles of the layout, the sizes and
the opcodes of the study's, with made-up numbers; 1,000 refits give 42 MB. Needs
numpy."""

import pathlib
import pickle
import sys

import numpy as np

SCALARS = "AUROC AUPR F1 sensitivity specificity PPV NPV accuracy accuracy_balanced PPV_prev NPV_prev tpAUC Brier ECE".split()
CURVES = {
    "AUROC": ("fpr", "tpr", "thresholds", 200),
    "AUPR": ("recall", "precision", "thresholds", 200),
    "calibration_curve": ("prob_pred", "prob_true", 10),
}
TRAIN, TEST = 145, 63


def metrics(rng, refits, dtype):
    codes = {"train": [f"S{i:04}" for i in range(TRAIN)], "test": [f"S{i:04}" for i in range(TRAIN, TRAIN + TEST)]}
    codes["val"] = codes["train"]
    labels = {split: (np.arange(len(c)) % 4 == 0).astype("i8") for split, c in codes.items()}
    iters, stats, subjects = {}, {}, {}
    shared = np.array(codes["train"], dtype=object)
    for split in ("train", "val", "test"):
        values = {m: list(rng.random(refits)) for m in SCALARS}
        values["accuracy"] = [float(x) for x in values["accuracy"]]
        values["ECE"] = [float(x) for x in values["ECE"]]
        arrays = {c: {v: rng.random((names[-1], refits)) for v in names[:-1]} for c, names in CURVES.items()}
        iters[split] = {"metrics": {"scalars": values, "arrays": arrays}}
        if split == "test":
            risks = rng.random((TEST, refits)).astype(dtype)
            iters[split]["preds"] = {"arrays": {"predictions": {
                "y_pred_proba": risks,
                "y_pred": (risks > 0.5).astype("i8"),
                "label": np.repeat(labels[split][:, None], refits, axis=1),
            }}}
        else:
            drawn = {c: int(rng.binomial(refits, 0.5 if split == "train" else 0.6)) for c in codes[split]}
            iters[split]["preds_dict"] = {"arrays": {
                "y_pred_proba": {c: list(rng.random(n).astype(dtype)) for c, n in drawn.items()},
                "y_pred": {c: list(rng.integers(0, 2, n)) for c, n in drawn.items()},
                "label": {c: list(np.full(n, labels[split][i])) for i, (c, n) in enumerate(drawn.items())},
            }}
        summary = lambda x: {"n": len(x), "mean": np.mean(x), "std": np.std(x), "ci": np.percentile(x, [2.5, 97.5])}
        curve = lambda x: {"mean": x.mean(axis=1), "std": x.mean(axis=1), "ci": np.asfortranarray(np.percentile(x, [2.5, 97.5], axis=1))}
        stats[split] = {"metrics": {
            "scalars": {m: summary(x) for m, x in values.items()},
            "arrays": {c: {v: curve(x) for v, x in a.items()} for c, a in arrays.items()},
        }}
        n = len(codes[split])
        subjects[split] = {
            "preds": {k: {"mean": rng.random(n).astype(dtype), "std": rng.random(n)} for k in ("y_pred_proba", "y_pred", "label")},
            "subject_code": shared if split != "test" else np.array(codes[split], dtype=object),
            "labels": labels[split],
        }
    return {"metrics_iter": iters, "metrics_stats": stats, "subjectwise_stats": subjects, "subject_global_stats": None}


def main():
    folder, files = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    refits = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        value = metrics(np.random.default_rng(i), refits, "f4" if i % 4 == 3 else "f8")
        (folder / f"metrics_{i:03}.pickle").write_bytes(pickle.dumps(value, protocol=5))


if __name__ == "__main__":
    main()
