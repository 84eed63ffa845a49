#!/usr/bin/env python3
"""Round trips of tensor files between coppice and the PyTorch that is installed. round_trip.py PROGRAM

Both directions, compared bit for bit: torch.save -> coppice convert, inspect, verify, prune, import -> torch.load with
weights_only=True -> load_state_dict(strict=True). Ends with exit code 1 at the first difference and says which.
"""
import collections
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.utils.prune as prune
from torch import nn

PROGRAM = sys.argv[1]
SEED = 11
FORMATS = [".pt", ".pth", ".safetensors", ".npz"]
checks = 0


def coppice(*words):
    """The result of a command that must succeed."""
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"coppice {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


def bits(t):
    t = t.detach().contiguous().reshape(-1)
    return bytes((t.to(torch.uint8) if t.dtype == torch.bool else t.view(torch.uint8)).tolist())


def same(ours, theirs, what):
    """Same names in the same order, types, shapes and bits."""
    global checks
    assert list(ours) == list(theirs), f"{what}: names {list(ours)}, expected {list(theirs)}"
    for name in theirs:
        a, b = ours[name], theirs[name]
        assert a.dtype == b.dtype and a.shape == b.shape, f"{what}: {name} {a.dtype} {a.shape}, expected {b.dtype} {b.shape}"
        assert bits(a) == bits(b), f"{what}: the bits of {name} differ"
        checks += 1


def load(path):
    return torch.load(path, weights_only=True)


