"""Monitoring tools as people install them, on software GPUs: what they print is what the ledger says."""

import json
import re
import subprocess
import sys
import textwrap
import unittest

from machine import SoftGpu

MIB = 1 << 20


def in_bytes(text):
    """`80.00GiB`, as nvitop prints sizes."""
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]iB)", text).groups()
    return float(number) * {"KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30, "TiB": 1 << 40}[unit]


class Monitors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gpu = cls.enterClassContext(SoftGpu("2xH100-80GB,1xL4,1xRTX4090"))

    def asked(self, program):
        """The JSON that a Python text prints."""
        code, said = self.gpu.python(textwrap.dedent(program))
        self.assertEqual(code, 0, said)
        return json.loads(said)

    def test_pynvml_lists_the_devices_by_every_name_they_have(self):
        found = self.asked(
            """
            import json, pynvml as n
            n.nvmlInit()
            devices = []
            for index in range(n.nvmlDeviceGetCount()):
                d = n.nvmlDeviceGetHandleByIndex(index)
                uuid, pci = n.nvmlDeviceGetUUID(d), n.nvmlDeviceGetPciInfo(d)
                same = [n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID(uuid)),
                        n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId(pci.busId))]
                m = n.nvmlDeviceGetMemoryInfo(d, n.nvmlMemory_v2)
                devices.append([n.nvmlDeviceGetName(d), same, m.total, m.reserved + m.used + m.free,
                                n.nvmlDeviceGetPowerManagementDefaultLimit(d), uuid, pci.pciDeviceId])
            print(json.dumps([n.nvmlSystemGetDriverVersion(), n.nvmlSystemGetCudaDriverVersion(), devices]))
            """
        )
        version, cuda, devices = found
        self.assertTrue(version.startswith("580."))
        self.assertEqual(cuda, 13_000)
        names = ["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3", "NVIDIA L4", "NVIDIA GeForce RTX 4090"]
        self.assertEqual([device[0] for device in devices], names)
        for index, (_, same, total, parts, *_rest) in enumerate(devices):
            self.assertEqual(same, [index, index])
            self.assertEqual(total, parts, "reserved, used and free are all there is")
        self.assertEqual([device[2] // MIB for device in devices], [81_559, 81_559, 23_034, 24_564])
        self.assertEqual([device[4] for device in devices], [700_000, 700_000, 72_000, 450_000])
        self.assertEqual(len({device[5] for device in devices}), 4, "every UUID is its own")
        self.assertEqual(devices[0][6], 0x233010DE)

    def test_pynvml_meets_the_errors_that_a_driver_gives(self):
        codes = self.asked(
            """
            import ctypes, json, pynvml as n
            def code(call, *words):
                try:
                    call(*words)
                    return 0
                except n.NVMLError as error:
                    return error.value
            codes = [code(n.nvmlDeviceGetCount)]
            n.nvmlInit()
            d, geforce = n.nvmlDeviceGetHandleByIndex(0), n.nvmlDeviceGetHandleByIndex(3)
            short = n._nvmlGetFunctionPointer("nvmlDeviceGetName")
            codes += [code(n.nvmlDeviceGetHandleByIndex, 4), code(n.nvmlDeviceGetHandleByUUID, "GPU-none"),
                      short(d, ctypes.create_string_buffer(4), 4), short(d, None, 96),
                      code(n.nvmlDeviceGetFanSpeed, d), code(n.nvmlDeviceGetTotalEccErrors, geforce, 0, 0)]
            n.nvmlShutdown()
            codes.append(code(n.nvmlShutdown))
            print(json.dumps(codes))
            """
        )
        uninitialized, invalid, unsupported, missing, short = 1, 2, 3, 6, 7
        self.assertEqual(
            codes, [uninitialized, invalid, missing, short, invalid, unsupported, unsupported, uninitialized]
        )

    def test_devices_of_one_board_are_linked_and_others_are_not(self):
        links = self.asked(
            """
            import json, pynvml as n
            n.nvmlInit()
            h, o, l = (n.nvmlDeviceGetHandleByIndex(i) for i in (0, 1, 2))
            up = [n.nvmlDeviceGetNvLinkState(h, link) for link in range(18)]
            p2p = [n.nvmlDeviceGetP2PStatus(h, other, n.NVML_P2P_CAPS_INDEX_NVLINK) for other in (o, l)]
            print(json.dumps([up, p2p, n.nvmlDeviceGetTopologyCommonAncestor(h, o)]))
            """
        )
        self.assertEqual(links, [[1] * 18, [0, 5], 40])

    def test_gpustat_prints_what_the_ledger_says(self):
        code, said = self.gpu.run([sys.executable, "-m", "gpustat", "--json"])
        self.assertEqual(code, 0, said)
        gpus = json.loads(said)["gpus"]
        self.assertEqual([gpu["memory.total"] for gpu in gpus], [81_559, 81_559, 23_034, 24_564])
        self.assertEqual([gpu["enforced.power.limit"] for gpu in gpus], [700, 700, 72, 450])
        self.assertEqual([gpu["utilization.gpu"] for gpu in gpus], [0, 0, 0, 0])
        # One that rests draws what its model draws at rest.
        self.assertEqual([gpu["power.draw"] for gpu in gpus], [70, 70, 12, 16])
        self.assertEqual([gpu["processes"] for gpu in gpus], [[], [], [], []])

    def test_nvitop_prints_what_the_ledger_says(self):
        found = self.asked(
            """
            import json
            from nvitop import Device
            print(json.dumps([[d.name(), d.memory_total_human(), d.gpu_utilization(), d.power_usage(),
                               d.temperature(), d.performance_state(), len(d.processes())] for d in Device.all()]))
            """
        )
        names = [row[0] for row in found]
        self.assertEqual(names[2:], ["NVIDIA L4", "NVIDIA GeForce RTX 4090"])
        for (_, total, busy, power, celsius, state, processes), mib in zip(found, [81_559, 81_559, 23_034, 24_564]):
            self.assertAlmostEqual(in_bytes(total) / MIB, mib, delta=mib / 1_000)
            self.assertEqual((busy, processes), (0, 0))
            self.assertIn(state, ("P0", "P8"))
            self.assertTrue(10_000 <= power <= 80_000 and 30 <= celsius <= 40, (power, celsius))
        code, screen = self.gpu.run([sys.executable, "-m", "nvitop", "--once", "--ascii"], TERM="xterm", COLUMNS="100")
        self.assertEqual(code, 0, screen)
        self.assertIn("H100", screen)

    def test_a_fault_reaches_whoever_waits_for_events(self):
        program = """
            import json, sys, pynvml as n
            n.nvmlInit()
            d, events = n.nvmlDeviceGetHandleByIndex(1), n.nvmlEventSetCreate()
            n.nvmlDeviceRegisterEvents(d, n.nvmlEventTypeXidCriticalError, events)
            print("ready", flush=True)
            data = n.nvmlEventSetWait_v2(events, 20_000)
            print(json.dumps([data.eventType, data.eventData]))
            """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            stdout=subprocess.PIPE, text=True, env=self.gpu.environment(),
        )
        with child:
            self.assertEqual(child.stdout.readline().strip(), "ready")
            self.gpu.ask("xid", "1", "31")
            event = json.loads(child.stdout.readline())
        self.assertEqual(event, [8, 31])

    def test_what_runs_is_seen_by_every_tool_with_pid_memory_and_share(self):
        """A program with a context, 1 GiB and a kernel under way, looked at from outside."""
        program = self.gpu.folder / "tenant.py"
        program.write_text(textwrap.dedent(
            """
            import ctypes, sys, time
            cuda = ctypes.CDLL("libcuda.so.1")
            def ok(code):
                assert code == 0, code
            ok(cuda.cuInit(0))
            context, module, kernel, memory = (ctypes.c_void_p() for _ in range(4))
            ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
            ok(cuda.cuCtxSetCurrent(context))
            ok(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 30)))
            text = b".version 7.0\\n.target sm_52\\n.address_size 64\\n.visible .entry busy(.param .u64 us) { ret; }\\n"
            ok(cuda.cuModuleLoadData(ctypes.byref(module), text))
            ok(cuda.cuModuleGetFunction(ctypes.byref(kernel), module, b"busy"))
            us = ctypes.c_uint64(50_000)
            arguments = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(us), ctypes.c_void_p))
            print("ready", flush=True)
            while True:
                for _ in range(4):
                    ok(cuda.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, None, arguments, None))
                ok(cuda.cuCtxSynchronize())
            """
        ))
        tenant = subprocess.Popen(
            [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=self.gpu.environment()
        )
        with tenant:
            try:
                self.assertEqual(tenant.stdout.readline().strip(), "ready")
                seen = self.asked(
                    """
                    import json, time, pynvml as n
                    n.nvmlInit()
                    d = n.nvmlDeviceGetHandleByIndex(0)
                    before, until = n.nvmlDeviceGetTotalEnergyConsumption(d), time.monotonic() + 20
                    # The figures lag by a period, and the second of a process by that.
                    while n.nvmlDeviceGetPowerUsage(d) < 600_000 and time.monotonic() < until:
                        time.sleep(0.05)
                    (p,) = n.nvmlDeviceGetComputeRunningProcesses(d)
                    (u,) = n.nvmlDeviceGetProcessUtilization(d, 0)
                    print(json.dumps([p.pid, p.usedGpuMemory, n.nvmlDeviceGetMemoryInfo(d, n.nvmlMemory_v2).used, u.pid, u.smUtil,
                                      n.nvmlDeviceGetUtilizationRates(d).gpu, n.nvmlDeviceGetPowerUsage(d),
                                      n.nvmlDeviceGetClockInfo(d, 1), n.nvmlDeviceGetTotalEnergyConsumption(d) - before]))
                    """
                )
                pid, held, used, busy_pid, share, busy, power, clock, energy = seen
                self.assertEqual((pid, busy_pid), (tenant.pid, tenant.pid))
                self.assertGreaterEqual(held, 1 << 30)
                self.assertGreaterEqual(used, held)
                self.assertTrue(share >= 80 and busy >= 80, (share, busy))
                self.assertGreater(power, 500_000)
                self.assertEqual(clock, 1_980)
                self.assertGreater(energy, 0)
                code, said = self.gpu.run([sys.executable, "-m", "gpustat", "--json"])
                self.assertEqual(code, 0, said)
                (process,) = json.loads(said)["gpus"][0]["processes"]
                self.assertEqual(process["pid"], tenant.pid)
                self.assertEqual(process["gpu_memory_usage"], held // MIB)
            finally:
                tenant.kill()
        after = self.asked(
            """
            import json, pynvml as n
            n.nvmlInit()
            d = n.nvmlDeviceGetHandleByIndex(0)
            print(json.dumps([n.nvmlDeviceGetMemoryInfo(d, n.nvmlMemory_v2).used,
                              len(n.nvmlDeviceGetComputeRunningProcesses(d))]))
            """
        )
        self.assertEqual(after, [0, 0], "the death of a process frees what it held")


if __name__ == "__main__":
    unittest.main()
