#!/usr/bin/env bash
# Run a learner on this machine:
#   ./scripts/run_local.sh nets/resnet_at_cifar10_run.py --learner=chn-pruned-rmt --cpr_prune_ratio=0.50
# The first argument names the network: nets/X_run.py (as documented, no such file is needed) or X, or
# the path of your own helper. The rest are flags; see `python main.py --help`.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 nets/<arch>_at_<dataset>_run.py [--flag=value ...]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
script=$1
shift
case "$script" in
  nets/*_run.py) helper=$(basename "$script" _run.py) ;;
  *) helper=$script ;;
esac
flags=()
for arg in "$@"; do
  case "$arg" in
    -n=1) ;;
    -n=*)
      echo "error: -n=${arg#-n=}: several workers are not available yet; use -n=1 or leave it out." >&2
      exit 2
      ;;
    *) flags+=("$arg") ;;
  esac
done
python=python3
[ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
exec "$python" "$root/main.py" --model_helper="$helper" ${flags[@]+"${flags[@]}"}
