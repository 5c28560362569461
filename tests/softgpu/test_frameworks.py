"""Python's ways to a GPU over the driver import, find the device and allocate on the software GPU, as far as no
compiled kernel is needed. What goes through NVIDIA's runtime is in test_runtime.py and test_cupy.py."""

import sys
import textwrap
import unittest

import machine

BINDINGS = """
    from cuda.bindings import driver

    def call(answer):
        assert int(answer[0]) == 0, answer
        return answer[1] if len(answer) == 2 else answer[1:]

    call(driver.cuInit(0))
    assert call(driver.cuDriverGetVersion()) == 13000
    assert call(driver.cuDeviceGetCount()) == 2
    device = call(driver.cuDeviceGet(1))
    print(call(driver.cuDeviceGetName(64, device)).rstrip(b"\\0").decode())
    context = call(driver.cuDevicePrimaryCtxRetain(device))
    call(driver.cuCtxSetCurrent(context))
    stream = call(driver.cuStreamCreate(1))
    memory = call(driver.cuMemAlloc(1 << 20))
    source, back = bytearray(b"software" * 16), bytearray(128)
    call(driver.cuMemcpyHtoDAsync(memory, source, 128, stream))
    call(driver.cuMemcpyDtoHAsync(back, memory, 128, stream))
    call(driver.cuStreamSynchronize(stream))
    assert back == source, back
    later = call(driver.cuMemAllocAsync(1 << 20, stream))
    call(driver.cuMemFreeAsync(later, stream))
    call(driver.cuStreamSynchronize(stream))
    refused = driver.cuMemAlloc(1 << 45)
    assert refused[0] == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY, refused
    call(driver.cuMemFree(memory))
    call(driver.cuStreamDestroy(stream))
    call(driver.cuDevicePrimaryCtxRelease(device))
    print("done")
"""

CORE = """
    import os
    import tempfile
    import numpy
    from cuda.bindings import driver
    from cuda.core import Device, LaunchConfig, ObjectCode, launch
    from cuda.core.graph import GraphDefinition

    device = Device(0)
    device.set_current()
    print(device.name)
    stream = device.create_stream()
    memory = device.memory_resource.allocate(4096, stream=stream)
    at = int(memory.handle)
    HEAD = ".version 7.5\\n.target sm_75\\n.address_size 64\\n"
    FILL = ".visible .entry fill(.param .u64 ptr, .param .u32 value, .param .u64 words) { ret; }\\n"
    fill = ObjectCode.from_ptx((HEAD + FILL).encode()).get_kernel("fill")
    config = LaunchConfig(grid=2, block=32)
    heard = []

    def filled(where, value, words):
        return where, numpy.uint32(value), numpy.uint64(words)

    def becomes(run, *words):
        run.launch(stream)
        stream.sync()
        back = numpy.zeros(len(words), dtype=numpy.uint32)
        assert int(driver.cuMemcpyDtoH(back.ctypes.data, at, back.nbytes)[0]) == 0
        assert back.tolist() == list(words), back

    # Nodes by hand: kernel, callback, memset, events, copies, memory of the graph's own.
    graph = GraphDefinition()
    kernel = graph.launch(config, fill, *filled(memory, 7, 4))
    event = device.create_event()
    waited = kernel.callback(lambda: heard.append(1)).memset(at, numpy.uint32(9), 1).record(event).wait(event)
    own = waited.memcpy(at + 4, at, 4).allocate(4096)
    moved = own.launch(config, fill, *filled(own.dptr, 3, 2)).memcpy(at + 8, own.dptr, 8)
    moved.deallocate(own.dptr)
    assert kernel.config.grid == (2, 1, 1) and kernel.block == (32, 1, 1)
    assert waited.event == event and own.bytesize == 4096
    assert (len(graph.nodes()), len(graph.edges())) == (10, 9)
    run = graph.instantiate()
    run.upload(stream)
    becomes(run, 9, 9, 3, 3)
    becomes(run, 9, 9, 3, 3)
    assert heard == [1, 1]

    # Nodes change, instances change apart, and become like the nodes again.
    graph = GraphDefinition()
    kernel = graph.launch(config, fill, *filled(memory, 1, 4))
    memset = kernel.memset(at, numpy.uint32(2), 1)
    run = graph.instantiate()
    kernel.update(args=filled(memory, 5, 4))
    run[memset].update(dst=at + 4, value=numpy.uint32(6), width=1)
    becomes(run, 1, 6, 1, 1)
    run[memset].disable()
    assert not run[memset].is_enabled
    run.update(graph)
    becomes(run, 5, 5, 5, 5)

    outer = GraphDefinition()
    assert len(outer.embed(graph).child_graph.nodes()) == 2
    becomes(outer.instantiate(), 2, 5, 5, 5)
    with tempfile.TemporaryDirectory() as folder:
        outer.debug_dot_print(os.path.join(folder, "graph.dot"))

    # Streams that are recorded, forked and joined.
    builder = device.create_graph_builder()
    builder.begin_building()
    launch(builder, config, fill, *filled(memory, 8, 4))
    left, right = builder.split(2)
    launch(left, config, fill, *filled(at, 1, 1))
    launch(right, config, fill, *filled(at + 4, 2, 1))
    joined = left.join(left, right)
    joined.callback(lambda: heard.append(2))
    becomes(joined.end_building().complete(), 1, 2, 8, 8)
    assert heard == [1, 1, 2]
    print("done")
"""

