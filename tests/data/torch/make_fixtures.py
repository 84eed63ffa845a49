"""Writes the files of this folder: run once with each PyTorch (1.13.1 and 2.13.0), then with --numpy.

    python3 make_fixtures.py            tensors_V.pt, legacy_V.pt, checkpoint_V.pt, refused_*_V.pt
    python3 make_fixtures.py --tar      tar_0_1.pt: no PyTorch of that time runs any more, so it is put together here, and
                                        read by the present one
    python3 make_fixtures.py --numpy    reference.safetensors, expected.npz (deflated), big_endian.npy, fortran_*.npy …
"""
import collections
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name)


def tensors():
    import torch
    base = torch.arange(24, dtype=torch.float32) / 4 - 2
    out = collections.OrderedDict()
    out["f32"] = base[:6].clone().reshape(2, 3)
    out["f64"] = torch.tensor([0.1, -1e300, float("inf")], dtype=torch.float64)
    out["f16"] = torch.tensor([0.1, -65504.0, 6e-8], dtype=torch.float16)
    out["bf16"] = torch.tensor([0.1, -3e38, 1e-40], dtype=torch.bfloat16)
    out["i8"] = torch.tensor([-128, 127], dtype=torch.int8)
    out["u8"] = torch.tensor([0, 255], dtype=torch.uint8)
    out["i16"] = torch.tensor([-32768, 32767], dtype=torch.int16)
    out["i32"] = torch.tensor([-2**31, 2**31 - 1], dtype=torch.int32)
    out["i64"] = torch.tensor([-2**53, 2**53], dtype=torch.int64)
    out["bool"] = torch.tensor([True, False, True])
    out["scalar"] = torch.tensor(3.5)
    out["empty"] = torch.zeros(0, 3)
    block = base.clone().reshape(4, 6)
    out["whole"] = block
    out["transposed"] = block.t()
    out["columns"] = block[:, 1:4]
    out["rows"] = block[1:3]
    out["expanded"] = torch.tensor([[1.0], [2.0]]).expand(2, 3)
    out["permuted"] = base.clone().reshape(2, 3, 4).permute(2, 0, 1)
    out["tied.a"] = torch.ones(5)
    out["tied.b"] = out["tied.a"]
    out["gr\u00f6\u00dfe"] = torch.tensor([7.0])
    out["parameter"] = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    return out


def with_torch():
    import torch
    v = torch.__version__.split(".")
    v = v[0] + "_" + v[1]
    plain = tensors()
    torch.save(plain, path(f"tensors_{v}.pt"))
    torch.save(plain, path(f"legacy_{v}.pt"), _use_new_zipfile_serialization=False)

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    adam.step()
    torch.save({"model": model.state_dict(), "epoch": 3, "history": [0.5, 0.25], "optimizer": adam.state_dict(),
                "note": None, "sizes": torch.Size([2, 3]), "device": torch.device("cpu")}, path(f"checkpoint_{v}.pt"))
    torch.save(torch.tensor([1.0, 2.0]), path(f"bare_{v}.pt"))
    torch.save(model, path(f"refused_module_{v}.pt"))
    torch.save({"a": torch.ones(1), "z": torch.zeros(2, dtype=torch.complex64)}, path(f"refused_complex_{v}.pt"))
    torch.save({"s": torch.eye(2).to_sparse()}, path(f"refused_sparse_{v}.pt"))
    torch.save({"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, path(f"refused_quantized_{v}.pt"))
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), path(f"refused_script_{v}.pt"))
    if hasattr(torch, "uint16"):
        torch.save({"w": torch.ones(2, dtype=torch.uint16)}, path(f"refused_uint16_{v}.pt"))


