// Every limit is enforced: a file that passes with the defaults is refused one below what it needs, by the limit's
// name.
#include "coppice/engine/io/limits.h"

#include <doctest/doctest.h>

#include <functional>

#include "coppice/engine.h"
#include "engine/io/io_support.h"

namespace {

using namespace coppice;

struct Bound {
  const char* name;  ///< as the message gives it
  std::uint64_t Limits::*field;
  std::uint64_t needed;  ///< least value with which the file loads
};

/// Loads with one limit set to `value`.
void load_with(const std::string& path, std::uint64_t Limits::*field, std::uint64_t value) {
  ReadOptions options;
  options.limits.*field = value;
  (void)load_tensors(path, options);
}

void check_bounds(const std::string& path, const std::vector<Bound>& bounds) {
  for (const Bound& bound : bounds) {
    CAPTURE(path);
    CAPTURE(std::string(bound.name));
    CHECK_NOTHROW(load_with(path, bound.field, bound.needed));
    CHECK_THROWS_WITH_AS(load_with(path, bound.field, bound.needed - 1), doctest::Contains(bound.name), LimitError);
  }
}

TEST_SUITE("engine/io/limits") {
  TEST_CASE("a safetensors file is refused one below each limit that it reaches, and says which") {
    const coppice::test::TempDir folder;
    const std::string path = (folder / "a.safetensors").string();
    NamedTensors tensors;
    tensors.add("first", ones({2, 3, 1}));
    tensors.add("second.weight", ones({4}));
    write_safetensors(path, tensors);
    check_bounds(path, {{"file_bytes", &Limits::file_bytes, std::filesystem::file_size(path)},
                        {"tensors", &Limits::tensors, 2},
                        {"rank", &Limits::rank, 3},
                        {"name_bytes", &Limits::name_bytes, 13}});
    CHECK_THROWS_WITH_AS(load_with(path, &Limits::header_bytes, 8), doctest::Contains("header_bytes"), LimitError);
  }

  TEST_CASE("a .pt file likewise") {
    const coppice::test::TempDir folder;
    const std::string path = (folder / "a.pt").string();
    NamedTensors tensors;
    tensors.add("first", ones({2, 3, 1}));
    write_torch(path, tensors);
    check_bounds(path,
                 {{"file_bytes", &Limits::file_bytes, std::filesystem::file_size(path)}, {"rank", &Limits::rank, 3}});
    for (const auto& [name, field] :
         {std::pair{"objects", &Limits::objects}, std::pair{"header_bytes", &Limits::header_bytes},
          std::pair{"nesting", &Limits::nesting}, std::pair{"tensors", &Limits::tensors}}) {
      CAPTURE(std::string(name));
      CHECK_THROWS_WITH_AS(load_with(path, field, 0), doctest::Contains(name), LimitError);
    }
  }
}

}  // namespace
