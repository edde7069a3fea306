#!/usr/bin/env bash
# Run a learner in a container, with docker or podman:
#   ./scripts/run_docker.sh nets/resnet_at_cifar10_run.py -n=2 --learner=chn-pruned-rmt
# The image is `flowpress`, built from the checkout's Dockerfile where there is none yet; --image=NAME
# takes another. The rest is as for run_local.sh, which runs inside. The current folder (models/,
# logs/, runs/ and your own files are in it), the data (FLOWPRESS_DATA, path.conf) and every file or
# folder that a flag names are there under their own paths; what is written is yours.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 nets/<arch>_at_<dataset>_run.py [-n=N] [--image=NAME] [--flag=value ...]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
engine=
for program in docker podman; do
  if command -v "$program" >/dev/null 2>&1; then
    engine=$program
    break
  fi
done
if [ -z "$engine" ]; then
  echo "error: neither docker nor podman is installed. Install one, or use scripts/run_local.sh." >&2
  exit 2
fi
image=flowpress
flags=()
for arg in "$@"; do
  case "$arg" in
    --image=*) image=${arg#--image=} ;;
    *) flags+=("$arg") ;;
  esac
done
if [ ${#flags[@]} -eq 0 ] || [ "${flags[0]#-}" != "${flags[0]}" ]; then
  echo "error: no network is named. Write it first, such as nets/resnet_at_cifar10_run.py." >&2
  exit 2
fi
if ! "$engine" image inspect "$image" >/dev/null 2>&1; then
  if [ "$image" != flowpress ]; then
    echo "error: $engine has no image $image. Pull or build it, or leave --image out." >&2
    exit 2
  fi
  echo "note: building the image flowpress from $root/Dockerfile; this takes minutes, once" >&2
  "$engine" build --tag flowpress "$root" >&2 || {
    echo "error: the image could not be built; see above." >&2
    exit 1
  }
fi

here=$PWD
if [ "$here" = / ]; then
  echo "error: the current folder is /, which is not given to a container. Change to your own." >&2
  exit 2
fi
mounts=("--volume=$here:$here")
mounted=("$here")
mount() { # folder: read by a run, or written by it
  local path=$1 known
  for known in "${mounted[@]}"; do
    case "$path/" in
      "$known"/*) return 0 ;;
    esac
  done
  mounts+=("--volume=$path:$path")
  mounted+=("$path")
}
existing() { # path: its folder, which it may be itself, or the one that it will be made in
  local path=$1
  case "$path" in
    /*) ;;
    .. | ../* | */../* | */..) path=$here/$path ;;
    *) return 0 ;;
  esac
  while [ ! -e "$path" ] && [ "$path" != / ]; do path=$(dirname "$path"); done
  # Not a file by itself: a run replaces its files, and a mount cannot be replaced.
  if [ ! -d "$path" ] && [ "$(dirname "$path")" != / ]; then path=$(dirname "$path"); fi
  if [ -d "$path" ]; then path=$(cd "$path" && pwd); fi
  [ "$path" = / ] || mount "$path"
}
all_of() { # value of a flag: one path, or several separated by commas
  local rest=$1,
  while [ -n "$rest" ]; do
    existing "${rest%%,*}"
    rest=${rest#*,}
  done
}
[ -z "${FLOWPRESS_DATA:-}" ] || existing "$FLOWPRESS_DATA"
if [ -f "$root/path.conf" ]; then
  mounts+=("--volume=$root/path.conf:/flowpress/path.conf:ro")
  while IFS= read -r path; do
    existing "$path"
  done < <(sed -n 's/^[^#=]*= *\(\/[^#]*[^# ]\) *\(#.*\)\{0,1\}$/\1/p' "$root/path.conf")
fi
for index in "${!flags[@]}"; do
  arg=${flags[$index]}
  case "$arg" in
    --*=*)
      value=${arg#*=} # home is another place in the container
      value=${value/#\~\//"$HOME"/}
      value=${value//,\~\//,"$HOME"/}
      flags[index]=${arg%%=*}=$value
      all_of "$value"
      ;;
    *) existing "$arg" ;;
  esac
done

options=(--rm --network=host "--workdir=$here" --env "HOME=/tmp")
[ "$engine" = podman ] || options+=("--user=$(id -u):$(id -g)")
if [ -t 0 ] && [ -t 1 ]; then options+=(--interactive --tty); fi
if command -v nvidia-smi >/dev/null 2>&1; then
  if [ "$engine" = docker ]; then options+=(--gpus=all); else options+=(--device=nvidia.com/gpu=all); fi
fi
[ -z "${FLOWPRESS_DATA:-}" ] || options+=(--env FLOWPRESS_DATA)
exec "$engine" run "${options[@]}" "${mounts[@]}" "$image" /flowpress/scripts/run_local.sh "${flags[@]}"
