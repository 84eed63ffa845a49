/// What may stand in a .pt file beside plain tensors: the forms that PyTorch's versions and devices write.

#include "coppice/engine/io/torch_file.h"
#include "coppice/engine/ops/shape_ops.h"
#include "engine/io/torch_bytes.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::test::pickle;
using namespace std::string_literals;

namespace {

std::string on_device(const std::string& location) {
  return tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text(location), num(4)}) + "Q";
}

}  // namespace

TEST_SUITE("engine/io/torch_pickle") {
  TEST_CASE("tensors that were on another device are read into memory") {
    for (const char* location : {"cpu", "cuda:0", "cuda:17", "mps", "xpu:1", ""}) {
      CAPTURE(location);
      const Tensor t = one(tensor(num(0), tuple({num(4)}), tuple({num(1)}), on_device(location)));
      CHECK(t.to_vector<float>() == kValues);
    }
  }

  TEST_CASE("parameters are tensors, with and without state") {
    const std::string hooks = kHooks;
    CHECK(one(global("torch._utils", "_rebuild_parameter") + tuple({kGood, "\x88", hooks}) + "R").to_vector<float>() ==
          kValues);
    CHECK(one(global("torch._utils", "_rebuild_parameter_with_state") + tuple({kGood, "\x88", hooks, "}"}) + "R")
              .to_vector<float>() == kValues);
  }

  TEST_CASE("the _metadata of a state dict is passed over") {
    const std::string versions = "}" + text("_metadata") + kHooks + text("") + "}" + text("version") + "K\1s" + "ss";
    const NamedTensors t = read(pt(kHooks + text("w") + kGood + "s" + versions + "b", kFloats));
    CHECK(t.names() == std::vector<std::string>{"w"});
    CHECK(t.skipped().empty());
  }

  TEST_CASE("older and newer forms of a tensor") {
    CHECK(one(global("torch._utils", "_rebuild_tensor") +
              tuple({storage(4), num(0), tuple({num(4)}), tuple({num(1)})}) + "R")
              .to_vector<float>() == kValues);
    const std::string untyped =
        tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"), text("cpu"), num(16)}) + "Q";
    const Tensor v3 = one(global("torch._utils", "_rebuild_tensor_v3") +
                          tuple({untyped, num(0), tuple({num(2), num(2)}), tuple({num(1), num(2)}), kFalse, kHooks,
                                 global("torch", "float32")}) +
                          "R");
    CHECK(v3 == Tensor::of({{1, 3}, {2, 4}}));
    CHECK(
        one(rebuilt({storage(4), num(0), tuple({num(4)}), tuple({num(1)}), kFalse, kHooks, "}"})).to_vector<float>() ==
        kValues);  // with metadata
  }

  TEST_CASE("bytes that are shown as another type too: both are read, or the one that is not held is left out") {
    const std::string untyped =
        tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"), text("cpu"), num(16)}) + "Q";
    const std::string bytes = tensor(num(0), tuple({num(16)}), tuple({num(1)}), storage(16, "ByteStorage"));
    const auto shown_as = [&](const char* type, std::uint64_t count) {
      return global("torch._utils", "_rebuild_tensor_v3") +
             tuple({untyped, num(0), tuple({num(count)}), tuple({num(1)}), kFalse, kHooks, global("torch", type)}) +
             "R";
    };
    for (const bool first : {true, false}) {
      const auto both = [&](const std::string& other) {
        return read(
            pt("}(" + (first ? text("a") + bytes + text("b") + other : text("b") + other + text("a") + bytes) + "u",
               kFloats));
      };
      const NamedTensors foreign = both(shown_as("float8_e4m3fn", 16));
      CHECK(foreign.names() == std::vector<std::string>{"a"});
      CHECK(foreign.at("a").at({3}) == 0x3F);
      CHECK(foreign.skipped() == std::vector<std::string>{"b: a tensor of float8_e4m3fn"});
      const NamedTensors known = both(shown_as("float32", 4));
      CHECK(known.size() == 2);
      CHECK(known.at("b").to_vector<float>() == kValues);
    }
  }

  TEST_CASE("views of one storage: part, 0-d, empty at its end, transposed, expanded") {
    const auto view = [](std::uint64_t offset, const std::vector<std::string>& sizes,
                         const std::vector<std::string>& strides) {
      return one(tensor(num(offset), tuple(sizes), tuple(strides)));
    };
    CHECK(view(1, {num(2)}, {num(1)}) == Tensor::of({2, 3}));
    CHECK(view(3, {}, {}) == Tensor::of(4));
    CHECK(view(4, {num(0)}, {num(1)}).shape() == Shape{0});
    CHECK(view(0, {num(2), num(0), num(7)}, {num(7), num(7), num(1)}).shape() == Shape{2, 0, 7});
    CHECK(view(0, {num(2), num(2)}, {num(1), num(2)}) == Tensor::of({{1, 3}, {2, 4}}));
    CHECK(view(2, {num(2), num(3)}, {num(1), num(0)}) == Tensor::of({{3, 3, 3}, {4, 4, 4}}));
    CHECK(view(0, {num(2), num(2)}, {num(1), num(1)}) == Tensor::of({{1, 2}, {2, 3}}));  // overlapping
    CHECK(view(1, {num(1), num(2)}, {num(1000), num(2)}) ==
          Tensor::of({{2, 4}}));  // the stride of an axis of 1 is free
  }

  TEST_CASE("integers in every width") {
    for (const std::string& four : {"K\4"s, "M\4\0"s, "J\4\0\0\0"s, "\x8A\1\4"s, "\x8A\x8\4\0\0\0\0\0\0\0"s})
      CHECK(one(tensor("K"s + '\0', tuple({four}), tuple({"K\1"}))).to_vector<float>() == kValues);
  }

  TEST_CASE("2,501 entries in batches of 1,000 and one, with memo entries beyond 255, keep their order") {
    const std::string memo = "r" + le(100'000, 4), again = "j" + le(100'000, 4);
    std::string body = kHooks;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < 2501; ++i) {
      if (i % 1000 == 0 && i < 2500) body += "(";
      names.push_back(cat("t", i));
      body += text(names.back()) + (i == 0 ? kGood + memo : again);
      if (i == 999 || i == 1999 || i == 2499) body += "u";
      if (i == 2500) body += "s";
    }
    const NamedTensors t = read(pt(body, kFloats));
    CHECK(t.names() == names);
    CHECK(t.at("t2500").to_vector<float>() == kValues);
    CHECK(t.at("t2500").shares_storage(t.at("t0")));
  }

  TEST_CASE("hooks may be None, as in old files") {
    CHECK(one(rebuilt({storage(4), num(0), tuple({num(4)}), tuple({num(1)}), kFalse, "N"})).to_vector<float>() ==
          kValues);
  }

  TEST_CASE("a tensor whose metadata says so is the negative of what is stored") {
    const auto made = [](const std::string& bits, const std::string& held, const std::string& data,
                         const std::string& size = num(4)) {
      return read(pt(dict(rebuilt({held, num(0), tuple({size}), tuple({num(1)}), kFalse, kHooks, bits})), data))
          .at("w");
    };
    const std::string neg = "}" + text("neg") + kTrue + "s", floats = storage(4);
    CHECK(made(neg, floats, kFloats).to_vector<float>() == std::vector<float>{-1, -2, -3, -4});
    CHECK(made("}" + text("neg") + kFalse + "s", floats, kFloats).to_vector<float>() == kValues);
    CHECK(made("}" + text("conj") + kTrue + "s", floats, kFloats).to_vector<float>() == kValues);
    CHECK(made("N", floats, kFloats).to_vector<float>() == kValues);
    CHECK(made(neg, storage(4, "CharStorage"), "\1\x80\x7F\0"s).to_vector<std::int64_t>() ==
          std::vector<std::int64_t>{-1, -128, -127, 0});
    CHECK(made(neg, storage(2, "LongStorage"), le(5, 8) + le(UINT64_MAX, 8), num(2)).to_vector<std::int64_t>() ==
          std::vector<std::int64_t>{-5, 1});
    CHECK(made(neg, storage(2, "HalfStorage"), le(0x3C00, 2) + le(0x8000, 2), num(2)).to_vector<float>() ==
          std::vector<float>{-1, 0});
    CHECK(made(neg, storage(1, "DoubleStorage"), le(0x3FF0000000000000, 8), num(1)).item<double>() == -1);
  }

  TEST_CASE("tensors of classes of their own, and parameters with attributes") {
    const std::string args = tuple({storage(4), num(0), tuple({num(4)}), tuple({num(1)}), kFalse, kHooks});
    const std::string state = "}" + text("note") + "K\1s" + text("more") + kGood + "s";
    const NamedTensors typed =
        read(pt(dict(global("torch._tensor", "_rebuild_from_type_v2") +
                     tuple({global("torch._utils", "_rebuild_tensor_v2"), global("my", "Tensor"), args, state}) + "R"),
                kFloats));
    CHECK(typed.names() == std::vector<std::string>{"w", "w.more"});
    CHECK(typed.at("w").to_vector<float>() == kValues);
    CHECK(typed.skipped() == std::vector<std::string>{"w: attributes of the tensor"});
    const NamedTensors parameter = read(pt(dict(global("torch._utils", "_rebuild_parameter_with_state") +
                                                tuple({kGood, kFalse, kHooks, "}" + text("tag") + "K\1s"}) + "R"),
                                           kFloats));
    CHECK(parameter.at("w").to_vector<float>() == kValues);
    CHECK(parameter.skipped() == std::vector<std::string>{"w: attributes of the tensor"});
    const NamedTensors unknown =
        read(pt(dict(global("torch._tensor", "_rebuild_from_type_v2") +
                     tuple({global("my", "rebuild"), global("my", "Tensor"), tuple({kGood}), "}"}) + "R"),
                kFloats));
    CHECK(unknown.at("w.0").to_vector<float>() == kValues);
    CHECK(unknown.skipped() == std::vector<std::string>{"w: my.Tensor, but for its tensors"});
  }

  TEST_CASE("tensors as PyTorch before 0.4 wrote them: built from a state, in variables, in parameters of one") {
    const std::string state = tuple({storage(4), num(0), tuple({num(4)}), tuple({num(1)})});
    const std::string built = global("torch", "FloatTensor") + ")R" + state + "b";
    CHECK(one(built).to_vector<float>() == kValues);
    CHECK(one(global("torch.autograd.variable", "Variable") + tuple({built}) + "R" + tuple({kFalse, kFalse, "N"}) + "b")
              .to_vector<float>() == kValues);
    CHECK(one(global("torch.nn.parameter", "Parameter") + tuple({built}) + "\x81").to_vector<float>() == kValues);
    CHECK(one(global("torch.autograd.variable", "Variable") + ")\x81" + tuple({built, "N", "N", kFalse, kFalse}) + "b")
              .to_vector<float>() == kValues);
  }

  TEST_CASE("every kind of tensor that is not held is named") {
    const auto said = [](const std::string& function, const std::string& args) {
      return read(pt(dict(global("torch._utils", function) + args + "R"))).skipped();
    };
    using Lines = std::vector<std::string>;
    CHECK(said("_rebuild_meta_tensor_no_storage", tuple({global("torch", "float32"), "))", kFalse})) ==
          Lines{"w: a meta tensor, which has no values"});
    CHECK(said("_rebuild_sparse_csr_tensor", tuple({"N", tuple({kGood, kGood, kGood})})) ==
          Lines{"w: a sparse tensor"});
    CHECK(said("_rebuild_nested_tensor", tuple({kGood, kGood, kGood, kGood})) == Lines{"w: a nested tensor"});
    CHECK(said("_rebuild_device_tensor_from_cpu_tensor",
               tuple({kGood, global("torch", "float16"), text("xla"), kFalse})) ==
          Lines{"w: a tensor of another device and type"});
    CHECK(one(global("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") +
              tuple({kGood, global("torch", "float32"), text("xla"), kFalse}) + "R")
              .to_vector<float>() == kValues);
    const std::string odd =
        tuple({text("storage"), global("torch", "OddStorage"), text("0"), text("cpu"), num(4)}) + "Q";
    CHECK(read(pt(dict(tensor(num(0), tuple({num(4)}), tuple({num(1)}), odd)))).skipped() ==
          Lines{"w: a tensor of OddStorage"});
  }

  TEST_CASE("pickles of protocols 0 to 5: numbers, texts, bytes, sets, frames, memo") {
    const auto whole = [](const std::string& pickle) { return read(raw_pt(pickle, kFloats)); };
    const std::string four = "(I4\ntp1\n", one_step = "(I1\ntp2\n";
    const std::string old = "(dp0\n" + text("w") + global("torch._utils", "_rebuild_tensor_v2") + "(" + storage(4) +
                            "I0\n" + four + one_step + "I00\n" + kHooks + "tRp3\ns" + text("n") +
                            "(lp4\nI-5\naL12345678901234567890L\naF0.5\naS'text'\naV\\u00e9\nag1\nas.";
    CHECK(whole(old).at("w").to_vector<float>() == kValues);
    CHECK(whole(old).skipped() == std::vector<std::string>{"n"});
    const std::string name = "\x8C\1w\x94", module = "\x8C\x0Ctorch._utils\x94\x8C\x12_rebuild_tensor_v2\x94\x93\x94";
    const std::string args = "(" + storage(4) + "K\0K\4\x85\x94K\1\x85\x94\x89"s + kHooks + "t\x94R\x94"s;
    const std::string more =
        "\x8C\1n(\x8F(K\1K\2\x90(K\3\x91"
        "C\2abB\1\0\0\0c\x8E\1\0\0\0\0\0\0\0d"s
        "\x96\1\0\0\0\0\0\0\0e\x8D\1\0\0\0\0\0\0\0f\x8B\1\0\0\0\7K\0010l"s;
    for (const char protocol : {3, 4, 5}) {
      const std::string body = "}\x94(" + name + module + args + more + "u.";
      const NamedTensors t = whole("\x80"s + protocol + "\x95" + le(body.size(), 8) + body);
      CHECK(t.at("w").to_vector<float>() == kValues);
      CHECK(t.skipped() == std::vector<std::string>{"n"});
    }
  }

  TEST_CASE("keys that are numbers, and what is no tensor") {
    const NamedTensors t = read(
        pt("}K\7" + kGood + "s" + text("n") + "G" + std::string(8, '\0') + "s" + text("t") + "\x88" + "s", kFloats));
    CHECK(t.names() == std::vector<std::string>{"7"});
    CHECK(t.skipped() == std::vector<std::string>{"n", "t"});
  }

  TEST_CASE("archives: any root, any version up to 10, unknown members, deflated ones, unaligned data") {
    const std::string body = "\x80\2" + dict(kGood) + ".";
    for (const char* version : {"3\n", "3", "1", "10\r\n"}) {
      CAPTURE(version);
      CHECK(read(make_zip({{"a b/data.pkl", body}, {"a b/data/0", kFloats}, {"a b/version", version}}))
                .at("w")
                .to_vector<float>() == kValues);
    }
    CHECK(read(make_zip({{"m/data.pkl", body},
                         {"m/.format_version", "1"},
                         {"m/.storage_alignment", "64"},
                         {"m/byteorder", "little"},
                         {"m/data/0", kFloats},
                         {"m/data/99", "never named"},
                         {"m/extra/notes.txt", "hello"},
                         {"m/version", "3\n"},
                         {"m/.data/serialization_id", "0123456789"}}))
              .at("w")
              .to_vector<float>() == kValues);
    CHECK(read(make_zip({packed("m/data.pkl", body), packed("m/data/0", kFloats), {"m/version", "3\n"}}))
              .at("w")
              .to_vector<float>() == kValues);
    for (const char* version : {"0", "11", "-3", "3x", ""}) {
      CAPTURE(version);
      CHECK(outcome([&] {
              return read(make_zip({{"m/data.pkl", body}, {"m/data/0", kFloats}, {"m/version", version}}));
            }).starts_with("FormatError"));
    }
  }

  TEST_CASE("what is written has the integers, names and counts that need more than a byte") {
    const TempDir dir;
    NamedTensors tensors;
    Tensor wide = Tensor::empty({70000, 2}, Dtype::i8);
    wide.fill_(3);
    tensors.add("wide", wide);
    tensors.add("short", Tensor::empty({300, 1}, Dtype::u8).fill_(1));
    tensors.add(std::string(3000, 'n'), Tensor::of(1));
    for (int i = 0; i < 1500; ++i) tensors.add(cat("many.", i), Tensor::of({static_cast<double>(i)}));
    write_torch(dir / "t.pt", tensors);
    check_same_bits(read_torch(dir / "t.pt"), tensors);
    const Tensor big = Tensor::empty({10, 10'000}).fill_(2), row = narrow(big, 0, 3, 1);
    REQUIRE(row.shares_storage(big));
    write_torch(dir / "row.pt", {{"row", row}});
    CHECK(std::filesystem::file_size(dir / "row.pt") < 41'000);  // PyTorch would write all 400,000 bytes
    CHECK(read_torch(dir / "row.pt").at("row") == row);
    write_torch(dir / "empty.pt", {});
    CHECK(read_torch(dir / "empty.pt").empty());
  }
}
