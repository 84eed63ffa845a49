/// Runs a fuzz target over saved inputs, with any compiler: files, or folders of files.

#include <cstdio>
#include <filesystem>

#include "fuzz/fuzz_target.h"
#include "hostile/build.h"

int main(int argc, char** argv) {
  std::size_t count = 0;
  const auto run = [&](const std::filesystem::path& path) {
    const std::string bytes = coppice::test::slurp(path);
    std::printf("%s\n", path.c_str());  // the last line names the input that ended the process
    std::fflush(stdout);
    (void)LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  };
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      run(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) run(entry.path());
  }
  std::printf("%zu inputs\n", count);
  return count == 0 ? 1 : 0;
}
