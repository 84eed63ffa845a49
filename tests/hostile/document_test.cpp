/// docs/hostile-files.md says what the tables hold: it lists every number once, with the category that the tables
/// expect, and what it calls tested here is tested here.

#include <map>
#include <set>
#include <sstream>

#include "coppice/engine/io/limits.h"
#include "engine/io/io_support.h"
#include "hostile/corpus.h"

using namespace coppice;
using namespace coppice::test;

namespace {

struct Row {
  std::string what, result, where;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  return first == text.npos ? "" : text.substr(first, last + 1 - first);
}

/// The rows "| H04 | what | result | where |".
std::map<std::string, Row> rows_of(const std::string& markdown) {
  std::map<std::string, Row> out;
  std::istringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| H")) continue;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(1));
    for (std::string cell; std::getline(parts, cell, '|');) cells.push_back(trimmed(cell));
    CAPTURE(line);
    REQUIRE(cells.size() == 4);
    CHECK(out.emplace(cells[0], Row{cells[1], cells[2], cells[3]}).second);  // once each
  }
  return out;
}

std::string number(int n) { return cat("H", n < 10 ? "0" : "", n); }

}  // namespace

TEST_SUITE("hostile") {
  TEST_CASE("the document lists what the tables hold") {
    const std::filesystem::path root = std::filesystem::path(COPPICE_TESTS_DIR) / "..";
    const std::map<std::string, Row> rows = rows_of(slurp(root / "docs/hostile-files.md"));
    std::map<std::string, std::set<std::string>> tested;
    for (const HostileFile& file : hostile_corpus())
      if (!file.id().empty()) tested[file.id()].insert(file.input.category);

    constexpr int kRows = 109;
    for (int n = 1; n <= kRows; ++n) {
      const std::string id = number(n);
      CAPTURE(id);
      REQUIRE(rows.contains(id));
      const Row& row = rows.at(id);
      CHECK(!row.what.empty());
      const bool here = row.where == "tests/hostile" || row.where.starts_with("tests/hostile,");
      CHECK(here == tested.contains(id));
      if (here)
        for (const std::string& category : tested.at(id)) {
          CAPTURE(category);
          CHECK(row.result.find(category) != row.result.npos);
        }
      if (row.result.starts_with("does not apply")) {
        CHECK(row.result.size() > std::string("does not apply: ").size());  // with the reason
        CHECK(row.where.empty());
      } else {
        CHECK(!row.where.empty());
      }
      // Every other place is a file of the tests.
      std::istringstream places(row.where);
      for (std::string place; places >> place;) {
        if (place.ends_with(',')) place.pop_back();
        CAPTURE(place);
        CHECK(std::filesystem::exists(root / place));
      }
    }
    CHECK(rows.size() == kRows);
  }

  TEST_CASE("SECURITY.md lists every limit with its default") {
    const std::string text = slurp(std::filesystem::path(COPPICE_TESTS_DIR) / "../SECURITY.md");
    const Limits limits;
    const std::map<std::string, std::uint64_t> defaults{
        {"file_bytes", limits.file_bytes},   {"header_bytes", limits.header_bytes},
        {"tensors", limits.tensors},         {"rank", limits.rank},
        {"name_bytes", limits.name_bytes},   {"nesting", limits.nesting},
        {"objects", limits.objects},         {"inflate_ratio", limits.inflate_ratio},
        {"extra_bytes", limits.extra_bytes}, {"shards", limits.shards}};
    CHECK(sizeof(Limits) == defaults.size() * sizeof(std::uint64_t));  // none is missing here
    for (const auto& [name, value] : defaults) {
      std::string digits = cat(value);
      for (std::size_t i = digits.size(); digits.size() > 4 && i > 3;) digits.insert(i -= 3, ",");
      const std::string row = cat("| `", name, "` | ", digits, " |");
      CAPTURE(row);
      CHECK(text.find(row) != text.npos);
    }
  }
}
