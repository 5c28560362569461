#!/usr/bin/env bash
# On a machine with a real NVIDIA GPU: runs the probes on it and on the software GPU, and writes down the differences.
#
#   calibrate.sh [FOLDER]     FOLDER (default: target/calibration) receives real/, software/ and the page
#
# The software GPU's libraries are taken from LIBRARIES (a folder with libcuda.so.1 and libnvidia-ml.so.1), else built.
# CUDA (default: /usr/local/cuda) is where NVIDIA's headers and runtime are; with them calls.sh and runtime.sh run too.
# KEEP=NAME also replaces the record in tests/softgpu/record/NAME, against which `cargo xtask test` compares, and
# writes docs/softgpu-calibration.md. Takes about three minutes of an otherwise idle GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${1:-$root/target/calibration}
mkdir -p "$folder"

if [ -z "${LIBRARIES:-}" ]; then
    (cd "$root" && cargo build --release -p fastgpu-softgpu-cuda -p fastgpu-softgpu-nvml)
    LIBRARIES=$folder/lib
    mkdir -p "$LIBRARIES"
    cp "$root/target/release/libcuda.so" "$LIBRARIES/libcuda.so.1"
    cp "$root/target/release/libnvidia_ml.so" "$LIBRARIES/libnvidia-ml.so.1"
fi
echo "the real GPU …"
"$here/record.sh" "$folder/real" || echo "some probes did not end well on the real GPU"
echo "the software GPU …"
"$here/record.sh" "$folder/software" "$LIBRARIES" || echo "some probes did not end well on the software GPU"

cuda=${CUDA:-/usr/local/cuda}
if [ -f "$cuda/include/cuda.h" ]; then
    echo "what the software GPU's own tests expect of the real GPU …"
    "$here/calls.sh" "$cuda" | tee "$folder/calls.txt" || echo "it differs: see $folder/calls.txt"
    "$here/runtime.sh" "$cuda" | tee "$folder/runtime.txt" || echo "it differs: see $folder/runtime.txt"
else
    echo "$cuda/include/cuda.h is not there: calls.sh and runtime.sh are left out (CUDA=FOLDER names another place)"
fi

real=$folder/real
page=$folder/softgpu-calibration.md
if [ -n "${KEEP:-}" ]; then
    real=$here/record/$KEEP
    page=$root/docs/softgpu-calibration.md
    mkdir -p "$real"
    for record in "$folder"/real/*.txt; do
        # A device's own numbers are nobody's business.
        sed -E -e '/^raw\./d' -e 's/^(nvmlDeviceGetUUID|nvmlDeviceGetSerial) .*/\1 (its own)/' "$record" \
            >"$real/$(basename "$record")"
    done
fi
python3 "$here/compare.py" "$real" "$folder/software" --document "$page"
