"""A FastGPU of its own for a test: the real binary, a fresh folder, a port of its own, simulated GPUs."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

# A server is ready in a third of a second; a crowded machine gets a hundred times as long.
READY_S_MAX = 30.0
# Closing down waits for the last commit and no longer.
STOP_S_MAX = 20.0


def binary():
    """The program under test: named by the test run, else where `cargo build` leaves it."""
    named = os.environ.get("FASTGPU_BIN")
    path = pathlib.Path(named) if named else pathlib.Path(__file__).parents[2] / "target" / "debug" / "fastgpu"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: build it with `cargo build`, or set FASTGPU_BIN")
    return str(path)


class LocalServer:
    """Starts a server when entered, ends it and all it left when left."""

    def __init__(self, gpus):
        self.gpus = gpus
        self.folder = None
        self.process = None
        self.url = None
        self.token = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fastgpu-python-"))
        words = [binary(), "up", "--data-dir", str(self.folder / "data"), "--simulate", self.gpus]
        # Ends with everything it started: a test leaves nothing behind.
        words.append("--ephemeral")
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                words + ["--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self):
        """The file with address and token appears, whole, once the server answers."""
        deadline = time.monotonic() + READY_S_MAX
        ready = self.folder / "data" / "client.json"
        while not ready.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.output()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server is not ready after {READY_S_MAX} s: {self.output()}")
            time.sleep(0.01)
        client = json.loads(ready.read_text())
        self.url, self.token = client["url"].rstrip("/"), client["token"]

    def output(self):
        return (self.folder / "output").read_text(errors="replace")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
