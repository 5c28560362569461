#!/usr/bin/env bash
# On a machine with a real NVIDIA GPU: builds the programs of calls/ with NVIDIA's header and runs them on its driver.
#
#   calls.sh [CUDA]     CUDA holds include/cuda.h (the wheel's nvidia/cu13); default /usr/local/cuda
#
# Each line that is not so is a difference between the software GPU and this one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cuda=${1:-/usr/local/cuda}
driver=$(ldconfig -p | awk '$1 == "libcuda.so.1" { print $NF; exit }')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FASTGPU_SOFTGPU_DIR
failed=0
for source in "$here"/calls/*.c; do
    name=$(basename "$source" .c)
    cc -std=gnu11 -O1 -I"$cuda/include" -o "$work/$name" "$source" "${driver:-/usr/local/nvidia/lib64/libcuda.so.1}" -lpthread -ldl
    echo "$name:"
    words=("")
    [ "$name" = gone ] && words=(kernel set copy words)
    for word in "${words[@]}"; do
        "$work/$name" $word || failed=1
    done
done
exit $failed
