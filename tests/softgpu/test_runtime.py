"""NVIDIA's own CUDA runtime, from its wheel, against the software GPU: it is refused in order, and never crashes.

The runtime starts only on private tables of the driver, among them one by which the driver vouches for itself
(`cudaErrorSoftwareValidityNotEstablished` without it). The software GPU vouches for nothing and hands out no table.
So the programs in `runtime/` are built here both ways, and run in full where there is a real GPU (`runtime.sh`).
"""

import unittest

import machine

PROGRAMS = ["devices", "memory", "streams"]


class RuntimeTest(unittest.TestCase):
    def is_refused(self, name, *link):
        wheel = machine.wheel_folder()
        with machine.SoftGpu("2xH100-80GB") as gpu:
            source = machine.HERE / "runtime" / f"{name}.c"
            program = gpu.compile(source, name, f"-I{wheel / 'include'}", *link, "-lpthread", "-ldl", "-lrt")
            code, said = gpu.run([program, "refused"])
            self.assertEqual(0, code, said)
            self.assertIn("refused in order", said)
            self.assertEqual([], gpu.wrong(["cuGetExportTable"]), "the ledger after the program")
            self.assertIn("unsupported cuGetExportTable", gpu.ask("check"), "the refusal is counted by name")

    def is_refused_dynamically(self, name):
        library = machine.wheel_folder() / "lib"
        self.is_refused(name, f"-L{library}", "-l:libcudart.so.13", f"-Wl,-rpath,{library}")

    def is_refused_statically(self, name):
        self.is_refused(name, str(machine.wheel_folder() / "lib" / "libcudart_static.a"))


def _a_test_for(name, way):
    def test(self):
        getattr(self, f"is_refused_{way}")(name)

    return test


for _name in PROGRAMS:
    for _way in ("dynamically", "statically"):
        setattr(RuntimeTest, f"test_{_name}_of_the_runtime_linked_{_way}_is_refused_in_order", _a_test_for(_name, _way))


if __name__ == "__main__":
    unittest.main()
