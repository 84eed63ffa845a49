/// Files of torch.save over random nestings (make_torch_files.py): tensors bit for bit, what shares a storage, and the
/// paths of what is left out.

#include "coppice/engine/io/torch_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coppice/engine/io/npy.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(COPPICE_TESTS_DIR) / "golden";

std::string_view bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes()), tensor.nbytes()};
}

/// What of a line is the path: it holds no colon in these files.
std::vector<std::string> left_out(const NamedTensors& tensors) {
  std::vector<std::string> out;
  for (const std::string& line : tensors.skipped()) out.push_back(line.substr(0, line.find(": ")));
  std::ranges::sort(out);
  return out;
}

/// Reads what stands at `at` of the stored values, and goes on behind it.
void check_tensors(const NamedTensors& read, const nlohmann::json& expected, std::string_view values, std::size_t& at) {
  REQUIRE(read.size() == expected.size());
  std::size_t i = 0;
  for (const auto& [name, tensor] : read) {
    const nlohmann::json& row = expected[i++];
    const auto& shown = name;  // Clang 14 cannot capture a structured binding
    CAPTURE(shown);
    CHECK(name == row[0].get<std::string>());
    CHECK(name_of(tensor.dtype()) == row[1].get<std::string>());
    CHECK(tensor.shape() == Shape(row[2].get<std::vector<std::int64_t>>()));
    CHECK(bytes_of(tensor) == values.substr(at, tensor.nbytes()));
    at += tensor.nbytes();
  }
}

/// Tensors of one number share a storage, and no others do; -1 has no values to share.
std::size_t check_shared(const NamedTensors& read, const nlohmann::json& expected) {
  std::size_t tied = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (expected[i][3] == -1 || expected[j][3] == -1) continue;
      const bool same = expected[i][3] == expected[j][3];
      CHECK(read.at(expected[i][0].get<std::string>()).shares_storage(read.at(expected[j][0].get<std::string>())) ==
            same);
      tied += same;
    }
  return tied;
}

}  // namespace

TEST_SUITE("golden/torch_files") {
  TEST_CASE("random nestings of torch.save are read as they were written") {
    const TempDir dir;
    const nlohmann::json cases = nlohmann::json::parse(slurp(kGolden / "torch_files.json"));
    const NamedTensors stored = read_npz(kGolden / "torch_files.npz");
    const std::string_view files = bytes_of(stored.at("files")), values = bytes_of(stored.at("values"));
    std::size_t file_at = 0, value_at = 0, number = 0, tensors = 0, tied = 0, left = 0;
    for (const nlohmann::json& row : cases) {
      CAPTURE(number);
      ++number;
      spill(dir / "case.pt", files.substr(file_at, row["bytes"].get<std::size_t>()));
      file_at += row["bytes"].get<std::size_t>();
      const NamedTensors read = read_torch(dir / "case.pt");
      check_tensors(read, row["tensors"], values, value_at);
      CHECK(left_out(read) == row["left_out"].get<std::vector<std::string>>());
      tied += check_shared(read, row["tensors"]);
      tensors += read.size();
      left += read.skipped().size();

      write_torch(dir / "again.pt", read);
      const NamedTensors again = read_torch(dir / "again.pt");
      check_same_bits(again, read);
    }
    CHECK(number >= 300);
    CHECK(tensors > 1000);
    CHECK(tied > 100);
    CHECK(left > 300);
    CHECK(file_at == files.size());
    CHECK(value_at == values.size());
  }
}
