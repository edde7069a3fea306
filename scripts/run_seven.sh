#!/usr/bin/env bash
# Run a learner on the machines of a cluster:
#   ./scripts/run_seven.sh nets/resnet_at_cifar10_run.py -n=8 --learner=weight-sparse
# Hosts, their slots, environment and image are in seven.yaml (copy seven.yaml.template) of this
# folder or the checkout; --seven=FILE names another. -n=N takes N of the slots, by default all.
# --dry_run prints the command, horovodrun over ssh, instead of running it. The rest is as for
# run_local.sh. All machines need the checkout with its .venv, the data and the starting network at
# the same paths; files are written on the first one.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 nets/<arch>_at_<dataset>_run.py [-n=N] [--seven=FILE] [--dry_run] [--flag=value ...]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
own=()
flags=()
script=
seven=seven.yaml
[ -e "$seven" ] || seven="$root/seven.yaml"
for arg in "$@"; do
  case "$arg" in
    -n=*)
      if ! [[ ${arg#-n=} =~ ^[1-9][0-9]{0,5}$ ]]; then
        echo "error: $arg: the number of workers must be a whole number of at least 1." >&2
        exit 2
      fi
      own+=("--num_workers=${arg#-n=}")
      ;;
    --seven=*) seven=${arg#--seven=} ;;
    --dry_run | --dry-run) own+=("--dry_run") ;;
    *) if [ -z "$script" ]; then script=$arg; else flags+=("$arg"); fi ;;
  esac
done
if [ -z "$script" ]; then
  echo "error: no network is named. Write it first, such as nets/resnet_at_cifar10_run.py." >&2
  exit 2
fi
case "$script" in
  nets/*_run.py) helper=$(basename "$script" _run.py) ;;
  *) helper=$script ;;
esac
python=python3
[ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
exec "$python" "$root/tools/launch/launch_workers.py" "--cluster_file=$seven" ${own[@]+"${own[@]}"} \
  -- "$python" "$root/main.py" "--model_helper=$helper" ${flags[@]+"${flags[@]}"}
