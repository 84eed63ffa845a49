#include "coppice/engine/io/safetensors.h"

#include "coppice/engine/io/npy.h"
#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("engine/io/safetensors") {
  TEST_CASE("every element type and shape comes back bit for bit, in the given order, with the metadata") {
    const TempDir dir;
    NamedTensors tensors = every_kind();
    tensors.metadata() = {{"format", "pt"}, {"quote\"", "line\nbreak \u00e4"}};
    using Order = SafetensorsWriteOptions::DataOrder;
    for (const Order order : {Order::reference, Order::given})
      for (const bool map : {true, false}) {
        write_safetensors(dir / "t.safetensors", tensors, {.data_order = order});
        const NamedTensors back = read_safetensors(dir / "t.safetensors", {.map = map});
        check_same_bits(back, tensors);
        CHECK(back.metadata() == tensors.metadata());
      }
  }

  TEST_CASE("the file looks as the format says") {
    const TempDir dir;
    NamedTensors t;
    t.add("b", Tensor::of({1, 2}));
    t.add("a", Tensor::of(3).reshape({1, 1}));
    t.metadata()["k"] = "v";
    write_safetensors(dir / "t.safetensors", t);
    std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
                         R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})";
    header.resize(184, ' ');
    CHECK(slurp(dir / "t.safetensors") == le(184, 8) + header + std::string("\0\0\x40\x40\0\0\x80\x3f\0\0\0\x40", 12));
  }

  TEST_CASE("larger element types come first in the data, and the data begins at a multiple of 64") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", every_kind());
    const SafetensorsHeader header = read_safetensors_header(dir / "t.safetensors");
    CHECK(header.data_begin % 64 == 0);
    for (const SafetensorsEntry& entry : header.entries) {
      CAPTURE(entry.name);
      CHECK(entry.begin % itemsize(*entry.dtype) == 0);
    }
    CHECK(header.entries[0].name == "f32");
    CHECK(header.entries[0].dtype_name == "F32");
    CHECK(header.entries[0].shape == Shape{2, 3});
    CHECK(header.entries[0].end - header.entries[0].begin == 24);
  }

  TEST_CASE("a file of the reference implementation has the values that NumPy wrote, and ours has the same data") {
    const TempDir dir;
    const NamedTensors expected = read_npz(kData / "torch/expected.npz");
    const NamedTensors read = read_safetensors(kData / "torch/reference.safetensors");
    CHECK(read.metadata().at("made by") == "safetensors");
    CHECK(read.size() == expected.size());
    for (const auto& [name, tensor] : read) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      const Tensor value = tensor.dtype() == Dtype::bf16 ? tensor.to(Dtype::f32) : tensor;
      check_same_bits({{name, value}}, {{name, expected.at(name)}});
    }
    write_safetensors(dir / "t.safetensors", read);
    const auto data = [](const std::filesystem::path& path) {
      return slurp(path).substr(read_safetensors_header(path).data_begin);
    };
    CHECK(data(dir / "t.safetensors") == data(kData / "torch/reference.safetensors"));
  }

  TEST_CASE("no tensors, and a header that only has metadata, are files too") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", {});
    CHECK(read_safetensors(dir / "t.safetensors").empty());
    NamedTensors only;
    only.metadata()["a"] = "b";
    write_safetensors(dir / "t.safetensors", only);
    CHECK(read_safetensors(dir / "t.safetensors").metadata().at("a") == "b");
    spill(dir / "t.safetensors", le(2, 8) + "{}");
    CHECK(read_safetensors(dir / "t.safetensors").empty());
  }

  TEST_CASE("white space around the header and unaligned data are read") {
    const TempDir dir;
    const std::string header =
        " \n\t{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]},"
        "\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}\r\n ";
    const double values[2] = {1.5, -2};
    spill(dir / "t.safetensors",
          le(header.size(), 8) + header + "\7" + std::string(reinterpret_cast<const char*>(values), 16));
    const NamedTensors t = read_safetensors(dir / "t.safetensors");
    CHECK(t.at("x").to_vector<double>() == std::vector<double>{1.5, -2});
    CHECK(t.at("y").item() == 7);
    CHECK(reinterpret_cast<std::uintptr_t>(t.at("x").bytes()) % 8 == 0);
  }

  TEST_CASE("tensors are shown in the mapped file and may be written without changing it") {
    const TempDir dir;
    NamedTensors t;
    t.add("w", Tensor::empty({100000}));
    Tensor(t.at("w")).fill_(1);
    write_safetensors(dir / "t.safetensors", t);
    const std::string before = slurp(dir / "t.safetensors");
    Tensor w = read_safetensors(dir / "t.safetensors").at("w");
    w.fill_(2);
    CHECK(w.at({99999}) == 2);
    CHECK(slurp(dir / "t.safetensors") == before);
    CHECK(read_safetensors(dir / "t.safetensors").at("w").at({0}) == 1);
  }

  TEST_CASE("saving over the file that is loaded is safe") {
    const TempDir dir;
    NamedTensors t;
    t.add("w", Tensor::empty({100000}));
    Tensor(t.at("w")).fill_(3);
    write_safetensors(dir / "t.safetensors", t);
    NamedTensors loaded = read_safetensors(dir / "t.safetensors");
    write_safetensors(dir / "t.safetensors", loaded);
    CHECK(loaded.at("w").at({99999}) == 3);
    check_same_bits(read_safetensors(dir / "t.safetensors"), t);
  }

  TEST_CASE("metadata may have a key that no tensor may have: what was read can be written") {
    const TempDir dir;
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"__metadata__":"x","k":"v"}})"));
    const NamedTensors read = read_safetensors(dir / "t.safetensors");
    write_safetensors(dir / "copy.safetensors", read);
    CHECK(read_safetensors(dir / "copy.safetensors").metadata() == read.metadata());
  }

  TEST_CASE("names that the format cannot hold are refused before a file is made") {
    const TempDir dir;
    for (const std::string& name : {std::string("__metadata__"), std::string("a\0b", 3), std::string("\xFF")}) {
      CHECK(outcome([&] {
              write_safetensors(dir / "t.safetensors", {{name, Tensor::of(1)}});
              return 0;
            }).starts_with("ValueError: [write_safetensors] "));
      CHECK(dir.size() == 0);
    }
    CHECK(outcome([&] {
            write_safetensors(dir / "t.safetensors", {}, {.alignment = 12});
            return 0;
          }).starts_with("ValueError"));
  }

  TEST_CASE("element types that the library lacks are left out by name, and refused when reading is strict") {
    const TempDir dir;
    const std::string header = R"({"u":{"dtype":"U16","shape":[2,1],"data_offsets":[0,4]},)"
                               R"("c":{"dtype":"C64","shape":[0],"data_offsets":[4,4]},)"
                               R"("x":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[4,7]},)"
                               R"("y":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})";
    spill(dir / "t.safetensors", st(header, "abcdefg\7"));
    CHECK(read_safetensors_header(dir / "t.safetensors").entries[2].dtype_name == "F8_E4M3");
    const NamedTensors read = read_safetensors(dir / "t.safetensors");
    CHECK(read.names() == std::vector<std::string>{"y"});
    CHECK(read.at("y").item() == 7);
    CHECK(read.skipped() == std::vector<std::string>{
                                "u: U16 of shape (2, 1)", "c: C64 of shape (0,)",
                                "x: F8_E4M3 of shape (3,) (ReadOptions::widen_f8, --widen-f8, reads it as float32)"});
    const std::string said = outcome([&] { return read_safetensors(dir / "t.safetensors", {.strict = true}); });
    CHECK(said.starts_with("NotSupported"));
    CHECK(said.find("tensor 'u' has element type U16, which this library does not have") != said.npos);
  }

  TEST_CASE("what is left out keeps to the rules of the format, and its checksum is compared") {
    const TempDir dir;
    spill(dir / "t.safetensors", st(R"({"u":{"dtype":"U16","shape":[2],"data_offsets":[0,3]}})", "abc"));
    CHECK(outcome([&] { return read_safetensors(dir / "t.safetensors"); }).find("need 4 bytes") != std::string::npos);
  }

  TEST_CASE("metadata that is null is none") {
    const TempDir dir;
    for (const char* header : {R"({"__metadata__":null,"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                               R"({"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}, "__metadata__" : null})"}) {
      spill(dir / "t.safetensors", st(header, "\7"));
      const NamedTensors read = read_safetensors(dir / "t.safetensors");
      CHECK(read.at("y").item() == 7);
      CHECK(read.metadata().empty());
    }
    spill(dir / "t.safetensors", st(R"({"__metadata__":null,"__metadata__":null})"));
    CHECK(outcome([&] { return read_safetensors(dir / "t.safetensors"); }).find("stands twice") != std::string::npos);
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"k":null}})"));
    CHECK(outcome([&] { return read_safetensors(dir / "t.safetensors"); }).find("it is null") != std::string::npos);
  }

  TEST_CASE("limits are options of the call") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", every_kind());
    const auto said = [&](const Limits& limits) {
      return outcome([&] { return read_safetensors(dir / "t.safetensors", {.limits = limits}); });
    };
    CHECK(said({.header_bytes = 100}).find("(raise Limits::header_bytes)") != std::string::npos);
    CHECK(said({.tensors = 3}).find("(raise Limits::tensors)") != std::string::npos);
    CHECK(said({.rank = 1}).find("(raise Limits::rank)") != std::string::npos);
    CHECK(said({.name_bytes = 2}).find("(raise Limits::name_bytes)") != std::string::npos);
    CHECK(said({}) == "accepted");
  }
}
