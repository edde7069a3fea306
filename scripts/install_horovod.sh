#!/usr/bin/env bash
# Build Horovod for the installed TensorFlow and install it; needed once for several workers:
#   ./scripts/install_horovod.sh
# Options: --mpi builds with MPI besides Gloo, --nccl for GPUs with NCCL, --rebuild ignores what was
# built before, --python=PATH installs for another Python than the checkout's .venv. The wheel is
# kept in ${XDG_CACHE_HOME:-~/.cache}/flowpress/horovod, so that the next time takes seconds.
set -euo pipefail

version=0.28.1
root=$(cd "$(dirname "$0")/.." && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=$(command -v python3 || true)
mpi=0 nccl=0 rebuild=0
for arg in "$@"; do
  case "$arg" in
    --mpi) mpi=1 ;;
    --nccl) nccl=1 ;;
    --rebuild) rebuild=1 ;;
    --python=*) python=${arg#--python=} ;;
    *)
      echo "error: unknown option $arg. Known: --mpi, --nccl, --rebuild, --python=PATH." >&2
      exit 2
      ;;
  esac
done

fail() {
  echo "error: $*" >&2
  exit 1
}

"$python" -c 'import sys' 2>/dev/null || fail "there is no Python at '$python'. Run make install first, or give --python=PATH."
facts=$("$python" - <<'END' 2>/dev/null
import importlib.metadata as m, sys, sysconfig
tf = next(n for n in ("tensorflow", "tensorflow-cpu") if any(d.metadata["Name"] == n for d in m.distributions()))
print(f"cp{sys.version_info[0]}{sys.version_info[1]}-tf{m.version(tf)}-{sysconfig.get_platform()}")
END
) || fail "$python has no TensorFlow, which Horovod is built for. Run make install first."
kind=gloo
[ "$mpi" = 1 ] && kind=$kind-mpi
[ "$nccl" = 1 ] && kind=$kind-nccl
cache="${XDG_CACHE_HOME:-$HOME/.cache}/flowpress/horovod/$version+2-$facts-$kind"  # +2: changes made
pip=("$python" -m pip --quiet --disable-pip-version-check)

missing() { # program, package
  command -v "$1" >/dev/null 2>&1 || fail "$1 is missing, which builds Horovod. Install it: apt-get install $2 (dnf install $3)."
}

