"""A program for test_frameworks.py: cuda.core hands a buffer of a pool and an event to another process, which waits for
the one and reads the other."""

import multiprocessing

from cuda.bindings import driver
from cuda.core import Device, DeviceMemoryResource, DeviceMemoryResourceOptions, EventOptions

ANSWER_S_MAX = 60


def reader(given, answers):
    device = Device(0)
    device.set_current()
    stream = device.create_stream()
    buffer, event = given.get(timeout=ANSWER_S_MAX)
    stream.wait(event)
    seen = bytearray(16)
    (code,) = driver.cuMemcpyDtoHAsync(seen, int(buffer.handle), 16, int(stream.handle))
    assert int(code) == 0, code
    stream.sync()
    event.sync()
    buffer.close()
    event.close()
    answers.put(bytes(seen))


def main():
    multiprocessing.set_start_method("spawn")
    device = Device(0)
    device.set_current()
    stream = device.create_stream()
    pool = DeviceMemoryResource(device, DeviceMemoryResourceOptions(max_size=64 << 20, ipc_enabled=True))
    buffer = pool.allocate(1 << 20, stream=stream)
    buffer.fill(7, stream=stream)
    event = stream.record(options=EventOptions(ipc_enabled=True))
    given, answers = multiprocessing.Queue(), multiprocessing.Queue()
    other = multiprocessing.Process(target=reader, args=(given, answers))
    other.start()
    given.put((buffer, event))
    assert answers.get(timeout=ANSWER_S_MAX) == b"\7" * 16
    other.join(ANSWER_S_MAX)
    assert other.exitcode == 0, other.exitcode
    buffer.close(stream=stream)
    stream.sync()
    event.close()
    pool.close()
    multiprocessors = device.resources.sm
    print(device.name, multiprocessors.sm_count, multiprocessors.min_partition_size)
    print("done")


if __name__ == "__main__":
    main()
