#!/usr/bin/env bash
# Builds the probes, runs them against one driver, and writes what each printed to FOLDER/<probe>.txt.
#
#   record.sh FOLDER             the driver of this machine (a real NVIDIA GPU)
#   record.sh FOLDER LIBRARIES   the libcuda.so.1 and libnvidia-ml.so.1 in the folder LIBRARIES (the software GPU)
#
# PROBES="memory pools" runs only these. A probe that dies or hangs leaves what it printed and a last line that says so.
set -uo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
libraries=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
probes=${PROBES:-"attributes symbols context memory pools vmm ipc streams graphs timing slices gaps nvml load faults checkpoint"}
# Far more than any of them needs.
limit_s=90
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cuda=libcuda.so.1
if [ -n "$libraries" ]; then
    libraries=$(cd "$libraries" && pwd)
    cuda=$libraries/libcuda.so.1
    export PROBE_LIBCUDA=$cuda PROBE_LIBNVML=$libraries/libnvidia-ml.so.1
else
    cuda=$(ldconfig -p | awk '$1 == "libcuda.so.1" { print $NF; exit }')
    cuda=${cuda:-/usr/local/nvidia/lib64/libcuda.so.1}
fi

build() {
    ${CC:-cc} -std=gnu11 -O1 -Wall -Wextra -Werror -o "$work/$1" "$here/probes/$1.c" -ldl
}

run() {
    local probe=$1 program=$1 input=/dev/null words=()
    [ "$probe" = gaps ] && program=slices words=(gaps)
    if [ "$probe" = symbols ]; then
        input=$work/names
        nm -D --defined-only "$cuda" | awk '{ print $3 }' | sed 's/@.*//' | grep '^cu' >"$input"
    fi
    [ -x "$work/$program" ] || build "$program" || return 1
    # A ledger of its own for each, so that none sees what another left.
    [ -z "$libraries" ] || export FASTGPU_SOFTGPU_DIR=$work/ledger-$probe
    timeout "$limit_s" "$work/$program" "${words[@]}" <"$input" >"$folder/$probe.txt" 2>"$work/errors"
    local code=$?
    if [ $code -ne 0 ]; then
        echo "probe.ended_with $code" >>"$folder/$probe.txt"
        echo "$probe ended with $code: $(head -c 300 "$work/errors")" >&2
    fi
}

failed=0
for probe in $probes; do
    run "$probe" || failed=1
done
exit $failed
