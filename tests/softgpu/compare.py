"""Compares what the probes printed on the software GPU with the record of a real one.

    compare.py REAL OURS                     lists every difference without a stated reason; ends 1 if there is one
    compare.py REAL OURS --document FILE     writes docs/softgpu-calibration.md besides

REAL and OURS are folders of `<probe>.txt` with `name value` lines, as `record.sh` leaves them. `time.` lines are
measurements: shown side by side, never judged. `raw.` lines are for people. Every other line must be equal unless
`differs.txt` says why it is not; a reason that no difference needs any more is an error too.
"""

import argparse
import collections
import fnmatch
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
# Probes that only real hardware can answer, with the reason.
REAL_ONLY = {"gaps": "a kernel of the software GPU cannot watch the clock from inside"}

Difference = collections.namedtuple("Difference", "probe name real ours pattern reason")


def read(path):
    """The `name value` lines of one record, in order; a name that comes twice keeps both, numbered."""
    lines = {}
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        if not name or name.startswith("raw."):
            continue
        unique, turn = name, 2
        while unique in lines:
            unique, turn = f"{name}#{turn}", turn + 1
        lines[unique] = value
    return lines


def reasons(path=HERE / "differs.txt"):
    """[(pattern, reason)]: the pattern is matched against `probe:name`; the first that matches counts."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, bar, reason = line.partition("|")
        if not bar or not reason.strip():
            raise ValueError(f"{path.name}:{number}: a line is `pattern | reason`")
        found.append((pattern.strip(), reason.strip()))
    return found


def is_measurement(name):
    return name.startswith("time.")


def differences(probe, real, ours, known):
    """Every line that is not equal, with its reason or None."""
    found = []
    for name in [*real, *(name for name in ours if name not in real)]:
        left, right = real.get(name, "(absent)"), ours.get(name, "(absent)")
        if is_measurement(name) or left == right:
            continue
        key = f"{probe}:{name}"
        fits = (one for one in known if fnmatch.fnmatchcase(key, one[0]))
        found.append(Difference(probe, name, left, right, *next(fits, (None, None))))
    return found


def compare(real_folder, ours_folder, probes=None):
    """(differences, count of equal lines by probe, measurements by probe, reasons that nothing needed)"""
    known = reasons()
    found, equal, measured, used = [], {}, {}, set()
    for path in sorted(pathlib.Path(real_folder).glob("*.txt")):
        probe = path.stem
        if probe in REAL_ONLY or (probes and probe not in probes):
            continue
        ours_path = pathlib.Path(ours_folder) / path.name
        if not ours_path.exists():
            found.append(Difference(probe, "(the probe)", "ran", "did not run", None, None))
            continue
        real, ours = read(path), read(ours_path)
        different = differences(probe, real, ours, known)
        found += different
        judged = sum(1 for name in real if not is_measurement(name))
        equal[probe] = judged - sum(1 for one in different if one.name in real)
        measured[probe] = [(n, real[n], ours[n]) for n in real if is_measurement(n) and n in ours]
        used |= {one.pattern for one in different}
    stale = [] if probes else [f"{pattern} | {why}" for pattern, why in known if pattern not in used]
    return found, equal, measured, stale


def cell(text):
    return text.replace("|", "\\|")


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell(str(one)) for one in row) + " |"
    yield ""


def document(real_folder, found, equal, measured):
    """The page, as lines."""
    facts = read(pathlib.Path(real_folder) / "attributes.txt")
    system = read(pathlib.Path(real_folder) / "nvml.txt")
    yield "# How the software GPU differs from a real one"
    yield ""
    yield "Written by `tests/softgpu/calibrate.sh`; change the software GPU or `tests/softgpu/differs.txt`, not this page."
    yield ""
    yield f"Real: {facts['device.name']}, driver {system['system.driver']}, CUDA {facts['driver.version']}. The same programs"
    yield "(`tests/softgpu/probes`) ran on it and on the software GPU that stands in for that model. Each prints"
    yield "`name value` lines; below is every line that is not the same, and why. `cargo xtask test` repeats the"
    yield "comparison against the record of the real device in `tests/softgpu/record` and fails on a difference without"
    yield "a reason."
    yield ""
    yield "## In numbers"
    yield ""
    by_probe = collections.Counter(one.probe for one in found)
    yield from table(["probe", "lines that agree", "lines that differ"], [(p, equal[p], by_probe[p]) for p in equal])
    yield "## What differs, and why"
    yield ""
    grouped = {}
    for one in found:
        grouped.setdefault(one.reason or "**no reason is stated**", []).append(one)
    for reason, ones in grouped.items():
        yield f"### {reason}"
        yield ""
        yield from table(["probe", "what", "real", "software GPU"], [(o.probe, o.name, o.real, o.ours) for o in ones[:40]])
        if len(ones) > 40:
            yield f"… and {len(ones) - 40} more of the same kind."
            yield ""
    yield "## Measured, not judged"
    yield ""
    yield "Times of calls and of what NVML notices, as the names say; both were measured on the same machine."
    yield ""
    for probe, rows in measured.items():
        if rows:
            yield f"### {probe}"
            yield ""
            yield from table(["what", "real", "software GPU"], [(n.removeprefix("time."), a, b) for n, a, b in rows])
    yield "## What does not run on it"
    yield ""
    yield "NVIDIA's CUDA runtime (`libcudart`, and with it CuPy, PyTorch and `cuda.bindings.runtime`) asks the driver for"
    yield "private tables when it starts, and by one of them has the driver vouch that it is NVIDIA's own and untouched; without"
    yield "that it answers `cudaErrorSoftwareValidityNotEstablished`. The software GPU vouches for nothing and refuses such"
    yield "tables like any unknown one, so the runtime answers `cudaErrorInvalidValue` and goes no further. Programs that"
    yield "talk to the driver itself run: C, `cuda.bindings.driver`, the graphs of `cuda.core`, numba's arrays and streams."
    yield "Machine code and PTX are not executed; kernels are the built-in ones, by name."
    yield ""
    yield "## Only on real hardware"
    yield ""
    for probe, why in REAL_ONLY.items():
        yield f"`{probe}`: {why}. The real device says:"
        yield ""
        lines = read(pathlib.Path(real_folder) / f"{probe}.txt")
        yield from table(["what", "real"], lines.items())


def main():
    parser = argparse.ArgumentParser(description="compare a real GPU's record with the software GPU's")
    parser.add_argument("real", type=pathlib.Path)
    parser.add_argument("ours", type=pathlib.Path)
    parser.add_argument("--document", type=pathlib.Path)
    words = parser.parse_args()
    found, equal, measured, stale = compare(words.real, words.ours)
    if words.document:
        lines = document(words.real, found, equal, measured)
        words.document.write_text("\n".join(lines).rstrip() + "\n")
    unexplained = [one for one in found if not one.reason]
    for one in unexplained:
        print(f"{one.probe}:{one.name}: real {one.real!r}, software GPU {one.ours!r}")
    for line in stale:
        print(f"differs.txt: nothing needs this any more: {line}")
    print(f"{sum(equal.values())} lines agree, {len(found)} differ, {len(unexplained)} of them without a reason")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