class Tied(nn.Module):
    """Two names for one parameter."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.out = nn.Linear(5, 11, bias=False)
        self.out.weight = self.embedding.weight


def models():
    torch.manual_seed(SEED)
    yield "mlp", lambda: nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3))
    yield "conv", lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4))
    yield "conv1d", lambda: nn.Sequential(nn.Conv1d(2, 4, 3, bias=False), nn.BatchNorm1d(4, affine=False), nn.PReLU(4))
    yield "conv3d", lambda: nn.Conv3d(2, 2, 2)
    yield "lstm", lambda: nn.LSTM(6, 5, num_layers=2, bidirectional=True)
    yield "embedding", lambda: nn.ModuleDict({"words": nn.Embedding(20, 6), "norm": nn.LayerNorm(6), "empty": nn.ReLU()})
    yield "tied", Tied
    yield "double", lambda: nn.Linear(4, 4).double()
    yield "half", lambda: nn.Sequential(nn.Linear(9, 4), nn.BatchNorm1d(4)).half()
    yield "bfloat16", lambda: nn.Linear(9, 4).to(torch.bfloat16)


def weights(model):
    """(module, name, path) of the weights of two or more axes."""
    seen = set()
    for path, module in model.named_modules():
        for name, p in list(module.named_parameters(recurse=False)):
            if p.dim() >= 2 and name.startswith("weight") and id(p) not in seen:
                seen.add(id(p))
                yield module, name, f"{path}.{name}" if path else name


def no_half(module, name):
    """Half types that PyTorch before 2 cannot rank on a CPU."""
    return torch.__version__ < "2" and module._parameters[name].dtype in (torch.float16, torch.bfloat16)


def convert_all_ways(path, state, folder, what):
    """The file through every format and back to .pt."""
    for form in FORMATS:
        if form == ".npz" and any(t.dtype == torch.bfloat16 for t in state.values()):
            continue  # NumPy has no such type
        there, back = folder / f"there{form}", folder / "back.pt"
        coppice("convert", path, "-o", there, "--force")
        coppice("convert", there, "-o", back, "--force")
        same(load(back), state, f"{what} through {form}")
        coppice("verify", back, "--against", there)


def dense(folder):
    for name, make in models():
        model, path = make(), folder / "dense.pt"
        state = model.state_dict()
        for zipped in (True, False):
            torch.save(state, path, _use_new_zipfile_serialization=zipped)
            convert_all_ways(path, state, folder, f"{name}, {'zip' if zipped else 'legacy'}")
            fresh = make()
            fresh.load_state_dict(load(folder / "back.pt"), strict=True)
            same(fresh.state_dict(), state, f"{name} loaded strictly")
        torch.save(model.state_dict(keep_vars=True), path)  # parameters, not tensors
        convert_all_ways(path, state, folder, f"{name}, parameters")
        listed = json.loads(coppice("inspect", path, "--json"))["tensors"]
        found = [(t["name"], t["dtype"], t["shape"]) for t in listed]
        expected = [(k, str(t.dtype).replace("torch.", ""), list(t.shape)) for k, t in state.items()]
        assert found == expected, f"inspect of {name}: {found}, expected {expected}"


def pruned_by_pytorch(folder):
    for name, make in models():
        model, path = make(), folder / "pruned.pt"
        for module, slot, _ in list(weights(model)):
            if no_half(module, slot):
                prune.identity(module, slot)
            else:
                prune.l1_unstructured(module, slot, 0.5)
        state = model.state_dict()
        torch.save(state, path)
        convert_all_ways(path, state, folder, f"pruned {name}")
        copy_of = make()
        for module, slot, _ in list(weights(copy_of)):
            prune.identity(module, slot)
        copy_of.load_state_dict(load(folder / "back.pt"), strict=True)
        same(copy_of.state_dict(), state, f"pruned {name} loaded strictly")


def pruned_by_coppice(folder):
    """Our masks are PyTorch's, our files load into modules that are pruned, and into dense ones without masks."""
    for name, make in models():
        for method in ("l1_unstructured", "random_unstructured", "ln_structured", "random_structured", "global_l1"):
            model, path = make(), folder / "in.pt"
            slots = list(weights(model))
            if no_half(*slots[0][:2]) or name == "tied":
                continue  # tied: two names in the file, one parameter in the module
            torch.save(model.state_dict(), path)
            words = ["prune", path, "--force", "--method", method, "--amount", "0.4", "--seed", SEED, "--ties", "pytorch"]
            words += ["--dim", "0"] if method.endswith("_structured") else []
            words += ["--n", "2"] if method == "ln_structured" else []
            kept, product = folder / "kept.pt", folder / "product.pt"
            coppice(*words, "-o", kept, "--keep-masks")
            coppice(*words, "-o", product)

            torch.manual_seed(SEED)
            if method == "global_l1":
                prune.global_unstructured([(m, n) for m, n, _ in slots], prune.L1Unstructured, amount=0.4)
            for module, slot, _ in slots if method != "global_l1" else []:
                if method == "ln_structured":
                    prune.ln_structured(module, slot, 0.4, 2, 0)
                elif method == "random_structured":
                    prune.random_structured(module, slot, 0.4, 0)
                else:
                    getattr(prune, method)(module, slot, 0.4)
            ours = load(kept)
            expected = model.state_dict()
            assert sorted(ours) == sorted(expected), f"{name}, {method}: names {sorted(ours)}"
            same({k: ours[k] for k in expected}, expected, f"{name}, {method}: masks and originals")
            other = make()
            for module, slot, _ in list(weights(other)):
                prune.identity(module, slot)
            other.load_state_dict(ours, strict=True)
            for module, slot, _ in slots:
                prune.remove(module, slot)
            plain = make()
            plain.load_state_dict(load(product), strict=True)
            after, removed = plain.state_dict(), model.state_dict()
            same({k: after[k] for k in removed}, removed, f"{name}, {method}: after remove")


