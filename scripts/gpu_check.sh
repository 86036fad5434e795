#!/usr/bin/env bash
# The whole check on a machine with a GPU: golden values (f32 without TF32 within 1e-4, bf16 within 2e-2) and finite differences, the
# training curve of the processor, a loss of NaN, speed and memory beside PyTorch, 200 steps without leak, a 513 x 513 map, the CamVid
# script. One line a check, `PASS` or `FAIL`; ends with 1 if one failed.
#
#     scripts/gpu_check.sh [--device cuda|cuda:N|cpu] [--python PYTHON] [--camvid FOLDER] [--small] [--log FOLDER]
#
# --python    a Python with torch and segmentation-models-pytorch: ratios to PyTorch's times (without it, our times alone)
# --camvid    the CamVid folder: scripts/camvid.rhai end to end, 20 steps each
# --small     small sizes, to try this program itself; with `--device cpu` it runs anywhere, and bars of speed are reported, not judged
# GPU_CHECK_BUILD  how cargo is to build (default: `--features cuda` for a GPU; `--target ..` and RUSTFLAGS as for any build)
set -u
cd "$(dirname "$0")/.." || exit 2
device=cuda python="" camvid="" small="" log=""
while [ $# -gt 0 ]; do
    case $1 in
        --device) device=$2; shift ;;
        --python) python=$2; shift ;;
        --camvid) camvid=$2; shift ;;
        --log) log=$2; shift ;;
        --small) small=--small ;;
        -h|--help) sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' scripts/gpu_check.sh; exit 0 ;;
        *) echo "gpu_check: unknown option $1; see the head of $0" >&2; exit 2 ;;
    esac
    shift
done
log=${log:-$(mktemp -d)}
mkdir -p "$log" || exit 2
[ "$device" = cpu ] && build=${GPU_CHECK_BUILD:-} || build=${GPU_CHECK_BUILD:---features cuda}
failed=0
pass() { echo "PASS  $1"; }
fail() { echo "FAIL  $1"; failed=1; }
# check NAME CONDITION: judged by awk; a condition that is none fails
check() { if awk "BEGIN { exit !($2) }"; then pass "$1"; else fail "$1"; fi; }
# bar NAME CONDITION: a bar of speed or memory of a GPU, which only full sizes on a GPU can be held to
bar() { if [ -n "$small" ] || [ "$device" = cpu ]; then echo "----  $1 (not judged: ${small:+small sizes, }$device)"; else check "$1" "$2"; fi; }
# run NAME LOG COMMAND..: passes if the command does
run() {
    local name=$1 to=$log/$2; shift 2
    if "$@" >"$to" 2>&1; then pass "$name"; else fail "$name (see $to)"; tail -n 5 "$to" | sed 's/^/      /'; return 1; fi
}
# field NAME KEY FILE: a number of the JSON line of a workload whose name begins so
field() { sed -n "/\"name\":\"$1/s/.*\"$2\":\([-0-9.e+]*\).*/\1/p" "$3" | head -n 1; }

echo "gpu_check on $device, logs in $log"
# shellcheck disable=SC2086
run "build" build.log cargo build --release $build || exit 1
seglab=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
target=$(printf '%s\n' $build | sed -n '/^--target$/{n;p;}')
seglab=$seglab/${target:+$target/}release/seglab
"$seglab" info --device "$device" >"$log/info.log" 2>&1
# `info` ends well without a GPU too
if grep -Eq "^device: ${device%%:*}(:[0-9]+)?$" "$log/info.log"; then pass "the device opens"; else fail "the device opens"; fi
sed 's/^/      /' "$log/info.log"

# 1. Numbers. These tests run on every device there is; a GPU that is not there must not pass unnoticed.
[ "$device" = cpu ] || export SEGLAB_REQUIRE_GPU=1
for test in golden golden_losses golden_models gradients; do
    # shellcheck disable=SC2086
    run "tests/$test.rs" "$test.log" cargo test --release $build --test "$test" -- --test-threads=1
done
unset SEGLAB_REQUIRE_GPU

