/// A save that is killed, or meets a full or failing disk, at any of its calls: the old file or the new one stands
/// there, whole, and the next save leaves nothing but its own file.

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "coppice/engine/create.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "hostile/child.h"
#include "hostile/fault_calls.h"
#include "hostile/small_run.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::vector<std::string> kFormats{".safetensors", ".npz", ".npy", ".pt", ".model", ".checkpoint"};

/// Trains on to epoch `epochs`, from the checkpoint at `path` if there is one; it is saved after each epoch.
void train_to(const std::filesystem::path& path, int epochs) {
  SmallRun run = small_run();
  run.options.checkpoint = path;
  (void)sparsity::finetune(*run.model, run.data, run.options, sparsity::is_prunable,
                           [&](const sparsity::EpochReport& row) { return row.epoch < epochs; });
}

/// Larger than the buffer of a writer, so that a save has several writes; the checkpoint of a training is what it is.
void save(const std::filesystem::path& path, const std::string& format, float value) {
  if (format == ".checkpoint") return train_to(path, static_cast<int>(value));
  const Tensor weight = full({150, 200}, value);
  if (format == ".model") {
    const auto linear = std::make_shared<nn::Linear>(200, 150, false);
    nn::load_state_dict(*linear, {{"weight", weight}});
    nn::save_model(*linear, path);
  } else {
    NamedTensors tensors{{"weight", weight}};
    if (format != ".npy") tensors.add("small", full({3}, value));
    save_tensors(path, tensors);
  }
}

/// The number that the file at `path` was saved with; every value must be that one.
float saved_value(const std::filesystem::path& path, const std::string& format) {
  if (format == ".checkpoint") {
    const TempDir elsewhere;  // the end of the run is saved there
    std::filesystem::copy_file(path, elsewhere / "run.safetensors");
    CHECK(resume_small_run(elsewhere / "run.safetensors").epochs.size() == 3);
    return static_cast<float>(read_safetensors(path, {.map = false}).at("report").size(0));
  }
  const Tensor weight = format == ".model" ? nn::load_model(path)->named_parameters().front().second
                        : format == ".npy" ? load_tensors(path).begin()->second
                                           : load_tensors(path).at("weight");
  const auto values = weight.data<float>();
  REQUIRE(values.size() == 30'000);
  CHECK(std::ranges::all_of(values, [&](float v) { return v == values[0]; }));
  return values[0];
}

std::filesystem::path target(const TempDir& dir, const std::string& format) {
  return dir / ("out" + (format == ".model" || format == ".checkpoint" ? ".safetensors" : format));
}

/// Saves 2 over 1 in a child with this fault.
ChildResult save_with(Fault fault, int at, const std::filesystem::path& path, const std::string& format) {
  return in_child(
      [&] {
        plan_fault(fault, at);
        const std::string said = outcome([&] {
          save(path, format, 2);
          return 0;
        });
        no_faults();
        return said;
      },
      20);
}

/// Number of calls of one undisturbed save.
int calls_of(const std::string& format) {
  const TempDir dir;
  save(target(dir, format), format, 1);
  plan_fault(Fault::none, 0);
  save(target(dir, format), format, 2);
  no_faults();
  return static_cast<int>(calls_made().size());
}

void next_save_is_clean(const TempDir& dir, const std::string& format) {
  save(target(dir, format), format, 3);
  CHECK(saved_value(target(dir, format), format) == 3);
  CHECK(dir.size() == 1);
}

}  // namespace