def tensors_of_all_kinds(folder):
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = collections.OrderedDict()
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16,
                  torch.int32, torch.int64, torch.bool):
        word = str(dtype)[6:]
        state[word] = torch.tensor([[0, 1, 2], [3, 0, 5]]).to(dtype)
        state[word + ".scalar"] = torch.tensor(1).to(dtype)
        state[word + ".empty"] = torch.empty(2, 0, 3, dtype=dtype)
    state["special"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45, -3.4e38])
    state["whole"], state["rows"], state["columns"] = whole, whole[1:3], whole[:, 2:4]
    state["transposed"], state["steps"], state["last"] = whole.t(), whole[::2, ::3], whole[3, 5]
    state["expanded"] = torch.tensor([1.0, 2.0]).expand(3, 2)
    state["permuted"] = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    state["channels_last"] = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    state["gr\u00f6\u00dfe \u6743\u91cd"] = torch.ones(1)
    for zipped in (True, False):
        torch.save(state, folder / "kinds.pt", _use_new_zipfile_serialization=zipped)
        for form in (".pt", ".safetensors"):
            coppice("convert", folder / "kinds.pt", "-o", folder / f"kinds_out{form}", "--force")
        coppice("convert", folder / "kinds_out.safetensors", "-o", folder / "kinds_back.pt", "--force")
        same(load(folder / "kinds_out.pt"), state, "all kinds, .pt")
        same(load(folder / "kinds_back.pt"), state, "all kinds, through .safetensors")
    without = {k: t for k, t in state.items() if t.dtype != torch.bfloat16}
    torch.save(without, folder / "kinds.pt")  # a plain dict
    convert_all_ways(folder / "kinds.pt", without, folder, "all kinds but bfloat16")
    many = {f"t{i}": torch.tensor([i]) for i in range(2500)}  # more than one batch of entries, more than 256 memos
    many["wide"], many["n" * 3000] = torch.zeros(70000, 2, dtype=torch.int8), torch.tensor(2.0)
    torch.save(many, folder / "many.pt")
    convert_all_ways(folder / "many.pt", many, folder, "many tensors")
    torch.save({}, folder / "none.pt")
    convert_all_ways(folder / "none.pt", {}, folder, "no tensors")
    torch.save(torch.arange(6.0), folder / "bare.pt")
    coppice("convert", folder / "bare.pt", "-o", folder / "bare_out.pt")
    same(load(folder / "bare_out.pt"), {"bare": torch.arange(6.0)}, "a bare tensor")


def shared_storages(folder):
    model = Tied()
    torch.save(model.state_dict(), folder / "tied.pt")
    coppice("convert", folder / "tied.pt", "-o", folder / "tied_out.pt")
    out = load(folder / "tied_out.pt")
    assert out["out.weight"].data_ptr() == out["embedding.weight"].data_ptr(), "tied weights came apart"
    size = (folder / "tied_out.pt").stat().st_size
    assert size < 2 * 11 * 5 * 4 + 1500, f"tied weights are stored twice: {size} bytes"
    big = torch.zeros(100000)
    torch.save({"view": big[:3]}, folder / "view.pt")  # PyTorch writes the whole storage
    coppice("convert", folder / "view.pt", "-o", folder / "view_out.pt")
    assert (folder / "view_out.pt").stat().st_size < 2000 < (folder / "view.pt").stat().st_size


def checkpoint(folder):
    """A training checkpoint: model, optimiser, numbers."""
    model = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimiser.state_dict(), "note": "x"},
               folder / "checkpoint.pt")
    report = json.loads(coppice("convert", folder / "checkpoint.pt", "-o", folder / "flat.pt", "--json"))
    assert "epoch" in report["left_out"] and "note" in report["left_out"], report
    flat = load(folder / "flat.pt")
    same({k: flat["model." + k] for k in model.state_dict()}, model.state_dict(), "the model of a checkpoint")
    moments = optimiser.state_dict()["state"]
    same({"m": flat["optimizer.state.0.exp_avg"]}, {"m": moments[0]["exp_avg"]}, "a moment of a checkpoint")


