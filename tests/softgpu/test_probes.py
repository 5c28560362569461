"""The software GPU answers what the recorded real one answered, but for what differs.txt gives a reason for."""

import pathlib
import subprocess
import tempfile
import unittest

import compare
import machine

RECORD = machine.HERE / "record" / "h100"
# The rest measures for a long time, or asks what only hardware knows; calibrate.sh runs them all.
QUICK = ["attributes", "symbols", "context", "memory", "pools", "vmm", "ipc", "streams", "graphs", "nvml", "faults", "checkpoint"]


class ProbesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gpu = machine.SoftGpu()
        cls.folder = tempfile.TemporaryDirectory(prefix="fastgpu-probes-")
        subprocess.run(
            [machine.HERE / "record.sh", cls.folder.name, cls.gpu.libraries],
            env=cls.gpu.environment(PROBES=" ".join(QUICK)), timeout=600, capture_output=True, check=False,
        )

    @classmethod
    def tearDownClass(cls):
        cls.gpu.__exit__()
        cls.folder.cleanup()

    def agrees(self, probe):
        ours = pathlib.Path(self.folder.name)
        found, equal, _, _ = compare.compare(RECORD, ours, [probe])
        unexplained = [f"{d.name}: real {d.real!r}, ours {d.ours!r}" for d in found if not d.reason]
        self.assertEqual([], unexplained[:20], f"{len(unexplained)} lines of {probe} differ without a reason")
        self.assertGreater(equal[probe], 10)

    def test_every_reason_for_a_difference_is_still_needed(self):
        known = compare.reasons()
        used = set()
        for probe in QUICK:
            real, ours = (compare.read(pathlib.Path(f) / f"{probe}.txt") for f in (RECORD, self.folder.name))
            used |= {one.pattern for one in compare.differences(probe, real, ours, known)}
        slow = tuple(f"{probe}:" for probe in ("timing", "slices", "load"))
        stale = [pattern for pattern, _ in known if pattern not in used and not pattern.startswith(slow)]
        self.assertEqual([], stale)


def _a_test_for(probe):
    def test(self):
        self.agrees(probe)

    test.__doc__ = f"{probe}: as on the real device"
    return test


for _probe in QUICK:
    setattr(ProbesTest, f"test_{_probe}_as_on_the_real_device", _a_test_for(_probe))


class ComparerTest(unittest.TestCase):
    def test_a_line_that_differs_without_a_reason_is_found(self):
        found = compare.differences("p", {"a": "1", "b": "2"}, {"a": "1", "b": "3"}, [])
        self.assertEqual([("b", "2", "3", None)], [(d.name, d.real, d.ours, d.reason) for d in found])

    def test_a_line_that_one_side_lacks_is_found(self):
        found = compare.differences("p", {"a": "1"}, {"b": "1"}, [])
        self.assertEqual(["a", "b"], [d.name for d in found])

    def test_a_reason_is_given_to_the_lines_its_pattern_fits(self):
        found = compare.differences("p", {"a.1": "1", "b": "1"}, {"a.1": "2", "b": "2"}, [("p:a.*", "because")])
        self.assertEqual(["because", None], [d.reason for d in found])

    def test_measurements_are_not_judged(self):
        self.assertEqual([], compare.differences("p", {"time.x": "1"}, {"time.x": "2"}, []))


if __name__ == "__main__":
    unittest.main()
