#!/usr/bin/env python3
"""Compares pruning calls and pruned forward passes of coppice with the PyTorch that this Python has.

    python3 bench/peers/prune_compare.py [--build build] [--rounds 3] [--only l1]

One thread; both sides take turns in one run. Prints medians, ratios and the extra peak memory, with the versions and the
machine. Needs a build with -Dbench=enabled. The call alone is timed, on a fresh module around the same weight each time.
"""
import argparse
import gc
import os
import pathlib
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build", help="build folder (default: build)")
parser.add_argument("--rounds", type=int, default=3, help="times that the two sides take turns")
parser.add_argument("--only", default="", help="tasks whose name contains this")
options = parser.parse_args()

try:
    import torch
    from torch import nn
    from torch.nn.utils import prune
except ImportError:
    sys.exit("skipped: this Python has no torch. Install PyTorch, or use the Python that has it.")

OURS = pathlib.Path(options.build).resolve() / "bench" / "prune_bench"
if not OURS.exists():
    sys.exit(f"{OURS} is missing: meson configure -Dbench=enabled {options.build} && ninja -C {options.build}")
torch.set_num_threads(1)
torch.manual_seed(0)


class Holder(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight


def status(key):
    """A line of /proc/self/status in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def timed(weights, rounds, call):
    samples, extra = [], 0
    for _ in range(rounds):
        modules = [Holder(w) for w in weights]
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = status("VmRSS")
        start = time.perf_counter()
        call(modules)
        samples.append((time.perf_counter() - start) * 1e3)
        extra = max(extra, status("VmHWM") - before)
        del modules
        gc.collect()
    return statistics.median(samples), extra


def one_call(method):
    weight = nn.Parameter(torch.randn(4096, 4096))
    mask = (torch.rand(4096, 4096) >= 0.5).float()
    calls = {
        "identity": lambda m: prune.identity(m, "weight"),
        "random_unstructured": lambda m: prune.random_unstructured(m, "weight", 0.5),
        "l1_unstructured": lambda m: prune.l1_unstructured(m, "weight", 0.5),
        "random_structured": lambda m: prune.random_structured(m, "weight", 0.5, 0),
        "ln_structured": lambda m: prune.ln_structured(m, "weight", 0.5, 2, 0),
        "ln_structured_columns": lambda m: prune.ln_structured(m, "weight", 0.5, 2, 1),
        "custom_from_mask": lambda m: prune.custom_from_mask(m, "weight", mask),
    }
    return timed([weight], 2 if "unstructured" in method else 5, lambda modules: calls[method](modules[0]))


def global_():
    weights = [nn.Parameter(torch.randn(2048, 2048)) for _ in range(12)]
    return timed(weights, 1, lambda modules: prune.global_unstructured([(m, "weight") for m in modules],
                                                                       prune.L1Unstructured, amount=0.9))


def forward(batch, pruned):
    module, x = nn.Linear(1024, 1024), torch.randn(int(batch), 1024)
    if pruned:
        prune.l1_unstructured(module, "weight", 0.5)
    with torch.no_grad():
        for _ in range(20):
            module(x)
        samples = []
        for _ in range(31):
            start = time.perf_counter()
            for _ in range(20):
                module(x)
            samples.append((time.perf_counter() - start) / 20 * 1e3)
    return statistics.median(samples), 0


def in_new_process(f, *arguments):
    """Peak memory only ever grows: measured where nothing ran before."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(f(*arguments)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return eval(os.read(read, 1000))


def ours(task):
    out = subprocess.run([OURS, task], check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), float(out[1])


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} processors"


TASKS = [(f"{name} 4096x4096", (one_call, name), name) for name in
         ("identity", "random_unstructured", "l1_unstructured", "random_structured", "ln_structured",
          "ln_structured_columns", "custom_from_mask")]
TASKS.append(("global_unstructured, L1 0.9, 50 M in 12 tensors", (global_,), "global"))
for size in (1, 64):
    TASKS.append((f"forward Linear(1024, 1024) dense, batch {size}", (forward, size, False), f"forward_dense_{size}"))
    TASKS.append((f"forward Linear(1024, 1024) pruned, batch {size}", (forward, size, True), f"forward_pruned_{size}"))

version = subprocess.run([OURS, "version"], capture_output=True, text=True).stdout.strip()
print(f"PyTorch {torch.__version__}, {version}, 1 thread; {machine()}\n")
print("| task | PyTorch, ms | coppice, ms | PyTorch / coppice | extra MB, PyTorch | coppice |\n|---|---:|---:|---:|---:|---:|")
for label, (f, *arguments), task in TASKS:
    if options.only not in label:
        continue
    pairs = [(in_new_process(f, *arguments), ours(task)) for _ in range(options.rounds)]
    theirs, mine = (statistics.median(p[side][0] for p in pairs) for side in (0, 1))
    memory = f"{pairs[0][0][1]:.0f} | {max(p[1][1] for p in pairs):.0f}" if pairs[0][0][1] else " | "
    print(f"| {label} | {theirs:.4g} | {mine:.4g} | {theirs / mine:.1f}x | {memory} |", flush=True)