def model_files(folder):
    """state dict -> model file -> state dict, dense, pruned and packed."""
    arch = {"type": "Sequential", "modules": [
        {"type": "Conv2d", "args": {"in_channels": 1, "out_channels": 4, "kernel_size": 3}},
        {"type": "BatchNorm2d", "args": {"num_features": 4}}, {"type": "ReLU"}, {"type": "Flatten"},
        {"type": "Linear", "args": {"in_features": 144, "out_features": 10}}]}
    make = lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    (folder / "arch.json").write_text(json.dumps(arch))
    torch.manual_seed(SEED)
    model = make()
    torch.save(model.state_dict(), folder / "state.pt")
    coppice("import", folder / "state.pt", "--arch", folder / "arch.json", "-o", folder / "model.safetensors")
    coppice("convert", folder / "model.safetensors", "-o", folder / "model.pt")
    fresh = make()
    fresh.load_state_dict(load(folder / "model.pt"), strict=True)
    same(fresh.state_dict(), model.state_dict(), "a model file")

    for index, amount in ((0, 0.5), (4, 0.9)):
        prune.l1_unstructured(model[index], "weight", amount)
    torch.save(model.state_dict(), folder / "pruned_state.pt")
    coppice("import", folder / "pruned_state.pt", "--arch", folder / "arch.json", "-o", folder / "pruned.safetensors")
    coppice("convert", folder / "pruned.safetensors", "-o", folder / "pruned_model.pt")
    masked = make()
    for index in (0, 4):
        prune.identity(masked[index], "weight")
    masked.load_state_dict(load(folder / "pruned_model.pt"), strict=True)
    for index in (0, 4):
        same({"mask": masked[index].weight_mask}, {"mask": model[index].weight_mask}, "a mask of a model file")
        prune.remove(masked[index], "weight")
        prune.remove(model[index], "weight")
        assert torch.equal(masked[index].weight, model[index].weight), "the product of a model file"

    # Masks as bits are smaller than any packed form of these layers, which stay masked then.
    coppice("pack", folder / "pruned.safetensors", "-o", folder / "packed.safetensors", "--no-measure")
    coppice("convert", folder / "packed.safetensors", "-o", folder / "unpacked.pt")
    for index in (0, 4):
        prune.identity(masked[index], "weight")
    masked.load_state_dict(load(folder / "unpacked.pt"), strict=True)
    for index in (0, 4):
        prune.remove(masked[index], "weight")
        assert torch.equal(masked[index].weight, model[index].weight), "the weight of a masked model that was packed"

    torch.save(model.state_dict(), folder / "product_state.pt")
    coppice("import", folder / "product_state.pt", "--arch", folder / "arch.json", "-o", folder / "product.safetensors")
    coppice("pack", folder / "product.safetensors", "-o", folder / "product_packed.safetensors", "--no-measure")
    coppice("convert", folder / "product_packed.safetensors", "-o", folder / "product_unpacked.pt")
    fresh.load_state_dict(load(folder / "product_unpacked.pt"), strict=True)
    for index in (0, 4):
        assert torch.equal(fresh[index].weight, model[index].weight), "the weight of a packed model"


def other_libraries(folder):
    """NumPy and safetensors, where they are installed, read what we write and we read what they write."""
    state = {k: t for k, t in nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).state_dict().items()}
    torch.save(state, folder / "state2.pt")
    try:
        import numpy
        coppice("convert", folder / "state2.pt", "-o", folder / "arrays.npz")
        with numpy.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            same({k: torch.from_numpy(arrays[k].copy()) for k in arrays.files}, state, "numpy.load")
        numpy.savez_compressed(folder / "numpy.npz", **{k: t.numpy() for k, t in state.items()})
        coppice("convert", folder / "numpy.npz", "-o", folder / "numpy.pt")
        same(load(folder / "numpy.pt"), state, "numpy.savez_compressed")
    except ImportError:
        print("numpy is not installed: its files were not tried")
    try:
        from safetensors.torch import load_file, save_file
        coppice("convert", folder / "state2.pt", "-o", folder / "ours.safetensors")
        read = load_file(folder / "ours.safetensors")
        same({k: read[k] for k in state}, state, "safetensors.torch.load_file")
        save_file(state, folder / "theirs.safetensors")
        coppice("convert", folder / "theirs.safetensors", "-o", folder / "theirs.pt")
        read = load(folder / "theirs.pt")
        same({k: read[k] for k in state}, state, "safetensors.torch.save_file")
    except ImportError:
        print("safetensors is not installed: its files were not tried")


def main():
    for part in (dense, pruned_by_pytorch, pruned_by_coppice, tensors_of_all_kinds, shared_storages, checkpoint,
                 model_files, other_libraries):
        before = checks
        with tempfile.TemporaryDirectory() as folder:
            part(pathlib.Path(folder))
        print(f"{part.__name__}: {checks - before} tensors equal")
    print(f"PyTorch {torch.__version__}: {checks} tensors made the round trip")


main()
