#!/bin/sh
# Benchmarks of package metrics and its peers in turns, one thread each. From the
# root of the repository: bench/measures/run.sh [ROUNDS]. See README.md.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-3}
venv=${VENV:-$HOME/venv-measures}
data=metrics/testdata/plr_like_n208.csv
# Some environments choose old kernels for numpy; these measurements do not.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE || true
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
go test -c -o "${TMPDIR:-/tmp}/metrics.bench" ./metrics
for round in $(seq "$rounds"); do
  echo "# round $round"
  (cd metrics && "${TMPDIR:-/tmp}/metrics.bench" -test.run '^$' -test.bench 'Bootstrap208|Table894|Refits63|Million' -test.cpu 1)
  if [ -x "$venv/bin/python" ]; then "$venv/bin/python" bench/measures/peers.py "$data"; fi
  if command -v Rscript > /dev/null; then Rscript bench/measures/peers.R "$data"; fi
done
