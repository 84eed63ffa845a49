#include "app/outputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/exit.h"
#include "app/signals.h"
#include "coppice/engine/checked.h"

namespace coppice::cli {

bool replaceable(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    throw IoError(cat("cannot write ", quote_path(path), ": ", std::strerror(errno)));  // such as a name too long
  }
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))  // a link that leads nowhere is replaced
    throw IoError(cat(quote_path(path), " must be a regular file to be replaced; it is ",
                      S_ISDIR(info.st_mode) ? "a directory" : "a pipe, socket or device"));
  return true;
}

void check_output(const std::string& output, const std::vector<std::string>& inputs, bool force) {
  if (output.empty()) throw UsageError("the output must have a name; got ''");
  std::error_code ignored;
  // By name too: an input may be a file that is written before the output.
  const std::filesystem::path place = std::filesystem::weakly_canonical(output, ignored);
  for (const std::string& input : inputs)
    if (std::filesystem::equivalent(output, input, ignored) ||
        (!place.empty() && place == std::filesystem::weakly_canonical(input, ignored)))
      throw UsageError(cat("the output '", output, "' is the input '", input, "': inputs are never overwritten"));
  if (replaceable(output) && !force) throw UsageError(cat("'", output, "' exists; pass --force to replace it"));
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0)
    throw IoError(cat("cannot write into the folder of '", output, "': ", std::strerror(errno)));
}

void writes_safetensors(const std::string& output) {
  for (const char* other : {".pt", ".pth", ".bin", ".npz", ".npy", ".json"})
    if (std::filesystem::path(output).extension() == other)
      throw UsageError(
          cat("'", output, "' would be a safetensors file, not ", other, "; `coppice convert` writes others"));
}

SafetensorsWriteOptions write_options(const std::string& output, bool checksums) {
  const std::string extension = std::filesystem::path(output).extension().string();
  const bool zip = extension == ".pt" || extension == ".pth" || extension == ".bin" || extension == ".npz";
  if (checksums && extension != ".safetensors")
    throw UsageError(cat("--checksums has an effect with .safetensors only", zip ? "; a zip archive has its own" : "",
                         "; got '", output, "'"));
  SafetensorsWriteOptions options;
  options.checksums = checksums;
  return options;
}

void write_output(const std::string& output, const std::function<void()>& save) {
  interrupt_later();
  save();
  if (interrupt_pending()) throw Interrupted{cat("'", output, "' is written whole")};
}

}  // namespace coppice::cli
