#include "coppice/engine/io/npy.h"

#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

/// 0, 1/8, 2/8 … of shape (2, 3, 4): the array of the fixtures.
Tensor cube() {
  Tensor t = Tensor::empty({2, 3, 4});
  for (std::int64_t i = 0; i < 24; ++i)
    t.mutable_data<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i) / 8;
  return t;
}

}  // namespace

TEST_SUITE("engine/io/npy") {
  TEST_CASE("every element type and shape comes back bit for bit") {
    const TempDir dir;
    for (const auto& [name, tensor] : every_kind(false)) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      write_npy(dir / "t.npy", tensor);
      check_same_bits({{"t", read_npy(dir / "t.npy")}}, {{"t", tensor}});
      check_same_bits({{"t", read_npy(dir / "t.npy", {.map = false})}}, {{"t", tensor}});
      CHECK(slurp(dir / "t.npy").find('\n') % 64 == 63);
    }
  }

  TEST_CASE("the bytes are those that numpy.save writes") {
    const TempDir dir;
    Tensor scalar = Tensor::of(1.5);
    write_npy(dir / "t.npy", scalar);
    CHECK(slurp(dir / "t.npy") == slurp(kData / "torch/scalar.npy"));
    write_npy(dir / "t.npy", Tensor::empty({0, 3}, Dtype::f16));
    CHECK(slurp(dir / "t.npy") == slurp(kData / "torch/empty.npy"));
    write_npy(dir / "t.npy", read_npy(kData / "mlp_digits_logits.npy"));
    CHECK(slurp(dir / "t.npy") == slurp(kData / "mlp_digits_logits.npy"));
  }

  TEST_CASE("big-endian and column-major arrays have the right values") {
    const auto read = [](const char* name) { return read_npy(kData / "torch" / name); };
    CHECK(read("big_endian.npy") == cube());
    CHECK(read("fortran_3.npy") == cube());
    CHECK(read("fortran_big_endian.npy") == cube().to(Dtype::f64));
    CHECK(read("version_2.npy") == cube());
    CHECK(read("version_3.npy") == cube());
    const Tensor flat = read("fortran_2.npy");
    CHECK(flat.shape() == Shape{3, 4});
    CHECK(flat.at({2, 1}) == 9.0 / 8);
    CHECK(read("big_endian_i2.npy").to_vector<std::int64_t>() == std::vector<std::int64_t>{-2, 258});
  }

  TEST_CASE("fortran_order means nothing for rank 0 and 1 and the reverse order of axes up to rank 5") {
    const TempDir dir;
    for (int rank = 0; rank <= 5; ++rank) {
      CAPTURE(rank);
      std::string shape = "(";
      std::vector<std::int64_t> sizes;
      for (int axis = 0; axis < rank; ++axis) {
        sizes.push_back(axis + 1);
        shape += std::to_string(axis + 1) + ",";
      }
      const Shape s(sizes);
      std::string data;
      for (std::int64_t i = 0; i < s.numel(); ++i) data += static_cast<char>(i);
      const std::string header = "{'descr': '|u1', 'fortran_order': True, 'shape': " + shape + ")}\n";
      spill(dir / "t.npy", "\x93NUMPY\1" + le(0, 1) + le(header.size(), 2) + header + data);
      const Tensor t = read_npy(dir / "t.npy");
      CHECK(t.shape() == s);
      // The element before the last along every axis stands where the column-major strides say.
      std::int64_t at = 0, stride = 1, flat = 0;
      for (const std::int64_t size : sizes) {
        const std::int64_t i = size > 1 ? size - 2 : 0;
        at += i * stride;
        stride *= size;
        flat = flat * size + i;
      }
      CHECK(t.data<std::uint8_t>()[static_cast<std::size_t>(flat)] == at);
    }
  }

  TEST_CASE("headers as other writers make them are read") {
    const TempDir dir;
    for (const char* header : {"{\"descr\":\"<i2\",\"fortran_order\":False,\"shape\":(2,)}",
                               "{ 'shape' : ( 2 , ) , 'fortran_order' : False , 'descr' : '=i2' , }   \n",
                               "{'descr': '<i2', 'fortran_order': False, 'shape': (2L,), }\n"}) {
      CAPTURE(header);
      spill(dir / "t.npy", "\x93NUMPY\1" + le(0, 1) + le(std::string_view(header).size(), 2) + header + "\1\0\2\0"s);
      CHECK(read_npy(dir / "t.npy").to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 2});
    }
  }

  TEST_CASE("an archive comes back in order, and NumPy's archives are read, stored and deflated") {
    const TempDir dir;
    write_npz(dir / "t.npz", every_kind(false));
    for (const bool map : {true, false}) check_same_bits(read_npz(dir / "t.npz", {.map = map}), every_kind(false));
    const NamedTensors stored = read_npz(kData / "torch/stored.npz");
    CHECK(stored.names() == std::vector<std::string>{"a", "b"});
    CHECK(stored.at("a").to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
    CHECK(stored.at("b").item() == 2.5);
    const NamedTensors deflated = read_npz(kData / "torch/expected.npz");
    CHECK(deflated.at("i8").to_vector<std::int64_t>() == std::vector<std::int64_t>{-128, 127});
    CHECK(deflated.at("permuted").shape() == Shape{4, 2, 3});
  }

  TEST_CASE("members that are no arrays are listed") {
    const TempDir dir;
    spill(dir / "t.npz", make_zip({{"a.npy", slurp(kData / "torch/scalar.npy")}, {"notes.txt", "hello"}}));
    const NamedTensors t = read_npz(dir / "t.npz");
    CHECK(t.names() == std::vector<std::string>{"a"});
    CHECK(t.skipped() == std::vector<std::string>{"notes.txt"});
  }

  TEST_CASE("what NumPy's files cannot hold is refused before a file is made") {
    const TempDir dir;
    const Tensor b = Tensor::empty({2}, Dtype::bf16);
    CHECK(outcome([&] {
            write_npy(dir / "t.npy", b);
            return 0;
          }).starts_with("DtypeError: [write_npy] NumPy has no bfloat16"));
    CHECK(outcome([&] {
            write_npz(dir / "t.npz", {{"b", b}});
            return 0;
          }).starts_with("DtypeError: [write_npz]"));
    CHECK(outcome([&] {
            write_npz(dir / "t.npz", {{"../b", Tensor::of(1)}});
            return 0;
          }).starts_with("ValueError"));
    CHECK(dir.size() == 0);
  }
}
