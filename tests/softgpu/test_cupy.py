"""CuPy, with NVIDIA's own runtime 10.2 under it: it finds the devices, allocates, copies and launches kernels.

Its libraries for linear algebra are on no package index for that version; empty ones stand in for them, of which
nothing is called here.
"""

import subprocess
import textwrap
import unittest

import machine

# What CuPy is linked with, and nothing here calls.
ABSENT = ["libcublas.so.10", "libcufft.so.10", "libcurand.so.10", "libcusolver.so.10", "libcusparse.so.10",
          "libnvrtc.so.10.2"]

ARRAYS = """
    assert cupy.cuda.runtime.runtimeGetVersion() == 10020
    assert cupy.cuda.runtime.getDeviceCount() == 2
    print(cupy.cuda.runtime.getDeviceProperties(1)["name"].decode())
    values = numpy.arange(1_000_000, dtype=numpy.float32)
    first = cupy.asarray(values)
    assert (first.get() == values).all()
    assert cupy.get_default_memory_pool().used_bytes() >= values.nbytes
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        second = cupy.empty_like(first)
        second.data.copy_from_device_async(first.data, first.nbytes, stream)
    stream.synchronize()
    assert (second.get() == values).all()
    with cupy.cuda.Device(1):
        assert (cupy.asarray(values).get() == values).all()
    free, total = cupy.cuda.Device(0).mem_info
    assert total - free >= 2 * values.nbytes
    assert cupy.cuda.alloc_pinned_memory(4096).mem.size == 4096
    try:
        cupy.empty(1 << 38, dtype=cupy.uint8)
        raise AssertionError("256 GiB were allocated")
    except cupy.cuda.memory.OutOfMemoryError:
        pass
"""

KERNELS = """
    print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
    values = numpy.arange(100_000, dtype=numpy.float32)
    x, y = cupy.asarray(values), cupy.asarray(values[::-1].copy())
    module = cupy.RawModule(path=sys.argv[1])
    module.get_function("saxpy")((391,), (256,), (numpy.uint64(values.size), numpy.float32(2.5), x, y))
    assert (y.get() == numpy.float32(2.5) * values + values[::-1]).all()
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        begin.record()
        module.get_function("busy")((1,), (1,), (numpy.uint64(2000),))
        end.record()
    end.synchronize()
    assert cupy.cuda.get_elapsed_time(begin, end) >= 2.0
    with stream:
        stream.begin_capture()
        module.get_function("saxpy")((391,), (256,), (numpy.uint64(values.size), numpy.float32(1.0), x, y))
        graph = stream.end_capture()
    for turn in range(2):
        graph.launch(stream)
    stream.synchronize()
    assert (y.get()[:9] == 4.5 * values[:9] + values[::-1][:9]).all()
"""


def build_empty(folder, name):
    """A library with nothing but its name and the version that those who are linked with it ask for."""
    script = folder / f"{name}.map"
    script.write_text(f"{name} {{ global: *; }};\n")
    words = ["cc", "-shared", "-x", "c", "-", f"-Wl,-soname,{name}", f"-Wl,--version-script={script}"]
    subprocess.run([*words, "-o", folder / name], input="int nothing;\n", text=True, check=True, timeout=60)


class CupyTest(unittest.TestCase):
    def works(self, program, *words):
        # What is not there must not be missed before it is called.
        start = "import os, sys\nsys.setdlopenflags(os.RTLD_LAZY)\nimport cupy, numpy\n"
        with machine.SoftGpu("2xH100-80GB") as gpu:
            gpu.with_runtime_ten()
            for name in ABSENT:
                build_empty(gpu.libraries, name)
            environment = {"PYTHONPATH": str(machine.beside("cupy")), "CUPY_CACHE_DIR": str(gpu.folder / "cache")}
            code, said = gpu.python(start + textwrap.dedent(program) + "print('done')\n", *words, **environment)
            self.assertEqual(0, code, said)
            self.assertEqual("done", said.strip().splitlines()[-1])
            self.assertIn("H100", said)
            self.assertEqual([], gpu.wrong(), "the ledger after the program")

    def test_arrays_are_allocated_and_copied(self):
        self.works(ARRAYS)

    def test_kernels_of_a_module_run_and_are_captured(self):
        self.works(KERNELS, machine.ROOT / "crates" / "kernels" / "src" / "kernels.ptx")


if __name__ == "__main__":
    unittest.main()
