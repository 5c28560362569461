#!/usr/bin/env bash
# On a machine with a real NVIDIA GPU: builds the programs against NVIDIA's CUDA runtime both ways and runs them.
#
#   runtime.sh [CUDA]     CUDA holds include/ and lib/ (the wheel's nvidia/cu13) or lib64/; default /usr/local/cuda
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cuda=${1:-/usr/local/cuda}
library=$(dirname "$(find -L "$cuda/lib64" "$cuda/lib" -name libcudart_static.a 2>/dev/null | head -1)")
shared=$(find -L "$library" -name 'libcudart.so*' | sort | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for source in "$here"/runtime/*.c; do
    name=$(basename "$source" .c)
    cc -std=gnu11 -O1 -I"$cuda/include" -o "$work/$name-static" "$source" "$library/libcudart_static.a" -lpthread -ldl -lrt
    cc -std=gnu11 -O1 -I"$cuda/include" -o "$work/$name-shared" "$source" "$shared" -Wl,-rpath,"$library" -lpthread
    for program in "$work/$name-static" "$work/$name-shared"; do
        said=$("$program") || failed=1
        echo "$(basename "$program"): $said"
    done
done
exit $failed