build() {
  missing cmake cmake cmake
  missing make make make
  missing g++ g++ gcc-c++
  [ "$mpi" = 0 ] || missing mpicxx libopenmpi-dev openmpi-devel
  [ "$nccl" = 0 ] || missing nvcc nvidia-cuda-toolkit cuda-nvcc
  work=$(mktemp -d "${TMPDIR:-/tmp}/horovod.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  local log=$cache.log
  mkdir -p "$(dirname "$cache")"
  echo "Building Horovod $version for $facts ($kind): about 5 minutes; the log is $log"
  # Its set-up is of an age when setuptools still had pkg_resources.
  "${pip[@]}" install --target "$work/tools" 'setuptools<81' wheel packaging >"$log" 2>&1 \
    || fail "setuptools could not be fetched: $(tail -n 1 "$log")"
  PYTHONPATH=$work/tools "${pip[@]}" download --no-deps --no-binary horovod --no-build-isolation \
    --dest "$work" "horovod==$version" >>"$log" 2>&1 \
    || fail "the source of Horovod could not be fetched: $(grep -v '^ ' "$log" | tail -n 1)"
  tar -xzf "$work/horovod-$version.tar.gz" -C "$work"
  # XLA's operations of Horovod do not compile with TensorFlow 2.21, and are not used.
  change horovod/tensorflow/CMakeLists.txt '/xla_mpi_ops\.cc/d'
  # Process sets forget the chosen network interface and take the one of the host's name, which on
  # many machines is 127.0.0.1: workers of several machines would not find each other.
  change horovod/common/gloo/gloo_context.cc \
    '/::InitializeForProcessSet/,/CreateDevice/s/= gloo_iface_;/= global_context.gloo_iface_;/'
  local settings=(HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
    HOROVOD_WITH_GLOO=1 CMAKE_POLICY_VERSION_MINIMUM=3.5 "MAKEFLAGS=${MAKEFLAGS:--j$(nproc 2>/dev/null || echo 2)}")
  if [ "$mpi" = 1 ]; then settings+=(HOROVOD_WITH_MPI=1); else settings+=(HOROVOD_WITHOUT_MPI=1); fi
  [ "$nccl" = 0 ] || settings+=(HOROVOD_GPU_OPERATIONS=NCCL)
  env "${settings[@]}" "PYTHONPATH=$work/tools" "$python" -m pip --disable-pip-version-check wheel --verbose \
    --no-deps --no-build-isolation --wheel-dir "$work/wheel" "$work/horovod-$version" >>"$log" 2>&1 \
    || fail "$(why "$log")"
  rm -rf "$cache.new"
  mkdir -p "$cache.new"
  mv "$work"/wheel/horovod-*.whl "$cache.new/"
  rm -rf "$cache"
  mv "$cache.new" "$cache"
}

change() { # file of the source, sed's expression
  local file="$work/horovod-$version/$1"
  sed "$2" "$file" >"$file.new" || fail "the source of Horovod has no $1."
  ! cmp -s "$file" "$file.new" || fail "the source of Horovod is not the one that is known: see $1."
  mv "$file.new" "$file"
}

why() { # log
  local log=$1
  if grep -q 'Could NOT find NCCL' "$log"; then
    echo "NCCL is missing. Install it: apt-get install libnccl-dev. The log is $log"
  elif grep -q 'Could NOT find MPI' "$log"; then
    echo "MPI is missing. Install it: apt-get install libopenmpi-dev. The log is $log"
  elif grep -qi 'fatal error: Python.h' "$log"; then
    echo "Python's headers are missing. Install them: apt-get install python3-dev. The log is $log"
  elif grep -qiE 'No space left|Killed signal|internal compiler error' "$log"; then
    echo "this machine has too little memory or disk to build Horovod. Try again with MAKEFLAGS=-j1. The log is $log"
  else
    echo "Horovod could not be built: $(grep -iE 'error' "$log" | tail -n 1). The log is $log"
  fi
}

wheel() { find "$cache" -name 'horovod-*.whl' 2>/dev/null | head -n 1; }

if [ "$rebuild" = 1 ] || [ -z "$(wheel)" ]; then
  build
fi
digest=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$(wheel)")
stamp=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/flowpress-horovod
# horovodrun names the Python that it was installed for: it does not run where that was moved.
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && "$(dirname "$python")/horovodrun" --version >/dev/null 2>&1; then
  echo "Horovod $version ($kind) is installed already."
  exit 0
fi
# Horovod alone is replaced; what it needs besides is taken as it is where it is there.
"${pip[@]}" install --no-deps --force-reinstall "$(wheel)" || fail "Horovod could not be installed for $python."
"${pip[@]}" install -c "$root/requirements.lock" cloudpickle psutil pyyaml packaging \
  || fail "what Horovod needs besides (cloudpickle, psutil, pyyaml, packaging) could not be installed."

echo "Trying two workers"
check=$(mktemp "${TMPDIR:-/tmp}/horovod-check.XXXXXX")
trap 'rm -rf "$check" ${work:+"$work"}' EXIT
if ! TF_CPP_MIN_LOG_LEVEL=3 "$(dirname "$python")/horovodrun" --gloo -np 2 "$python" -c '
import horovod.tensorflow as hvd, tensorflow as tf
hvd.init()
sums = hvd.grouped_allreduce([tf.constant([1.0 + hvd.rank()]), tf.constant([10.0])], op=hvd.Sum)
assert hvd.size() == 2 and [float(each[0]) for each in sums] == [3.0, 20.0], sums
' >"$check" 2>&1; then
  tail -n 20 "$check" >&2
  fail "Horovod is installed, but two workers could not add two numbers."
fi
printf '%s\n' "$digest" >"$stamp"
echo "Horovod $version ($kind) works: ./scripts/run_local.sh nets/X_run.py -n=2 …"
