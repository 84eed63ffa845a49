/// Hostile safetensors files: each must be refused with its category and rule, and cost next to nothing.

#include "coppice/engine/io/safetensors.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

TEST_SUITE("engine/io/hostile_safetensors") {
  TEST_CASE("each hostile file is refused with its rule, mapped or read") {
    for (const bool map : {true, false}) {
      const auto read = [map](const std::filesystem::path& path) { return read_safetensors(path, {.map = map}); };
      check_refused(safetensors_structure(), "hostile.safetensors", read);
      check_refused(safetensors_values(), "hostile.safetensors", read);
    }
  }

  TEST_CASE("H07: a header just above the limit, with a sparse file behind it, is not parsed") {
    const TempDir dir;
    spill(dir / "h.safetensors", le((1u << 24) + 1, 8) + "{");
    std::filesystem::resize_file(dir / "h.safetensors", std::uintmax_t{1} << 36);
    CHECK(outcome([&] {
            return read_safetensors(dir / "h.safetensors");
          }).find("must be at most 16777216; got 16777217 (raise Limits::header_bytes)") != std::string::npos);
  }

  TEST_CASE("H11: hundreds of thousands of entries are read, or refused by a limit") {
    const TempDir dir;
    std::string header = "{";
    for (int i = 0; i < 200000; ++i)
      header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
    header.back() = '}';
    spill(dir / "h.safetensors", st(header));
    CHECK(read_safetensors(dir / "h.safetensors").size() == 200000);
    CHECK(outcome([&] {
            return read_safetensors(dir / "h.safetensors", {.limits = {.tensors = 1000}});
          }).starts_with("LimitError"));
  }

  TEST_CASE("every byte of a small file may be wrong: refused, or read without harm") {
    const TempDir dir;
    write_safetensors(dir / "good.safetensors", {{"a", Tensor::of({1, 2})}, {"b", Tensor::empty({2}, Dtype::i64)}},
                      {.alignment = 8});
    const std::string good = slurp(dir / "good.safetensors");
    std::size_t refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i)
      for (const int flip : {1, 16, 128}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        spill(dir / "h.safetensors", bytes);
        refused += outcome([&] { return read_safetensors(dir / "h.safetensors").nbytes(); }) != "accepted";
      }
    CHECK(refused > good.size());
  }
}
