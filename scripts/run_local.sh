#!/usr/bin/env bash
# Run a learner on this machine:
#   ./scripts/run_local.sh nets/resnet_at_cifar10_run.py --learner=chn-pruned-rmt --cpr_prune_ratio=0.50
# The first argument names the network: nets/X_run.py (as documented, no such file is needed) or X, or
# the path of your own helper. -n=N trains with N workers, each on an idle GPU or its share of the
# cores (needs scripts/install_horovod.sh once). The rest are flags; see `python main.py --help`.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 nets/<arch>_at_<dataset>_run.py [-n=N] [--flag=value ...]" >&2
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
number=1
for arg in "$@"; do
  case "$arg" in
    -n=*) number=${arg#-n=} ;;
    *) flags+=("$arg") ;;
  esac
done
if ! [[ $number =~ ^[1-9][0-9]{0,5}$ ]]; then
  echo "error: -n=$number: the number of workers must be a whole number of at least 1." >&2
  exit 2
fi
python=python3
[ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
command=("$python" "$root/main.py" "--model_helper=$helper" ${flags[@]+"${flags[@]}"})
if [ "$number" -eq 1 ]; then
  exec "${command[@]}"
fi
exec "$python" "$root/tools/launch/launch_workers.py" "--num_workers=$number" -- "${command[@]}"