TEST_SUITE("hostile/save") {
  TEST_CASE("the data is on the disk before the name points to it, and the name too before the call returns") {
    const TempDir dir;
    plan_fault(Fault::none, 0);
    write_file(dir / "out", std::string(200'000, 'x'));
    no_faults();
    std::string made;
    for (const std::string& call : calls_made())
      if (call != "flock") made += call + " ";
    CHECK(made == "open write fsync open rename close fsync close ");
  }

  TEST_CASE("killed before any of its calls: the old file or the new one, whole, and no rest after the next save") {
    for (const std::string& format : kFormats) {
      const int calls = calls_of(format);
      REQUIRE(calls >= 8);
      bool was_old = false, was_new = false;
      for (int at = 1; at <= calls; ++at) {
        CAPTURE(format);
        CAPTURE(at);
        const TempDir dir;
        save(target(dir, format), format, 1);
        CHECK(save_with(Fault::kill, at, target(dir, format), format).signal == SIGKILL);
        const float value = saved_value(target(dir, format), format);
        CHECK((value == 1 || value == 2));
        (value == 1 ? was_old : was_new) = true;
        next_save_is_clean(dir, format);
      }
      CHECK(was_old);
      CHECK(was_new);
    }
  }

  TEST_CASE("a call that fails: IoError and the old file, or the new one; the temporary file goes at once") {
    for (const std::string& format : kFormats)
      for (const Fault fault : {Fault::io_error, Fault::no_space})
        for (int at = 1, calls = calls_of(format); at <= calls; ++at) {
          CAPTURE(format);
          CAPTURE(at);
          const TempDir dir;
          save(target(dir, format), format, 1);
          const ChildResult child = save_with(fault, at, target(dir, format), format);
          CAPTURE(child.said);
          CHECK(child.signal == 0);
          const float value = saved_value(target(dir, format), format);
          if (child.said == "accepted") {
            CHECK(value == 2);
          } else {
            CHECK(child.said.starts_with("IoError: ["));
            CHECK(child.said.find(target(dir, format).string()) != std::string::npos);
            const bool reason = child.said.find("Input/output error") != std::string::npos ||
                                child.said.find("No space left") != std::string::npos;
            CHECK(reason);
          }
          CHECK(dir.size() == 1);
          next_save_is_clean(dir, format);
        }
  }

  TEST_CASE("interrupted calls are made again, short writes go on") {
    for (const std::string& format : kFormats)
      for (const Fault fault : {Fault::interrupted, Fault::short_write})
        for (int at = 1, calls = calls_of(format); at <= calls; ++at) {
          CAPTURE(format);
          CAPTURE(at);
          const TempDir dir;
          save(target(dir, format), format, 1);
          const ChildResult child = save_with(fault, at, target(dir, format), format);
          CAPTURE(child.said);
          // rename() is never interrupted, says POSIX; were it, nothing would be lost.
          if (child.said.find("rename") == std::string::npos) CHECK(child.said == "accepted");
          CHECK(dir.size() == 1);
          next_save_is_clean(dir, format);
        }
  }

  TEST_CASE("a full disk: IoError, the old file stays, and a save that fits succeeds") {
    const TempDir dir;
    const ChildResult child = in_child(
        [&]() -> std::string {
          if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
              ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=200k") != 0)
            return "not allowed to mount";
          save_tensors(dir / "out.safetensors", {{"w", full({10'000}, 1)}});
          const std::string said = outcome([&] {
            save_tensors(dir / "out.safetensors", {{"w", full({100'000}, 2)}});
            return 0;
          });
          if (!said.starts_with("IoError") || said.find("No space left on device") == said.npos) return said;
          if (load_tensors(dir / "out.safetensors").at("w").at({9'999}) != 1) return "the old file went";
          if (dir.size() != 1) return "a temporary file stayed";
          save_tensors(dir / "out.safetensors", {{"w", full({20'000}, 3)}});
          return load_tensors(dir / "out.safetensors").at("w").numel() == 20'000 ? "fine" : "the new file is another";
        },
        20);
    CAPTURE(child.said);
    CHECK((child.said == "fine" || child.said == "not allowed to mount"));
  }

  TEST_CASE("a limit on the size of files: IoError, not a signal, the old file stays, and a save without it succeeds") {
    for (const std::string& format : kFormats)
      for (const rlim_t bytes : {0, 100, 8000}) {
        CAPTURE(format);
        CAPTURE(bytes);
        const TempDir dir;
        save(target(dir, format), format, 1);
        const ChildResult child = in_child(
            [&] {
              rlimit before{};
              ::getrlimit(RLIMIT_FSIZE, &before);
              const rlimit low{bytes, before.rlim_max};
              ::setrlimit(RLIMIT_FSIZE, &low);
              const std::string said = outcome([&] {
                save(target(dir, format), format, 2);
                return 0;
              });
              ::setrlimit(RLIMIT_FSIZE, &before);
              return said;
            },
            20);
        CAPTURE(child.said);
        CHECK(child.signal == 0);
        CHECK(child.said.starts_with("IoError: ["));
        CHECK(child.said.find(target(dir, format).string()) != std::string::npos);
        CHECK(child.said.find("File too large") != std::string::npos);
        CHECK(saved_value(target(dir, format), format) == 1);
        CHECK(dir.size() == 1);
        next_save_is_clean(dir, format);
      }
  }

  TEST_CASE("processes that save to one path at once: always one of their files, whole, and nothing beside it") {
    for (const std::string& format : {std::string(".safetensors"), std::string(".pt"), std::string(".model")}) {
      CAPTURE(format);
      const TempDir dir;
      save(target(dir, format), format, 0);
      std::vector<pid_t> writers;
      for (int w = 1; w <= 4; ++w) {
        const pid_t pid = ::fork();
        if (pid == 0) {
          const std::string said = outcome([&] {
            for (int i = 0; i < 25; ++i) save(target(dir, format), format, static_cast<float>(w));
            return 0;
          });
          ::_exit(said == "accepted" ? 0 : 1);
        }
        writers.push_back(pid);
      }
      for (int i = 0; i < 50; ++i) {
        const float value = saved_value(target(dir, format), format);
        CHECK((value >= 0 && value <= 4));
      }
      for (const pid_t pid : writers) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        CHECK(status == 0);
      }
      CHECK(saved_value(target(dir, format), format) >= 1);
      CHECK(dir.size() == 1);
    }
  }

  TEST_CASE("the folder is deleted meanwhile: IoError") {
    const TempDir dir;
    std::filesystem::create_directory(dir / "sub");
    AtomicFile file(dir / "sub" / "out", "test");
    file.write("abc");
    std::filesystem::remove_all(dir / "sub");
    const std::string said = outcome([&] {
      file.commit();
      return 0;
    });
    CAPTURE(said);
    CHECK(said.starts_with("IoError: [test] "));
    CHECK(said.find("cannot rename the temporary file: No such file or directory") != said.npos);
    CHECK(dir.size() == 0);
  }
}
