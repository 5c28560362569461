"""CuPy on the software GPU: a lane of its own, since it is large to fetch.

    target/cuda-python/bin/pip install -r tests/softgpu/requirements-cupy.txt
    cd tests/softgpu && ../../target/cuda-python/bin/python -m unittest lane_cupy -v
"""

import textwrap
import unittest

import machine

CUPY = """
    import cupy
    import numpy

    assert cupy.cuda.runtime.getDeviceCount() == 2
    print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
    array = cupy.empty(1000, dtype=cupy.float32)
    array.set(numpy.arange(1000, dtype="float32"))
    assert array.get()[999] == 999
    copy = array.copy()
    assert copy.get()[5] == 5
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        zeros = cupy.cuda.alloc(4096)
        zeros.memset_async(0, 4096, stream)
    stream.synchronize()
    pool = cupy.get_default_memory_pool()
    assert pool.total_bytes() > 0
    del array, copy, zeros
    pool.free_all_blocks()
    cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
    later = cupy.empty(1 << 20, dtype=cupy.uint8)
    del later
    cupy.cuda.Device(0).synchronize()
    print("done")
"""


class CupyTest(unittest.TestCase):
    def test_cupy_allocates_copies_and_uses_pools(self):
        with machine.SoftGpu("2xH100-80GB") as gpu:
            code, said = gpu.python(textwrap.dedent(CUPY))
            self.assertEqual(0, code, said)
            self.assertEqual("done", said.strip().splitlines()[-1])
            self.assertEqual([], gpu.wrong(), "the ledger after the program")


if __name__ == "__main__":
    unittest.main()
