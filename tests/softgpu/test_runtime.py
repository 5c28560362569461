"""NVIDIA's own CUDA runtime against the software GPU.

Runtime 10.2 runs on it in full: devices, memory, streams, events, graphs, even kernels whose text is known.
From 11.2 on the runtime starts only if the driver vouches to be NVIDIA's own and untouched
(`cudaErrorSoftwareValidityNotEstablished`). The software GPU vouches for nothing, so those are refused, in order.
The same programs run on a real GPU with any runtime (`runtime.sh`).
"""

import unittest

import machine

PROGRAMS = ["devices", "memory", "streams", "kernels"]
LAST = ["-lpthread", "-ldl", "-lrt"]


class RuntimeTest(unittest.TestCase):
    def runs_on_ten(self, name):
        with machine.SoftGpu("2xH100-80GB") as gpu:
            gpu.with_runtime_ten()
            source = machine.HERE / "runtime" / f"{name}.c"
            header = machine.HERE / "runtime" / "ten"
            program = gpu.compile(source, name, f"-I{header}", f"-L{gpu.libraries}", "-l:libcudart.so.10.2", *LAST)
            code, said = gpu.run([program])
            self.assertEqual(0, code, said)
            self.assertRegex(said, r"^\d\d+ expectations, 0 failures$")
            self.assertEqual([], gpu.wrong(), "the ledger after the program")

    def is_refused(self, name, *link):
        wheel = machine.wheel_folder()
        with machine.SoftGpu("2xH100-80GB") as gpu:
            source = machine.HERE / "runtime" / f"{name}.c"
            program = gpu.compile(source, name, f"-I{wheel / 'include'}", *link, *LAST)
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


def _on_ten(name):
    def test(self):
        self.runs_on_ten(name)

    return test


def _refused(name, way):
    def test(self):
        getattr(self, f"is_refused_{way}")(name)

    return test


for _name in PROGRAMS:
    setattr(RuntimeTest, f"test_{_name}_of_runtime_10_2_work", _on_ten(_name))
    for _way in ("dynamically", "statically"):
        setattr(RuntimeTest, f"test_{_name}_of_the_runtime_linked_{_way}_is_refused_in_order", _refused(_name, _way))


if __name__ == "__main__":
    unittest.main()
