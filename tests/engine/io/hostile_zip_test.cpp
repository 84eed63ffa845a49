/// Hostile archives, read as .npz: each must be refused with its category and rule.

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/torch_file.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

const std::string kA = zeros(3);

}  // namespace

TEST_SUITE("engine/io/hostile_zip") {
  TEST_CASE("each hostile archive is refused with its rule") {
    check_refused(zip_cases(), "hostile.npz", [](const std::filesystem::path& path) { return read_npz(path); });
  }

  TEST_CASE("the plain archive that they are made from is read") {
    const TempDir dir;
    spill(dir / "t.npz", make_zip({{"a.npy", kA}, packed("b.npy", kA), {"folder/", ""}}));
    CHECK(read_npz(dir / "t.npz").names() == std::vector<std::string>{"a", "b"});
    CHECK(read_npz(dir / "t.npz").at("b").shape() == Shape{3});
  }

  TEST_CASE("H69: the checksum is not compared when the caller says so") {
    const TempDir dir;
    spill(dir / "t.npz", make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "", 1}}));
    CHECK(read_npz(dir / "t.npz", {.verify = false}).size() == 1);
  }

  TEST_CASE("H66: the sum of inflated members is limited") {
    const TempDir dir;
    const std::string member = zeros(1u << 20);
    std::vector<Member> members;
    for (int i = 0; i < 5; ++i) members.push_back(packed(std::to_string(i) + ".npy", member));
    spill(dir / "t.npz", make_zip(members));
    CHECK(read_npz(dir / "t.npz").size() == 5);
    CHECK(outcome([&] {
            return read_npz(dir / "t.npz", {.limits = {.extra_bytes = 3u << 20}});
          }).find("raise Limits::extra_bytes") != std::string::npos);
  }

  TEST_CASE("H72: archives inside archives are not searched") {
    const TempDir dir;
    spill(dir / "t.pt", make_zip({{"model.pt", make_zip({{"m/data.pkl", "\x80\2}."}})}}));
    CHECK(outcome([&] { return load_tensors(dir / "t.pt"); }).find("it was not written by torch.save") !=
          std::string::npos);
  }

  TEST_CASE("every byte of an archive's headers may be wrong: refused, or read without harm") {
    const TempDir dir;
    const std::string good = make_zip({{"a.npy", kA}, packed("b.npy", kA)});
    std::size_t refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i)
      for (const int flip : {1, 16, 128}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        spill(dir / "h.npz", bytes);
        refused += outcome([&] { return read_npz(dir / "h.npz").nbytes(); }) != "accepted";
      }
    CHECK(refused > 2 * good.size());
  }
}
