"""Times what package metrics' benchmarks time, with scikit-learn, statsmodels and
numpy, one thread, on the same data. See README.md."""
import os
for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[v] = "1"
import csv, sys, time, warnings
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
import statsmodels.api as sm

warnings.filterwarnings("ignore")
rows = list(csv.DictReader(open(sys.argv[1])))
y = np.array([int(r["y_true"]) for r in rows]); p = np.array([float(r["y_prob"]) for r in rows])
x = np.log(p / (1 - p))
rng = np.random.default_rng(1)

def timed(name, work, times=1):
    best = min(_one(work) for _ in range(times))
    print(f"{name}\t{best:.4f} s of CPU", flush=True)

def _one(work):
    t = time.process_time(); work(); return time.process_time() - t

def library():
    for _ in range(1000):
        i = rng.integers(0, len(y), len(y))
        roc_auc_score(y[i], p[i]); brier_score_loss(y[i], p[i])
        LogisticRegression(penalty=None).fit(x[i, None], y[i])

def ranks(v):
    order = np.argsort(v, kind="stable"); s = v[order]
    first = np.r_[True, s[1:] != s[:-1]]; group = np.cumsum(first) - 1
    edges = np.r_[np.flatnonzero(first), len(v)]
    r = np.empty(len(v)); r[order] = ((edges[:-1] + edges[1:] + 1) / 2)[group]
    return r

def vectorised():
    for _ in range(1000):
        i = rng.integers(0, len(y), len(y)); yi, pi, xi = y[i], p[i], x[i]
        n1 = yi.sum(); n0 = len(yi) - n1
        (ranks(pi)[yi == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
        np.mean((yi - pi) ** 2)
        b = np.zeros(2); X = np.c_[np.ones(len(xi)), xi]
        for _ in range(25):
            q = 1 / (1 + np.exp(-X @ b)); w = q * (1 - q)
            step = np.linalg.solve(X.T @ (X * w[:, None]), X.T @ (yi - q)); b += step
            if np.abs(step).max() < 1e-10:
                break

timed("1000 replicates, n = 208, scikit-learn", library)
timed("1000 replicates, n = 208, numpy", vectorised)

n = 1_000_000
Y = np.zeros(n, int); Y[:220_000] = 1
P = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * Y - 1)))
timed("roc_auc_score, n = 1e6, distinct", lambda: roc_auc_score(Y, P), 3)
timed("statsmodels GLM slope, n = 1e6", lambda: sm.GLM(Y, sm.add_constant(np.log(P / (1 - P))), family=sm.families.Binomial()).fit())
