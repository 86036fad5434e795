#!/usr/bin/env bash
# Build the CUDA binary on a machine without GPU or CUDA toolkit: one binary that runs with and without a GPU.
#   scripts/build_cuda.sh OUT_FILE      CUDA_COMPUTE_CAP=90 by default; FULL=1 also compiles candle's GGUF/MoE kernels (17 min)
# The compiler comes from PyPI wheels, kept in $TK (default ~/.cache/cuda-13.0). The result loads the CUDA libraries at run time.
set -euo pipefail
[ $# = 1 ] || { echo "usage: scripts/build_cuda.sh OUT_FILE" >&2; exit 2; }
out=$(realpath -m "$1")
cd "$(dirname "$0")/.."
TK=${TK:-$HOME/.cache/cuda-13.0}
if [ ! -e "$TK/ok" ]; then
  rm -rf "$TK" && mkdir -p "$TK/bin" "$TK/lib"
  python3 -m pip install -q --no-deps --target "$TK/site" nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
  cu=$TK/site/nvidia/cu13
  ln -s "$cu/include" "$TK/include"
  # cudarc asks for these libraries at link time although it loads them at run time: empty archives satisfy the linker
  for l in cuda cublas cublasLt curand nvrtc cudnn nccl; do printf '!<arch>\n' > "$TK/lib/lib$l.a"; done
  ln -s "$cu/lib/libcudart_static.a" "$TK/lib/libcudart.a"
  cat > "$TK/bin/nvcc" <<'W'
#!/bin/bash
# the real nvcc; candle's quantised (GGUF, MoE) kernels, which training does not use, become empty unless FULL=1
real=$(dirname "$0")/../site/nvidia/cu13/bin/nvcc src=${!#}
[ "${FULL:-}" = 1 ] && exec "$real" "$@"
case $src in
  *mmq_gguf/*.cu | *mmvq_gguf.cu | *moe/*.cu)
    while [ $# -gt 1 ]; do [ "$1" = -o ] && o=$2; shift; done
    [[ $src == *moe_gguf.cu ]] &&
      body=$(grep -oE 'pub fn [a-z0-9_]+' src/ffi.rs | sort -u | awk '{print "void "$3"(void){__builtin_trap();}"}')
    exec gcc -x c -w -fPIC -c -o "$o" - <<< "${body:-}" ;;
  *candle-kernels*/src/quantized.cu | src/quantized.cu)
    while [ $# -gt 1 ]; do [ "$1" = --output-directory ] && o=$2; shift; done
    printf '.version 8.0\n.target sm_80\n.address_size 64\n' > "$o/quantized.ptx"; exit ;;
esac
exec "$real" "$@"
W
  chmod +x "$TK/bin/nvcc" && touch "$TK/ok"
fi
export CUDA_HOME=$TK PATH=$TK/bin:$PATH CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CUDAFORGE_THREADS=$(nproc)
export RUSTFLAGS='--cfg feature="dynamic-loading"'
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/cuda}
target=x86_64-unknown-linux-gnu
cargo build --release --locked --features cuda --target $target --bin seglab
strip -o "$out" "$CARGO_TARGET_DIR/$target/release/seglab"
ls -l "$out"; readelf -d "$out" | grep NEEDED