NUMBA = """
    import numpy
    from numba import cuda

    print(len(cuda.gpus), cuda.gpus[0].name, cuda.get_current_device().compute_capability)
    assert len(cuda.gpus) == 2
    values = numpy.arange(100_000, dtype=numpy.float32)
    on_device = cuda.to_device(values)
    assert (on_device.copy_to_host() == values).all()
    stream = cuda.stream()
    empty = cuda.device_array(1000, dtype=numpy.int32, stream=stream)
    empty.copy_to_device(numpy.full(1000, 5, dtype=numpy.int32), stream=stream)
    stream.synchronize()
    assert empty.copy_to_host().sum() == 5000
    pinned = cuda.pinned_array(1000, dtype=numpy.int32)
    pinned[:] = 3
    assert cuda.to_device(pinned).copy_to_host().sum() == 3000
    first, second = cuda.event(), cuda.event()
    first.record(), second.record()
    second.synchronize()
    assert first.elapsed_time(second) >= 0
    free, total = cuda.current_context().get_memory_info()
    assert 0 < free < total
    print("done")
"""


PARTS = """
    from cuda.bindings import driver

    def call(answer):
        assert int(answer[0]) == 0, answer
        return answer[1] if len(answer) == 2 else answer[1:]

    call(driver.cuInit(0))
    device = call(driver.cuDeviceGet(0))
    print(call(driver.cuDeviceGetName(64, device)).rstrip(b"\\0").decode())
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    whole = call(driver.cuDeviceGetDevResource(device, kind))
    groups, count, rest = call(driver.cuDevSmResourceSplitByCount(2, whole, 0, 20))
    assert (whole.sm.smCount, count, rest.sm.smCount) == (132, 2, 84), (count, rest.sm.smCount)
    contexts, streams = [], []
    for group in groups:
        description = call(driver.cuDevResourceGenerateDesc([group], 1))
        green = call(driver.cuGreenCtxCreate(description, device, driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM))
        assert call(driver.cuGreenCtxGetDevResource(green, kind)).sm.smCount == 24
        contexts.append(green)
        streams.append(call(driver.cuGreenCtxStreamCreate(green, driver.CUstream_flags.CU_STREAM_NON_BLOCKING, 0)))
    call(driver.cuCtxSetCurrent(call(driver.cuCtxFromGreenCtx(contexts[0]))))
    source, memory = bytearray(b"parts" * 20), [call(driver.cuMemAlloc(100)) for _ in range(2)]
    attributes = driver.CUmemcpyAttributes()
    attributes.srcAccessOrder = driver.CUmemcpySrcAccessOrder.CU_MEMCPY_SRC_ACCESS_ORDER_STREAM
    call(driver.cuMemcpyHtoD(memory[0], source, 100))
    call(driver.cuMemcpyBatchAsync([memory[1]], [memory[0]], [100], 1, [attributes], [0], 1, streams[0]))
    call(driver.cuStreamSynchronize(streams[0]))
    back = bytearray(100)
    call(driver.cuMemcpyDtoH(back, memory[1], 100))
    assert back == source, back
    for one in memory:
        call(driver.cuMemFree(one))
    for stream, green in zip(streams, contexts):
        call(driver.cuStreamDestroy(stream))
        call(driver.cuGreenCtxDestroy(green))
    print("done")
"""


class FrameworksTest(unittest.TestCase):
    def works(self, program):
        with machine.SoftGpu("2xH100-80GB") as gpu:
            code, said = gpu.python(textwrap.dedent(program))
            self.assertEqual(0, code, said)
            self.assertEqual("done", said.strip().splitlines()[-1])
            self.assertIn("H100", said)
            self.assertEqual([], gpu.wrong(), "the ledger after the program")

    def test_the_driver_bindings_of_cuda_python_allocate_and_copy(self):
        self.works(BINDINGS)

    def test_the_graphs_of_cuda_core_are_built_changed_recorded_and_run(self):
        self.works(CORE)

    def test_numba_finds_the_devices_and_moves_arrays(self):
        self.works(NUMBA)

    def test_the_driver_bindings_split_a_device_and_copy_in_batches(self):
        self.works(PARTS)

    def test_cuda_core_hands_pools_and_events_to_another_process(self):
        with machine.SoftGpu("2xH100-80GB") as gpu:
            code, said = gpu.run([sys.executable, machine.HERE / "core_sharing.py"])
            self.assertEqual(0, code, said)
            self.assertEqual("NVIDIA H100 80GB HBM3 132 8\ndone\n", said)
            self.assertEqual([], gpu.wrong(), "the ledger after the program")


if __name__ == "__main__":
    unittest.main()
