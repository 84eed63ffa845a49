#!/usr/bin/env python3
"""Compares steps of the weight and data norm sparsifiers of coppice and of the PyTorch that this Python has, on
4096x1024 weights of normal numbers.

    python3 bench/peers/sparsifier_compare.py [--build build] [--rounds 3] [--only weight]

One thread; both sides take turns in one run. Prints medians of the first and of repeated steps in milliseconds of the
processor, ratios, the extra peak memory of coppice's first step (a data sparsifier's makes its mask, 4 MB), and the
versions. Needs a build with -Dbench=enabled.
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
parser.add_argument("--only", default="", help="cases whose name contains this")
options = parser.parse_args()

try:
    import torch
    from torch.ao.pruning import WeightNormSparsifier
    from torch.ao.pruning._experimental.data_sparsifier.data_norm_sparsifier import DataNormSparsifier
except ImportError:
    sys.exit("skipped: this Python has no torch with sparsifiers. Use the Python that has it.")

PROGRAMS = {kind: pathlib.Path(options.build).resolve() / "bench" / name
            for kind, name in (("weight", "sparsifier_bench"), ("data", "data_norm_bench"))}
for program in PROGRAMS.values():
    if not program.exists():
        sys.exit(f"{program} is missing: meson configure -Dbench=enabled {options.build} && ninja -C {options.build}")
warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.manual_seed(0)


def weight(level, block, zeros, norm=2):
    def make(values):
        layer = torch.nn.Linear(values.shape[1], values.shape[0], bias=False)
        with torch.no_grad():
            layer.weight.copy_(values)
        sparsifier = WeightNormSparsifier(level, block, zeros, norm=norm)
        sparsifier.prepare(torch.nn.Sequential(layer), None)
        return sparsifier
    return make


def data(norm, block, zeros):
    def make(values):
        sparsifier = DataNormSparsifier(sparse_block_shape=block, zeros_per_block=zeros, norm=norm)
        sparsifier.add_data("data", values)
        return sparsifier
    return make


CASES = {
    ("weight", "1x1"): weight(0.5, (1, 1), 1), ("weight", "1x4"): weight(0.5, (1, 4), 4),
    ("weight", "4x1"): weight(0.5, (4, 1), 4), ("weight", "16x1"): weight(0.5, (16, 1), 16),
    ("weight", "4x4"): weight(0.5, (4, 4), 16), ("weight", "2of4"): weight(1.0, (1, 4), 2),
    ("weight", "1x4_2"): weight(0.5, (1, 4), 2), ("weight", "4096x1"): weight(0.5, (4096, 1), 4096),
    ("weight", "L1_1x1"): weight(0.5, (1, 1), 1, 1), ("weight", "L1_1x4"): weight(0.5, (1, 4), 4, 1),
    ("data", "L1_1x1_1"): data("L1", (1, 1), 1), ("data", "L1_1x4_4"): data("L1", (1, 4), 4),
    ("data", "L2_1x1_1"): data("L2", (1, 1), 1), ("data", "L2_1x4_4"): data("L2", (1, 4), 4),
    ("data", "L1_4x1_4"): data("L1", (4, 1), 4), ("data", "L1_16x1_16"): data("L1", (16, 1), 16),
    ("data", "L1_4x4_16"): data("L1", (4, 4), 16), ("data", "L1_1x4_2"): data("L1", (1, 4), 2),
}


def theirs(make):
    sparsifier = make(torch.randn(4096, 1024))
    out = []
    for _ in range(2):
        start = time.process_time()
        sparsifier.step()
        out.append((time.process_time() - start) * 1e3)
    return out


def ours(kind, name):
    out = subprocess.run([PROGRAMS[kind], name], check=True, capture_output=True, text=True).stdout
    return [float(x) for x in out.split()]


version = subprocess.run([PROGRAMS["weight"], "version"], check=True, capture_output=True, text=True).stdout.strip()
print(f"{version} and PyTorch {torch.__version__}, one thread, 4096x1024 float32")
print(f"{'case':18} {'theirs ms':>10} {'ours ms':>9} {'ratio':>7} {'again':>9} {'again':>8} {'ratio':>7} {'extra MB':>9}")
for (kind, name), make in CASES.items():
    if options.only not in f"{kind} {name}":
        continue
    rounds = [(theirs(make), ours(kind, name)) for _ in range(options.rounds)]
    a, b = (statistics.median(t[i] for t, _ in rounds) for i in (0, 1))
    c, d, extra = (statistics.median(o[i] for _, o in rounds) for i in (0, 1, 2))
    print(f"{kind + ' ' + name:18} {a:10.1f} {c:9.2f} {a / c:7.1f} {b:9.1f} {d:8.2f} {b / d:7.1f} {extra:9.1f}", flush=True)