# 2. The training curve. Rounding grows from step to step, so the tolerance does.
steps=20; [ -n "$small" ] && steps=4
curve() {
    "$seglab" run scripts/gpu_check.rhai --device "$1" --tf32 "${4:-off}" --out "$log/run-$3" steps=$steps precision="$2" >"$log/$3.log" 2>&1
    sed -n 's/.*curve: //p' "$log/$3.log" >"$log/$3.curve"
}
curve cpu f32 curve-cpu; curve "$device" f32 curve-f32; curve "$device" f32 curve-tf32 on; curve "$device" bf16 curve-bf16
curve "$device" f32 curve-again
# A network with batch norm is chaotic: a learning rate changed by a millionth moves the processor's own losses by 4 % within 20 steps.
# So: the first step closely, the network without batch norm (SegFormer) throughout, the rest loosely.
compare() { # NAME CURVE FIRST SEGFORMER REST: largest relative differences to the processor's curve
    local lines; lines=$(wc -l <"$log/curve-cpu.curve")
    if [ "$lines" -ne $((3 * steps + 4)) ] || [ "$(wc -l <"$log/$2.curve")" -ne "$lines" ]; then
        fail "$1: a run ended early (see $log/$2.log, $log/curve-cpu.log)"; tail -n 3 "$log/$2.log" | sed 's/^/      /'; return
    fi
    local first transformer rest
    read -r first transformer rest < <(paste -d' ' "$log/curve-cpu.curve" "$log/$2.curve" | awk '$1 != "miou" {
        d = $3 - $6; if (d < 0) d = -d; m = $3 < 0 ? -$3 : $3; r = d / (m + 1e-3); if (r != r) r = 1e9
        kind = $2 == 0 && $1 != "finetune" ? 0 : $1 == "segformer" ? 1 : 2; if (r > most[kind]) most[kind] = r } END { print most[0] + 0, most[1] + 0, most[2] + 0 }')
    check "$1: largest relative difference of a first loss $first, allowed $3" "$first <= $3"
    check "$1: largest relative difference of SegFormer's losses $transformer, allowed $4" "$transformer <= $4"
    check "$1: largest relative difference of the other losses $rest, allowed $5" "$rest <= $5"
    if grep -q "broken: .*the loss is NaN at step 3 .*the state before this step is in" "$log/$2.log"; then
        pass "$1: a loss of NaN ends the run before its step"
    else
        fail "$1: a loss of NaN does not end the run before its step (see $log/$2.log)"
    fi
}
compare "training curve, f32" curve-f32 0.0001 0.001 0.15
compare "training curve, f32 with TF32" curve-tf32 0.002 0.02 0.15
compare "training curve, bf16" curve-bf16 0.02 0.05 0.2
scores() { # WHEN NUMBERS ALLOWED: largest difference of two mIoUs
    local off; off=$(paste -d' ' "$log/curve-cpu.curve" "$log/curve-f32.curve" | awk -v when="$2" '$1 == "miou" && index(when, $2) {
        n++; d = $3 - $6; if (d < 0) d = -d; if (d > most || d != d) most = d } END { print n == 2 ? most + 0 : "none" }')
    check "mIoU $1 training, plain and by windows: largest difference $off, allowed $3" "\"$off\" != \"none\" && $off + 0 <= $3"
}
scores before "0 1" 0.005
scores after "2 3" 0.06
if [ -s "$log/curve-f32.curve" ] && cmp -s "$log/curve-f32.curve" "$log/curve-again.curve"; then pass "same seed, same curve, digit by digit"; else fail "two runs of one seed differ"; fi

# 3. Speed and memory.
bench() { # LOG ARGUMENTS..
    local to=$log/$1; shift
    # shellcheck disable=SC2086
    env -u SEGLAB_PYTORCH cargo bench $build --bench versus_pytorch -- --device "$device" $small --json "$@" >"$to" 2>"$to.err" || fail "versus_pytorch $* (see $to.err)"
}
versus() { # LOG ARGUMENTS..: both sides in turn
    local to=$log/$1; shift
    # shellcheck disable=SC2086
    SEGLAB_PYTORCH=$python cargo bench $build --bench versus_pytorch -- --device "$device" --json "$@" >"$to" 2>"$to.err" || fail "versus_pytorch $* (see $to.err)"
}
for dtype in f32 bf16; do
    if [ -n "$python" ]; then
        prefix=""; [ -n "$small" ] && prefix=max_pool2d
        versus "speed-$dtype.json" --dtype $dtype --rounds 3 --only "$prefix"
        echo "      $dtype: workload, ours ms, PyTorch ms, ratio, ours MiB, PyTorch MiB"
        sed -n 's/.*"name":"\([^"]*\)".*/\1/p' "$log/speed-$dtype.json" | while read -r name; do
            printf '      %-44s' "$name"
            for key in ours_ms pytorch_ms ratio ours_peak_mib pytorch_peak_mib; do printf ' %9.2f' "$(field "$name\"" $key "$log/speed-$dtype.json")"; done
            echo
        done
        [ -s "$log/speed-$dtype.json" ] && pass "speed table, $dtype" || fail "speed table, $dtype"
        for entry in train_step_resnet50_16x3x512x512:1.0 pixel_contrast_obvious_1x16384x256:5.0 pixel_contrast_checkpointed_1x16384x256:1.5; do
            name=${entry%:*} least=${entry#*:}
            ratio=$(field "$name\"" ratio "$log/speed-$dtype.json")
            bar "$name, $dtype: ratio to PyTorch ${ratio:-none}, wanted $least" "${ratio:-0} >= $least"
        done
    else
        bench "speed-$dtype.json" --dtype $dtype --only train_step_
        sed 's/^/      /' "$log/speed-$dtype.json"
        [ -s "$log/speed-$dtype.json" ] && pass "our times, $dtype (no --python: no ratios)" || fail "our times, $dtype"
    fi
done
bench contrast.json --only pixel_contrast_checkpointed_1x
peak=$(field pixel_contrast_checkpointed_1x peak_mib "$log/contrast.json")
# 32 MiB of it are the two gradients
bar "pixel_contrast 1x16384x256: peak ${peak:-none} MiB beyond inputs, 32 of them gradients, allowed 64 more" "${peak:-1e9} <= 96"
bench map.json --only exact_map --runs 2
time=$(field exact_map median_ms "$log/map.json")
bar "a 513 x 513 map of 64 channels, exact: ${time:-none} ms, allowed 2000" "${time:-1e9} < 2000"
check "the exact map's loss was computed" "${time:-0} > 0"

# 4. 200 steps without leak: what is in use after the last beyond what was after the first.
runs=200; [ -n "$small" ] && runs=10
bench leak.json --only train_step_resnet18 --runs $runs
kept=$(field train_step_resnet18 kept_mib "$log/leak.json")
bar "$runs training steps: ${kept:-none} MiB more in use than after the first, allowed 1" "${kept:-1e9} <= 1"
check "$runs training steps ran" "$(field train_step_resnet18 median_ms "$log/leak.json" | grep . || echo 0) > 0"

# 5. The CamVid script.
if [ -n "$camvid" ]; then
    run "scripts/camvid.rhai" camvid.log "$seglab" run scripts/camvid.rhai --device "$device" --out "$log/camvid" data="$camvid" pretrain=1 steps=20 pretrain_steps=20
fi
[ $failed -eq 0 ] && echo "gpu_check: all passed" || echo "gpu_check: FAILED"
exit $failed
