"""Little shared memory, as in a container: programs are refused what does not fit, and nobody is killed for it."""

import os
import subprocess
import unittest

import machine

OUT_OF_MEMORY, NO_DEVICE = 2, 100
# In a mount namespace of its own: a small file system in memory, and the program's ledger in it.
IN_SMALL_MEMORY = 'mount -t tmpfs -o size="$0",mode=755 small "$1" && FASTGPU_SOFTGPU_DIR="$1/ledger" exec "$2"'


class RoomTest(unittest.TestCase):
    def said_with(self, size):
        with machine.SoftGpu() as gpu:
            program = gpu.compile(machine.HERE / "probes" / "room.c", "room", "-ldl")
            memory = gpu.folder / "memory"
            memory.mkdir()
            namespaces = ["--mount"] if os.getuid() == 0 else ["--user", "--map-root-user", "--mount"]
            words = ["unshare", *namespaces, "sh", "-c", IN_SMALL_MEMORY, size, memory, program]
            done = subprocess.run(
                [str(word) for word in words], capture_output=True, text=True, timeout=machine.PROGRAM_S_MAX,
                env=gpu.environment(FASTGPU_SOFTGPU_DEVICES="8xH200"),
            )
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            return done.stdout.splitlines()

    def test_what_does_not_fit_is_refused_and_the_program_goes_on(self):
        said = self.said_with("6m")
        self.assertEqual([f"refused export {OUT_OF_MEMORY}"] * 3, said[:3])
        self.assertEqual([f"refused context {OUT_OF_MEMORY}", "done"], said[3:])

    def test_a_ledger_that_does_not_fit_is_not_made(self):
        self.assertEqual([f"refused init {NO_DEVICE}"], self.said_with("200k"))


if __name__ == "__main__":
    unittest.main()
