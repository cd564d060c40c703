#!/usr/bin/env bash
# The check of a machine with a GPU: the tests that need one, single calls, and the benchmarks on the device.
# Needs torch with CUDA, torchmetrics, torchvision and pytest, and no network. Takes under 8 minutes.
#
#     benchmarks/gpu.sh [OUT [PROBLEM ...]]
#
# Tables and logs are copied to OUT, and the tables stay in benchmarks/results. Problems: all, or those named.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-$(mktemp -d)}
problems=("${@:2}")
[ ${#problems[@]} -gt 0 ] || problems=(detection_map detection_counts detection_collection instance_masks
    segmentation_int64 segmentation_uint8 segmentation_scores segmentation_masks)
device=${DETMETRICS_DEVICE:-cuda} # "cpu" tries the script itself
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
small=()
[ "$device" = cuda ] || small=(--small)
failed=0
mkdir -p "$out/results"
step() { printf '\n== %ss: %s\n' "$SECONDS" "$*"; }

step "tests"
timeout 150 "$python" -m pytest -q -m cuda tests -p no:cacheprovider --continue-on-collection-errors 2>&1 | tee "$out/tests.log" | tail -n 40 || failed=1

step "single calls"
timeout 120 "$python" -m benchmarks.gpu --device "$device" --operations "${small[@]}" >"$out/calls.log" 2>&1 || failed=1
grep '^|' "$out/calls.log" || tail -n 20 "$out/calls.log"

step "benchmarks"
for problem in "${problems[@]}"; do
    if [ "$device" = cuda ]; then
        timeout 120 "$python" -m benchmarks.run --problem "$problem" --device cuda --rounds 1 \
            2>>"$out/benchmarks.log" | grep '^|' || failed=1
    else
        "$python" -m benchmarks.run --problem "$problem" --smoke 2>>"$out/benchmarks.log" || failed=1
    fi
done

cp benchmarks/results/*-cuda.* "$out/results" 2>/dev/null
step "done, failed: $failed"
exit "$failed"
