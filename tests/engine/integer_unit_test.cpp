// What multiplies bytes, and how the choice is lowered.
#include "../../engine/src/integer_unit.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "coppice/engine/error.h"
#include "engine/quant/int8_support.h"

using namespace coppice;

TEST_SUITE("engine/integer_unit") {
  TEST_CASE("units have their names") {
    CHECK(name_of(IntegerUnit::words) == "words");
    CHECK(name_of(IntegerUnit::vnni) == "vnni");
    CHECK(name_of(IntegerUnit::amx) == "amx");
  }

  TEST_CASE("every level has words; tiles and dot products belong to levels with their vectors") {
    for (const CpuLevel level : test::levels()) CHECK(has_integer_unit(level, IntegerUnit::words));
    CHECK_FALSE(has_integer_unit(CpuLevel::v2, IntegerUnit::vnni));
    CHECK_FALSE(has_integer_unit(CpuLevel::v3, IntegerUnit::amx));
    if (has_integer_unit(CpuLevel::v4, IntegerUnit::amx)) CHECK(has_integer_unit(CpuLevel::v4, IntegerUnit::vnni));
  }

  TEST_CASE("level and unit together choose the table of kernels") {
    const test::IntegerSettings restore;
    if (best_cpu_level() < CpuLevel::v3) return;
    set_cpu_level(CpuLevel::v3);
    set_integer_unit(IntegerUnit::words);
    const kernels::Int8Kernels* const words = &kernels::int8_in_use();
    set_integer_unit(IntegerUnit::amx);  // v3 has no tiles: the best that it has
    CHECK((&kernels::int8_in_use() != words) == has_integer_unit(CpuLevel::v3, IntegerUnit::vnni));
    set_cpu_level(CpuLevel::v2);
    CHECK(&kernels::int8_in_use() != words);
    const bool has_tiles = kernels::int8_in_use().tiles != nullptr;
    CHECK_FALSE(has_tiles);
  }

  // Run by the next one, with the variable set.
  TEST_CASE("the unit that the environment names" * doctest::skip()) {
    const char* wanted = std::getenv("COPPICE_INTEGER_UNIT");
    REQUIRE(wanted != nullptr);
    IntegerUnit best = IntegerUnit::words;
    for (const IntegerUnit unit : {IntegerUnit::vnni, IntegerUnit::amx})
      if (has_integer_unit(best_cpu_level(), unit)) best = unit;
    CHECK(integer_unit() == (std::string(wanted) == "words" ? IntegerUnit::words : best));
  }

  TEST_CASE("COPPICE_INTEGER_UNIT lowers the unit; unknown words change nothing") {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    for (const char* unit : {"words", "tiles", "", "amx"}) {
      CAPTURE(unit);
      const std::string command = cat("COPPICE_INTEGER_UNIT='", unit, "' '", self,
                                      "' --no-skip --test-case='the unit that the environment names' > /dev/null");
      CHECK(std::system(command.c_str()) == 0);
    }
  }
}
