#include "coppice/engine/io/torch_file.h"
#include "coppice/engine/ops/quantized.h"

#include <cmath>

#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/shape_ops.h"
#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

TEST_SUITE("engine/io/torch_file") {
  TEST_CASE("files of both PyTorch versions and both formats have the values that NumPy wrote") {
    const NamedTensors expected = read_npz(kData / "torch/expected.npz");
    REQUIRE(expected.size() == 22);
    for (const char* name : {"tensors_1_13.pt", "tensors_2_13.pt", "legacy_1_13.pt", "legacy_2_13.pt"})
      for (const bool map : {true, false}) {
        CAPTURE(name);
        NamedTensors read = read_torch(kData / "torch" / name, {.map = map});
        CHECK(read.at("bf16").dtype() == Dtype::bf16);
        read.set("bf16", read.at("bf16").to(Dtype::f32));
        check_same_bits(read, expected);
      }
  }

  TEST_CASE("views of one storage share it when they are row-major, and others are copies") {
    for (const char* name : {"tensors_1_13.pt", "legacy_1_13.pt", "tensors_2_13.pt"}) {
      CAPTURE(name);
      const NamedTensors t = read_torch(kData / "torch" / name);
      CHECK(t.at("tied.a").shares_storage(t.at("tied.b")));
      CHECK(t.at("rows").shares_storage(t.at("whole")));
      CHECK(t.at("rows").bytes() == t.at("whole").bytes() + 24);
      CHECK(!t.at("transposed").shares_storage(t.at("whole")));
      CHECK(!t.at("f32").shares_storage(t.at("whole")));
    }
  }

  TEST_CASE("a checkpoint's nested tensors get dotted names and the rest is listed") {
    for (const char* name : {"checkpoint_1_13.pt", "checkpoint_2_13.pt"}) {
      CAPTURE(name);
      const NamedTensors t = read_torch(kData / "torch" / name);
      CHECK(t.size() == 19);
      CHECK(t.begin()->first == "model.0.weight");
      CHECK(t.at("model.1.num_batches_tracked").item<std::int64_t>() == 1);
      CHECK(t.at("optimizer.state.0.exp_avg").shape() == Shape{2, 3});
      CHECK(t.skipped() ==
            std::vector<std::string>{"epoch", "history", "optimizer.param_groups", "note", "sizes", "device"});
    }
    CHECK(read_torch(kData / "torch/bare_1_13.pt").at("bare_1_13").to_vector<float>() == std::vector<float>{1, 2});
  }

  TEST_CASE("real checkpoints: names, shapes and values") {
    const NamedTensors mlp = read_torch(kData / "mlp_digits.pt");
    CHECK(mlp.names() == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"});
    CHECK(mlp.at("0.weight").shape() == Shape{300, 64});
    double sum = 0;
    for (const float x : mlp.at("4.bias").data<float>()) sum += std::abs(x);
    CHECK(sum > 0.01);
    CHECK(sum < 10);
    const NamedTensors pruned = read_torch(kData / "lenet_digits_pruned80.pt");
    const auto mask = pruned.at("6.weight_mask").data<float>();
    std::size_t zeros = 0;
    for (const float m : mask) {
      REQUIRE((m == 0 || m == 1));
      zeros += m == 0;
    }
    CHECK(zeros == 419430);  // round(0.8 * 524288)
    CHECK(read_torch(kData / "lstm_digits.pt").at("lstm.weight_hh_l0").shape() == Shape{256, 64});
  }

  TEST_CASE("what this library cannot hold is left out by name, and refused when strict") {
    const auto read = [](const std::string& name) { return read_torch(kData / "torch" / name); };
    const auto said = [](const std::string& name) {
      return outcome([&] { return read_torch(kData / "torch" / name, {.strict = true}); });
    };
    const auto left_out = [&](const std::string& name) { return read(name).skipped(); };
    using Lines = std::vector<std::string>;
    for (const std::string v : {"_1_13.pt", "_2_13.pt"}) {
      CAPTURE(v);
      CHECK(read("refused_complex" + v).names() == Lines{"a"});
      CHECK(left_out("refused_complex" + v) == Lines{"z: a tensor of ComplexFloatStorage"});
      CHECK(left_out("refused_sparse" + v) == Lines{"s: a sparse tensor"});
      CHECK(left_out("refused_quantized" + v) == Lines{"q: a quantized tensor"});
      CHECK(said("refused_complex" + v)
                .find("tensor 'z' is of a kind that this library does not have: ComplexFloatStorage") !=
            std::string::npos);
      CHECK(
          said("refused_sparse" + v).find("tensor 's' is of a kind that this library does not have: a sparse tensor") !=
          std::string::npos);
      CHECK(said("refused_quantized" + v).find("'q'") != std::string::npos);
      CHECK(said("refused_sparse" + v).starts_with("NotSupported"));
      CHECK(said("refused_module" + v).find("global 'torch.nn.modules.container.Sequential'") != std::string::npos);
      CHECK(said("refused_module" + v).starts_with("FormatError"));
      CHECK(said("refused_script" + v).find("TorchScript") != std::string::npos);
    }
    CHECK(left_out("refused_uint16_2_13.pt") == Lines{"w: a tensor of uint16"});
    CHECK(said("refused_uint16_2_13.pt").find("NotSupported") == 0);
  }

  TEST_CASE("a whole module and a TorchScript archive give the tensors of the state dict, and run no code") {
    for (const std::string v : {"_1_13.pt", "_2_13.pt"}) {
      CAPTURE(v);
      const NamedTensors state = read_torch(kData / "torch" / ("checkpoint" + v)).below("model.");
      NamedTensors module = read_torch(kData / "torch" / ("refused_module" + v));
      CHECK(module.skipped() ==
            std::vector<std::string>{
                "what holds everything: torch.nn.modules.container.Sequential, but for its tensors"});
      check_same_bits(module, state);
      const NamedTensors script = read_torch(kData / "torch" / ("refused_script" + v));
      CHECK(script.names() == std::vector<std::string>{"weight", "bias"});
      CHECK(script.at("weight").shape() == Shape{1, 2});
      REQUIRE(script.skipped().size() == 2);
      CHECK(script.skipped()[1] == "code and constants: TorchScript, which is not run");
    }
  }

  TEST_CASE("the tar archives of PyTorch before 0.1.10: tensors, views of storages, and what is no tensor") {
    for (const bool map : {true, false}) {
      const NamedTensors t = read_torch(kData / "torch/tar_0_1.pt", {.map = map});
      CHECK(t.names() == std::vector<std::string>{"model.weight", "model.transposed", "model.steps", "model.part"});
      CHECK(t.at("model.weight") == Tensor::of({{0, 0.5, 1}, {1.5, 2, 2.5}}));
      CHECK(t.at("model.transposed") == Tensor::of({{0, 1.5}, {0.5, 2}, {1, 2.5}}));
      CHECK(t.at("model.steps").to_vector<std::int64_t>() == std::vector<std::int64_t>{7, -8});
      CHECK(t.at("model.part").to_vector<float>() == std::vector<float>{1.5, 2});
      CHECK(t.at("model.part").shares_storage(t.at("model.weight")));
      CHECK(t.skipped() ==
            std::vector<std::string>{"epoch", "class: torch.nn.modules.linear.Linear", "storage: a storage"});
    }
    const TempDir dir;
    const std::string bytes = slurp(kData / "torch/tar_0_1.pt");
    const std::size_t last = bytes.find_last_not_of('\0');  // of what the archive holds
    for (std::size_t size = 0; size <= last; size += 1 + size / 37) {
      spill(dir / "t.pt", std::string_view(bytes).substr(0, size));
      CAPTURE(size);
      CHECK(outcome([&] { return read_torch(dir / "t.pt"); }).starts_with("FormatError"));
    }
  }

  TEST_CASE("what write_torch writes comes back bit for bit, ties included") {
    const TempDir dir;
    NamedTensors tensors = every_kind();
    tensors.add("tied", tensors.at("f64"));
    tensors.add("reshaped", tensors.at("f64").reshape({1, 3}));
    write_torch(dir / "t.pt", tensors);
    for (const bool map : {true, false}) {
      const NamedTensors back = read_torch(dir / "t.pt", {.map = map});
      check_same_bits(back, tensors);
      CHECK(back.at("tied").shares_storage(back.at("f64")));
      CHECK(back.at("reshaped").shares_storage(back.at("f64")));
      CHECK(!back.at("f32").shares_storage(back.at("f64")));
    }
    CHECK(outcome([&] {
            write_torch(dir / "u.pt", {{"\xFF", Tensor::of(1)}});
            return 0;
          }).starts_with("ValueError"));
    CHECK(dir.size() == 1);
  }

  TEST_CASE("views of one storage are one storage again, and what lies between them is not written") {
    const TempDir dir;
    Tensor whole = Tensor::empty({4, 1000}).fill_(1);
    const Tensor first = narrow(whole, 0, 0, 1), second = narrow(whole, 0, 1, 1), both = narrow(whole, 0, 0, 2),
                 last = narrow(whole, 0, 3, 1);
    write_torch(dir / "t.pt", {{"second", second}, {"last", last}, {"first", first}, {"both", both}});
    const NamedTensors back = read_torch(dir / "t.pt");
    CHECK(back.at("first").shares_storage(back.at("second")));
    CHECK(back.at("first").shares_storage(back.at("both")));
    CHECK(!back.at("first").shares_storage(back.at("last")));
    CHECK(back.at("second").bytes() == back.at("both").bytes() + 4000);
    CHECK(back.at("both") == both);
    CHECK(std::filesystem::file_size(dir / "t.pt") < 13'500);  // three rows
  }

  TEST_CASE("the same tensors give the same bytes") {
    const TempDir dir;
    write_torch(dir / "a.pt", every_kind());
    write_torch(dir / "b.pt", every_kind());
    CHECK(slurp(dir / "a.pt") == slurp(dir / "b.pt"));
  }

  TEST_CASE("values are shown in the mapped file at multiples of 64 bytes") {
    const TempDir dir;
    Tensor w = Tensor::empty({50000});
    w.fill_(1.5);
    write_torch(dir / "t.pt", {{"b", Tensor::of({1, 2, 3})}, {"w", w}});
    const Tensor mapped = read_torch(dir / "t.pt").at("w");
    CHECK(reinterpret_cast<std::uintptr_t>(mapped.bytes()) % 64 == 0);
    CHECK(mapped == w);
  }

  TEST_CASE("big-endian files have the right values") {
    const TempDir dir;
    write_torch(dir / "t.pt", {{"x", Tensor::of({1, -2})}, {"n", Tensor::from(std::vector<std::int64_t>{3}, {1})}});
    // The same archive without its paddings, with the bytes of each value reversed.
    std::string bytes = slurp(dir / "t.pt");
    const auto member = [&](const std::string& name, std::size_t size) {
      const std::size_t at = bytes.find(name);
      const auto extra = static_cast<unsigned char>(bytes[at - 2]) + 256u * static_cast<unsigned char>(bytes[at - 1]);
      return bytes.substr(at + name.size() + extra, size);
    };
    const std::size_t pickle_end = bytes.find("archive/byteorder");
    const std::string front = bytes.substr(0, pickle_end);
    const std::string pickle = front.substr(front.find("\x80\2c"), front.rfind("u.") + 2 - front.find("\x80\2c"));
    std::string x = member("archive/data/0", 8), n = member("archive/data/1", 8);
    x = std::string(x.rbegin() + 4, x.rend()) + std::string(x.rbegin(), x.rbegin() + 4);
    n = std::string(n.rbegin(), n.rend());
    spill(dir / "big.pt",
          make_zip(
              {{"m/data.pkl", pickle}, {"m/byteorder", "big"}, {"m/data/0", x}, {"m/data/1", n}, {"m/version", "3"}}));
    const NamedTensors t = read_torch(dir / "big.pt");
    CHECK(t.at("x").to_vector<float>() == std::vector<float>{1, -2});
    CHECK(t.at("n").item<std::int64_t>() == 3);
  }

  TEST_CASE("a flipped bit is found, unless the caller opts out") {
    const TempDir dir;
    std::string bytes = slurp(kData / "mlp_digits.pt");
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    spill(dir / "t.pt", bytes);
    CHECK(outcome([&] { return read_torch(dir / "t.pt"); }).find("is damaged: checksum") != std::string::npos);
    CHECK(outcome([&] { return read_torch(dir / "t.pt", {.verify = false}); }) == "accepted");
  }

  TEST_CASE("a file cut anywhere is refused") {
    const TempDir dir;
    for (const char* name : {"torch/tensors_1_13.pt", "torch/legacy_1_13.pt", "torch/tensors_2_13.pt"}) {
      const std::string bytes = slurp(kData / name);
      for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 37) {
        spill(dir / "t.pt", std::string_view(bytes).substr(0, size));
        const std::string said = outcome([&] { return read_torch(dir / "t.pt"); });
        CAPTURE(said);
        CAPTURE(size);
        CHECK(said.starts_with("FormatError"));
      }
    }
  }

  TEST_CASE("quantised tensors are refused by name when writing, and no file comes of it") {
    const TempDir dir;
    const NamedTensors tensors{{"w", quantize_per_tensor(Tensor::of({1, 1}), 0.5, 3, Dtype::quint8)}};
    CHECK_THROWS_AS(write_torch(dir / "q.pt", tensors), NotSupported);
    CHECK_FALSE(std::filesystem::exists(dir / "q.pt"));
  }
}
