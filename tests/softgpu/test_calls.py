"""Programs built with the driver's public header, which say for themselves what must hold: calls that no record of a
real GPU speaks of. They run on one as well (`calls.sh`)."""

import unittest

import machine

# What each program calls though it is not there: nothing, or exactly these.
PROGRAMS = {
    "kernels": [],
    "objects": [],
    "words": [],
    "nodes": ["cuGraphAddNode:conditional", "cuGraphAddNode:semaphore-wait"],
}


class CallsTest(unittest.TestCase):
    def holds(self, name, missing=(), words=()):
        with machine.SoftGpu("1xH100-80GB") as gpu:
            header = machine.wheel_folder() / "include"
            link = [f"-I{header}", f"-L{gpu.libraries}", "-l:libcuda.so.1", "-lpthread", "-ldl"]
            program = gpu.compile(machine.HERE / "calls" / f"{name}.c", name, *link)
            code, said = gpu.run([program, *words])
            self.assertEqual(0, code, said)
            self.assertRegex(said, r"[1-9]\d+ expectations, 0 failures\n$")
            self.assertEqual([], gpu.wrong(missing), "the ledger after the program")
            counted = [line.split()[1] for line in gpu.ask("check").splitlines() if line.startswith("unsupported")]
            self.assertEqual(sorted(missing), sorted(counted))

    def test_a_graph_whose_memory_is_gone_fails_its_context_and_not_the_program(self):
        for kind in ("kernel", "set", "copy", "words"):
            with self.subTest(kind):
                self.holds("gone", words=[kind])


def _a_test_for(name, missing):
    def test(self):
        self.holds(name, missing)

    test.__doc__ = f"calls/{name}.c: every expectation holds"
    return test


for _name, _missing in PROGRAMS.items():
    setattr(CallsTest, f"test_{_name}_hold", _a_test_for(_name, _missing))


if __name__ == "__main__":
    unittest.main()
