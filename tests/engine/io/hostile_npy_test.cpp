/// Hostile .npy files: each must be refused with its category and rule.

#include "coppice/engine/io/npy.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

TEST_SUITE("engine/io/hostile_npy") {
  TEST_CASE("each hostile array is refused with its rule") {
    check_refused(npy_cases(), "hostile.npy", [](const std::filesystem::path& path) { return read_npy(path); });
  }

  TEST_CASE("the same arrays inside an archive are refused too, those of other types by strict reading") {
    std::vector<Hostile> members = npy_cases();
    for (Hostile& row : members) row.bytes = make_zip({{"x.npy", row.bytes}});
    check_refused(members, "hostile.npz",
                  [](const std::filesystem::path& path) { return read_npz(path, {.strict = true}); });
  }

  TEST_CASE("types that NumPy's own files show are refused by name") {
    const auto said = [](const char* name) { return outcome([&] { return read_npy(kData / "torch" / name); }); };
    CHECK(said("refused_object.npy").starts_with("FormatError"));
    CHECK(said("refused_record.npy").starts_with("FormatError"));
    CHECK(said("refused_text.npy").starts_with("FormatError"));
    CHECK(said("refused_date.npy").starts_with("FormatError"));
    CHECK(said("refused_complex.npy").starts_with("NotSupported"));
  }
}
