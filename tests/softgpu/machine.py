"""A software GPU of its own for a test: the built libraries under the driver's names, a fresh ledger, C programs."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# Nothing here takes longer than some seconds; a crowded machine gets much more.
PROGRAM_S_MAX = 120.0


def built():
    """Where cargo put the libraries: named by the test run, else the debug folder."""
    named = os.environ.get("FASTGPU_TARGET")
    folder = pathlib.Path(named) if named else ROOT / "target" / "debug"
    for name in ("libcuda.so", "libnvidia_ml.so", "softgpu-ledger"):
        if not (folder / name).exists():
            packages = "-p fastgpu-softgpu -p fastgpu-softgpu-cuda -p fastgpu-softgpu-nvml"
            raise FileNotFoundError(f"{folder / name} is missing: build it with `cargo build {packages}`")
    return folder


def wheel_folder():
    """`nvidia/cu13` of the runtime's wheel, for this interpreter."""
    folder = pathlib.Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cu13"
    if not (folder / "include" / "cuda_runtime_api.h").exists():
        raise FileNotFoundError(f"{folder} is missing: run `cargo xtask test --install`")
    return folder


def beside(name):
    """A folder with packages that the environment's own do not go with: `ten` or `cupy`."""
    folder = pathlib.Path(sys.prefix) / name
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is missing: run `cargo xtask test --install`")
    return folder


def runtime_ten():
    """NVIDIA's runtime 10.2, as one library."""
    return next(beside("ten").glob("torchvision.libs/libcudart.*.so.10.2"))


class SoftGpu(contextlib.AbstractContextManager):
    """Libraries and ledger in a folder of their own, gone when left."""

    def __init__(self, devices="1xH100-80GB"):
        self.devices = devices
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fastgpu-softgpu-test-"))
        self.libraries = self.folder / "lib"
        self.ledger = self.folder / "ledger"
        self.libraries.mkdir()
        target = built()
        shutil.copy(target / "libcuda.so", self.libraries / "libcuda.so.1")
        shutil.copy(target / "libnvidia_ml.so", self.libraries / "libnvidia-ml.so.1")
        self.tool = target / "softgpu-ledger"
        self.ask("create", devices)

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, **more):
        own = {"LD_LIBRARY_PATH": str(self.libraries), "FASTGPU_SOFTGPU_DIR": str(self.ledger)}
        # A test machine with a real driver must not lend it to us.
        dropped = ("LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "FASTGPU_SOFTGPU_DEVICES")
        return {**{key: value for key, value in os.environ.items() if key not in dropped}, **own, **more}

    def with_runtime_ten(self):
        """Puts the runtime 10.2 where programs find it under its own name."""
        (self.libraries / "libcudart.so.10.2").symlink_to(runtime_ten())

    def ask(self, *words):
        """What the ledger's own tool prints; its exit code is not judged."""
        done = subprocess.run([self.tool, self.ledger, *words], capture_output=True, text=True, timeout=PROGRAM_S_MAX)
        if done.returncode == 2:
            raise RuntimeError(f"softgpu-ledger {' '.join(words)}: {done.stderr}")
        return done.stdout

    def shown(self):
        """The ledger as {name: value}."""
        return dict(line.rsplit(" ", 1) for line in self.ask("show").splitlines() if " " in line)

    def wrong(self, expected_unsupported=()):
        """What the ledger's check finds wrong, less the calls that the test knows to be unsupported."""
        lines = self.ask("check").splitlines()
        return [line for line in lines if not self._is_expected(line, expected_unsupported)]

    @staticmethod
    def _is_expected(line, names):
        words = line.split()
        return words[:1] == ["unsupported"] and words[1] in names

    def run(self, words, **more):
        """(exit code, what it said) of a program that finds our libraries first."""
        done = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, errors="replace",
            env=self.environment(**more), timeout=PROGRAM_S_MAX,
        )
        return done.returncode, done.stdout + done.stderr

    def compile(self, source, name, *words):
        """Builds a C program; the words come last, where libraries belong."""
        program = self.folder / name
        compiler = os.environ.get("CC", "cc")
        warnings = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
        done = subprocess.run(
            [compiler, *warnings, "-o", program, source, *words], capture_output=True, text=True, timeout=PROGRAM_S_MAX
        )
        if done.returncode:
            raise RuntimeError(f"{source} does not build: {done.stderr}")
        return program

    def python(self, program, *words, **more):
        """Runs a Python text in an interpreter of its own: a driver library is loaded once per process."""
        return self.run([sys.executable, "-c", program, *words], **more)
