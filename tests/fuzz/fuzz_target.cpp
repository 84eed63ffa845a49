#include "fuzz/fuzz_target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "coppice/engine/error.h"

// Under AddressSanitizer: a size that lies must be refused by the reader, and a block that cannot be had is a null
// pointer, as from the system.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=256:handle_abort=1";
}

namespace coppice::fuzz {

ReadOptions tight() {
  ReadOptions options;
  options.limits = {
      .file_bytes = 1u << 22, .header_bytes = 1u << 18, .tensors = 500, .objects = 20'000, .extra_bytes = 1u << 20};
  return options;
}

void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

const std::filesystem::path& file_of(std::span<const std::uint8_t> input) {
  static const int fd = ::memfd_create("input", MFD_CLOEXEC);
  static const std::filesystem::path path = cat("/proc/self/fd/", fd);
  require(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(input.size())) == 0 &&
              ::pwrite(fd, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()),
          "the input could not be written to memory");
  return path;
}

std::filesystem::path scratch(std::string_view name) {
  struct Folder {
    std::filesystem::path path;
    Folder() {
      const bool memory = ::access("/dev/shm", W_OK) == 0;
      std::string made = std::string(memory ? "/dev/shm" : "/tmp") + "/coppice-fuzz-XXXXXX";
      require(::mkdtemp(made.data()) != nullptr, "no scratch folder");
      path = made;
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path / name;
}

bool loads(const std::function<void()>& load) {
  const auto refused = [](const Error& error) {
    require(std::string_view(error.what()).starts_with('['), "a message must open with the operation");
    return false;
  };
  try {
    load();
    return true;
  } catch (const FormatError& error) {
    return refused(error);
  } catch (const LimitError& error) {
    return refused(error);
  } catch (const NotSupported& error) {
    return refused(error);
  }
}

bool small(const NamedTensors& tensors) { return tensors.nbytes() <= 1u << 20; }

void require_same(const NamedTensors& a, const NamedTensors& b, bool metadata) {
  require(a.names() == b.names(), "names differ after writing and reading");
  require(!metadata || a.metadata() == b.metadata(), "metadata differs after writing and reading");
  for (const auto& [name, tensor] : a) {
    const Tensor& other = b.at(name);
    require(tensor.dtype() == other.dtype() && tensor.shape() == other.shape(), "type or shape differs");
    require(tensor.nbytes() == 0 || std::memcmp(tensor.bytes(), other.bytes(), tensor.nbytes()) == 0, "bytes differ");
  }
}

}  // namespace coppice::fuzz
