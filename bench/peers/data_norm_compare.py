#!/usr/bin/env python3
"""Compares steps of the data norm sparsifiers of coppice and of the PyTorch that this Python has, on 4096x1024 weights.

    python3 bench/peers/data_norm_compare.py [--build build] [--rounds 3]

One thread; both sides take turns in one run. Prints medians of the first and of repeated steps, ratios, and the versions.
Needs a build with -Dbench=enabled.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import time
import warnings

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build", help="build folder (default: build)")
parser.add_argument("--rounds", type=int, default=3, help="times that the two sides take turns")
options = parser.parse_args()

try:
    import torch
    from torch.ao.pruning._experimental.data_sparsifier.data_norm_sparsifier import DataNormSparsifier
except ImportError:
    sys.exit("skipped: this Python has no torch with data sparsifiers. Use the Python that has it.")

OURS = pathlib.Path(options.build).resolve() / "bench" / "data_norm_bench"
if not OURS.exists():
    sys.exit(f"{OURS} is missing: meson configure -Dbench=enabled {options.build} && ninja -C {options.build}")
warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.manual_seed(0)

CASES = {"L1_1x1_1": (1, 1), "L1_1x4_4": (1, 4), "L1_4x1_4": (4, 1), "L1_16x1_16": (16, 1), "L1_4x4_16": (4, 4),
         "L1_1x4_2": (1, 4), "L2_1x4_4": (1, 4)}


def theirs(name, block):
    data = torch.randn(4096, 1024)
    s = DataNormSparsifier(sparse_block_shape=block, zeros_per_block=int(name.split("_")[2]), norm=name[:2])
    s.add_data("data", data)
    out = []
    for _ in range(2):
        start = time.perf_counter()
        s.step()
        out.append((time.perf_counter() - start) * 1e3)
    return out


def ours(name):
    return [float(x) for x in subprocess.run([OURS, name], check=True, capture_output=True, text=True).stdout.split()]


version = subprocess.run([OURS, "version"], check=True, capture_output=True, text=True).stdout.strip()
print(f"{version} and PyTorch {torch.__version__}, one thread, 4096x1024 float32")
print(f"{'case':12} {'theirs ms':>10} {'ours ms':>9} {'ratio':>7} {'again':>9} {'again':>8} {'ratio':>7} {'extra MB':>9}")
for name, block in CASES.items():
    rounds = [(theirs(name, block), ours(name)) for _ in range(options.rounds)]
    a, b = (statistics.median(t[i] for t, _ in rounds) for i in (0, 1))
    c, d, extra = (statistics.median(o[i] for _, o in rounds) for i in (0, 1, 2))
    print(f"{name:12} {a:10.1f} {c:9.2f} {a / c:7.1f} {b:9.1f} {d:8.2f} {b / d:7.1f} {extra:9.1f}")
