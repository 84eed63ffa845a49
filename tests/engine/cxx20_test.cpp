// What an older language is told: one line, whichever public header comes first.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

/// What a compiler prints of a file that includes `header` with `standard`; nothing where there is none to run.
std::string printed(const std::string& header, const std::string& standard) {
  const auto root = std::filesystem::path(COPPICE_TESTS_DIR).parent_path();
  const auto folder = std::filesystem::temp_directory_path();
  const std::string name = "coppice_cxx20_" + std::to_string(std::hash<std::string>{}(header + standard));
  const std::string source = (folder / (name + ".cpp")).string(), output = (folder / (name + ".txt")).string();
  std::ofstream(source) << "#include \"" << header << "\"\n";
  const std::string command = "c++ -fsyntax-only -std=" + standard + " -I'" + (root / "engine/include").string() +
                              "' '" + source + "' > '" + output + "' 2>&1";
  (void)std::system(command.c_str());
  std::ifstream in(output);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(source);
  std::filesystem::remove(output);
  return text;
}

TEST_SUITE("engine/cxx20") {
  TEST_CASE("C++17 gets one error that says what to do, C++20 none") {
    if (std::system("c++ --version > /dev/null 2>&1") != 0) return;
    for (const char* header :
         {"coppice/engine/tensor.h", "coppice/engine/ops/elementwise.h", "coppice/engine/io/npy.h"}) {
      CAPTURE(header);
      const std::string old = printed(header, "c++17");
      CHECK(old.find("coppice needs C++20: compile with -std=c++20") != std::string::npos);
      const std::size_t first = old.find("error:");
      CHECK(first != std::string::npos);
      CHECK(old.find("error:", first + 1) == std::string::npos);
      CHECK(printed(header, "c++20").empty());
    }
  }
}

}  // namespace
