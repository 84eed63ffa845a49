#!/usr/bin/env python3
"""Compares coppice with the PyTorch that this Python has, task by task, both sides in turn in one run.

    python3 bench/peers/compare.py [--build build] [--threads 1] [--rounds 3] [--only forward]

Prints a table of medians and ratios with the versions and the machine. Needs a build with -Dbench=enabled.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build", help="build folder (default: build)")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=3, help="times that the two sides take turns")
parser.add_argument("--only", default="", help="tasks whose name contains this")
options = parser.parse_args()

try:
    import torch
    from torch import nn
    from torch.nn.utils import prune
except ImportError:
    sys.exit("skipped: this Python has no torch. Install PyTorch, or use the Python that has it.")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(options.build).resolve()
OURS, PROGRAM = BUILD / "bench" / "peers_ours", BUILD / "sparsity" / "cli" / "coppice"
if not OURS.exists():
    sys.exit(f"{OURS} is missing: meson configure -Dbench=enabled {options.build} && ninja -C {options.build}")
torch.set_num_threads(options.threads)


def median_ms(f, rounds=31):
    f()
    start = time.perf_counter()
    f()
    calls = max(1, min(2000, int(2e-3 / max(time.perf_counter() - start, 1e-7))))
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        samples.append((time.perf_counter() - start) / calls * 1e3)
    return statistics.median(samples)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(8, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


MAKE = {
    "lenet": lambda: nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                                   nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 10)),
    "mlp": lambda: nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)),
    "lstm": Lstm,
}
SHAPE = {"lenet": (1, 8, 8), "mlp": (64,), "lstm": (8, 8)}
FILE = {"lenet": ROOT / "sparsity/data/lenet_digits.pt", "mlp": ROOT / "tests/data/mlp_digits.pt",
        "lstm": ROOT / "tests/data/lstm_digits.pt"}


def load(name):
    model = MAKE[name]()
    model.load_state_dict(torch.load(FILE[name]))
    return model.eval()


def forward(name, batch):
    model, x = load(name), torch.rand(int(batch), *SHAPE[name])
    with torch.no_grad():
        return median_ms(lambda: model(x)), 0


def train(name):
    model, x, y = load(name).train(), torch.rand(64, *SHAPE[name]), torch.randint(0, 10, (64,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return median_ms(step, 15), 0


def status(key):
    """A line of /proc/self/status in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def global_prune():
    layers = [nn.Linear(2048, 2048, bias=False) for _ in range(12)]
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = status("VmRSS")
    start = time.perf_counter()
    prune.global_unstructured([(m, "weight") for m in layers], prune.L1Unstructured, amount=0.9)
    ms = (time.perf_counter() - start) * 1e3
    return ms, status("VmHWM") - before


def in_new_process(f, *arguments):
    """Peak memory only ever grows: measure it where nothing ran before."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(f(*arguments)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return eval(os.read(read, 1000))


def ours(*words):
    out = subprocess.run([OURS, ROOT, str(options.threads), *map(str, words)], check=True, capture_output=True, text=True)
    ms, extra = map(float, out.stdout.split())
    return ms, extra


def wall(*command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3, 0


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} processors"


def tasks(folder):
    for name in MAKE:
        for batch in (1, 64):
            yield f"forward {name}, batch {batch}", (forward, name, batch), ("forward", name, batch)
    for batch in (1, 64):
        yield f"forward lenet 90 % packed, batch {batch} (PyTorch: dense)", (forward, "lenet", batch), ("packed", "lenet", batch)
    for name in MAKE:
        yield f"training step {name}, batch 64", (train, name), ("train", name)
    yield "`global_unstructured`, 50 M weights of 12 layers", (in_new_process, global_prune), ("prune", "masks")
    yield "the same, ours zeroed in place without masks", (in_new_process, global_prune), ("prune", "in_place")
    big = folder / "big.pt"
    if not options.only or "load" in options.only:
        torch.save({f"layer{i}.weight": torch.randn(1024, 1024) for i in range(50)}, big)
    load_big = (lambda: (median_ms(lambda: torch.load(big), 5), 0),)
    yield "load a 200 MB .pt, checksums verified (PyTorch: not)", load_big, ("load", big, "checked")
    yield "load a 200 MB .pt, checksums not verified (ours: mapped, not read)", load_big, ("load", big, "unchecked")


def start_up(folder):
    """Process start to first result: the MLP from its checkpoint on one image."""
    import numpy as np
    np.save(folder / "x.npy", np.random.rand(1, 64).astype(np.float32))
    subprocess.run([PROGRAM, "import", FILE["mlp"], "--arch", ROOT / "tests/data/mlp_digits.arch.json", "-o",
                    folder / "mlp.safetensors", "--force", "-q"], check=True, stdout=subprocess.DEVNULL)
    script = ("import torch, numpy as np; from torch import nn; "
              "m = nn.Sequential(nn.Linear(64,300),nn.ReLU(),nn.Linear(300,100),nn.ReLU(),nn.Linear(100,10)); "
              f"m.load_state_dict(torch.load(r'{FILE['mlp']}')); "
              f"np.save(r'{folder}/y.npy', m(torch.tensor(np.load(r'{folder}/x.npy'))).detach().numpy())")
    return (lambda: wall(sys.executable, "-c", script),
            lambda: wall(PROGRAM, "run", folder / "mlp.safetensors", folder / "x.npy", "-o", folder / "z.npy", "--force", "-q"))


def row(name, theirs, mine):
    pairs = [(theirs(), mine()) for _ in range(options.rounds)]
    t, o = statistics.median(p[0][0] for p in pairs), statistics.median(p[1][0] for p in pairs)
    memory = ""
    if pairs[0][0][1]:
        memory = f" (+{pairs[0][0][1]:.0f} MB against +{max(p[1][1] for p in pairs):.0f} MB)"
    print(f"| {name}{memory} | {t:.4g} | {o:.4g} | {t / o:.1f}x |", flush=True)


print(f"PyTorch {torch.__version__}, coppice at {options.threads} thread(s); {machine()}\n")
print("| task | PyTorch, ms | coppice, ms | PyTorch / coppice |\n|---|---:|---:|---:|")
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for label, (f, *arguments), words in tasks(folder):
        if options.only in label:
            row(label, lambda: f(*arguments), lambda: ours(*words))
    if options.only in "process start to first result":
        theirs, mine = start_up(folder)
        row("process start to first result, MLP", theirs, mine)
