"""NVIDIA's own CUDA runtime, from its wheel, runs on the software GPU: linked as a library and into the program."""

import unittest

import machine

PROGRAMS = ["devices", "memory", "streams"]


class RuntimeTest(unittest.TestCase):
    def works(self, name, *link):
        wheel = machine.wheel_folder()
        with machine.SoftGpu("2xH100-80GB") as gpu:
            source = machine.HERE / "runtime" / f"{name}.c"
            program = gpu.compile(source, name, f"-I{wheel / 'include'}", *link, "-lpthread", "-ldl", "-lrt")
            code, said = gpu.run([program])
            self.assertEqual(0, code, said)
            self.assertRegex(said, r"\b[1-9]\d+ expectations, 0 failures")
            self.assertEqual([], gpu.wrong(), "the ledger after the program")

    def works_dynamically(self, name):
        library = machine.wheel_folder() / "lib"
        self.works(name, f"-L{library}", "-l:libcudart.so.13", f"-Wl,-rpath,{library}")

    def works_statically(self, name):
        self.works(name, str(machine.wheel_folder() / "lib" / "libcudart_static.a"))


def _a_test_for(name, way):
    def test(self):
        getattr(self, f"works_{way}")(name)

    return test


for _name in PROGRAMS:
    for _way in ("dynamically", "statically"):
        setattr(RuntimeTest, f"test_{_name}_of_the_runtime_linked_{_way}", _a_test_for(_name, _way))


if __name__ == "__main__":
    unittest.main()