def with_numpy():
    import torch
    expected = {}
    for name, t in tensors().items():
        t = t.detach()
        expected[name] = (t.float() if t.dtype == torch.bfloat16 else t).contiguous().numpy()
    np.savez_compressed(path("expected.npz"), **expected)
    from safetensors.torch import save_file  # 0.8.0
    save_file({name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors().items()},
              path("reference.safetensors"), metadata={"made by": "safetensors"})
    np.savez(path("stored.npz"), a=np.arange(6, dtype=np.int32).reshape(2, 3), b=np.float64(2.5))
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
    np.save(path("big_endian.npy"), cube.astype(">f4"))
    np.save(path("big_endian_i2.npy"), np.array([-2, 258], dtype=">i2"))
    np.save(path("fortran_2.npy"), np.asfortranarray(cube[0]))
    np.save(path("fortran_3.npy"), np.asfortranarray(cube))
    np.save(path("fortran_big_endian.npy"), np.asfortranarray(cube.astype(">f8")))
    np.save(path("scalar.npy"), np.float32(1.5))
    np.save(path("empty.npy"), np.zeros((0, 3), dtype=np.float16))
    np.lib.format.write_array(open(path("version_2.npy"), "wb"), cube, version=(2, 0))
    np.lib.format.write_array(open(path("version_3.npy"), "wb"), cube, version=(3, 0))
    np.save(path("refused_object.npy"), np.array([{}], dtype=object), allow_pickle=True)
    np.save(path("refused_complex.npy"), np.array([1j]))
    np.save(path("refused_text.npy"), np.array(["ab"]))
    np.save(path("refused_date.npy"), np.array(["2020-01-01"], dtype="M8[D]"))
    np.save(path("refused_record.npy"), np.zeros(2, dtype=[("x", "f4"), ("y", "i4")]))


def with_tar():
    import io
    import pickle
    import struct
    import tarfile

    import torch

    class Numbered:
        """Stands for a storage or tensor, and is written as its number."""

        def __init__(self, number):
            self.number = number

    class Pickler(pickle.Pickler):
        known = ()

        def persistent_id(self, value):
            if isinstance(value, Numbered):
                return value.number
            if value is not torch.nn.Linear or value in self.known:
                return None
            self.known = (value,)
            return value, "", ""

    def pickled(value):
        out = io.BytesIO()
        Pickler(out, protocol=2).dump(value)
        return out.getvalue()

    whole = torch.arange(6, dtype=torch.float32) / 2
    storages = pickled(3)
    for key, data, kind in ((10, whole, torch.FloatStorage), (11, torch.tensor([7, -8]), torch.LongStorage),
                            (12, torch.ones(2, dtype=torch.float64), torch.DoubleStorage)):
        storages += pickled((key, "cpu", kind)) + struct.pack("<q", data.numel()) + data.numpy().tobytes()
    storages += pickled([(20, 10, 2, 3)])  # elements 2..4 of the first
    tensors = pickled(4)
    for key, storage, kind, sizes, strides, offset in (
            (30, 10, torch.FloatTensor, (2, 3), (3, 1), 0), (31, 10, torch.FloatTensor, (3, 2), (1, 3), 0),
            (32, 11, torch.LongTensor, (2,), (1,), 0), (33, 20, torch.FloatTensor, (2,), (1,), 1)):
        n = len(sizes)
        tensors += pickled((key, storage, kind)) + struct.pack(f"<ii{n}q{n}qq", n, 0, *sizes, *strides, offset)
    state = collections.OrderedDict(weight=Numbered(30), transposed=Numbered(31), steps=Numbered(32), part=Numbered(33))
    whole_file = {"model": state, "epoch": 3, "class": torch.nn.Linear, "storage": Numbered(12)}
    with tarfile.open(path("tar_0_1.pt"), "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("sys_info", pickled({"protocol_version": 1000, "little_endian": True})),
                           ("pickle", pickled(whole_file)), ("tensors", tensors), ("storages", storages)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    read = torch.load(path("tar_0_1.pt"), weights_only=False)
    assert read["model"]["part"].tolist() == [1.5, 2.0] and read["model"]["transposed"].tolist()[1] == [0.5, 2.0]
    assert read["model"]["steps"].tolist() == [7, -8] and read["class"] is torch.nn.Linear


if __name__ == "__main__":
    with_numpy() if "--numpy" in sys.argv else with_tar() if "--tar" in sys.argv else with_torch()
