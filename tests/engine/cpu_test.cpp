// The processor's levels, and its way with subnormal numbers.
#include "coppice/engine/cpu.h"

#include <doctest/doctest.h>

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>
#include <string>
#include <thread>

#include "coppice/engine.h"

using namespace coppice;

TEST_SUITE("engine/cpu") {
  TEST_CASE("FlushSubnormals nests and restores") {
    volatile float tiny = std::numeric_limits<float>::min();
    {
      const FlushSubnormals outer;
      { const FlushSubnormals inner; }
      volatile float half = tiny * 0.5f;
      CHECK(half == 0.0f);
    }
    volatile float half = tiny * 0.5f;
    CHECK(half != 0.0f);
  }

  TEST_CASE("the processor level can be lowered, not raised above what the machine has") {
    const CpuLevel before = cpu_level();
    const CpuLevel best = best_cpu_level();
    CHECK(before <= best);
    if (best >= CpuLevel::v3) {
      set_cpu_level(CpuLevel::v2);
      CHECK(cpu_level() == CpuLevel::v2);
      CHECK_THROWS_AS(set_cpu_level(CpuLevel::baseline), ValueError);
    }
    if (best < CpuLevel::v4) CHECK_THROWS_AS(set_cpu_level(CpuLevel::v4), ValueError);
    set_cpu_level(before);
  }

  // Run by the next one, with the variable set.
  TEST_CASE("the level that the environment names" * doctest::skip()) {
    const char* wanted = std::getenv("COPPICE_CPU_LEVEL");
    REQUIRE(wanted != nullptr);
    const bool v2 = std::string(wanted) == "v2";
    CHECK(cpu_level() == (v2 && best_cpu_level() > CpuLevel::v2 ? CpuLevel::v2 : best_cpu_level()));
  }

  TEST_CASE("COPPICE_CPU_LEVEL lowers the level; unknown words change nothing") {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    for (const char* level : {"v2", "v9", "", "x86-64-v2"}) {
      CAPTURE(level);
      const std::string command = cat("COPPICE_CPU_LEVEL='", level, "' '", self,
                                      "' --no-skip --test-case='the level that the environment names' > /dev/null");
      CHECK(std::system(command.c_str()) == 0);
    }
  }

  TEST_CASE("levels have their names") {
    CHECK(name_of(CpuLevel::baseline) == "baseline");
    CHECK(name_of(CpuLevel::v2) == "x86-64-v2");
    CHECK(name_of(CpuLevel::v3) == "x86-64-v3");
    CHECK(name_of(CpuLevel::v4) == "x86-64-v4");
  }

  TEST_CASE("FlushSubnormals does not touch a thread that runs already") {
    std::promise<void> go;
    std::atomic<std::uint32_t> bits = 0;
    std::thread other([&bits, ready = go.get_future()]() mutable {
      ready.wait();
      volatile float tiny = std::numeric_limits<float>::min();
      const volatile float half = tiny * 0.5f;
      bits = std::bit_cast<std::uint32_t>(static_cast<float>(half));
    });
    {
      const FlushSubnormals flush;
      go.set_value();
      other.join();
    }
    CHECK(bits == 0x00400000);
  }
}
