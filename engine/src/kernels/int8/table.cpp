// The choice among the tables of integer products.
#include <iterator>

#include "integer_unit.h"
#include "kernels/int8/int8.h"
#include "level_list.h"

// COPPICE_INTEGER_ROWS(ROW) is ROW(v2, words) ROW(v3, words) ROW(v3, vnni) …, as the build file has them.

namespace coppice::kernels {

#define COPPICE_DECLARE(level, unit) extern const Int8Kernels kInt8_##unit##_##level;
COPPICE_INTEGER_ROWS(COPPICE_DECLARE)

const Int8Kernels& int8_in_use() {
  struct Row {
    CpuLevel level;
    IntegerUnit unit;
    const Int8Kernels& kernels;
  };
#define COPPICE_ROW(level, unit) {CpuLevel::level, IntegerUnit::unit, kInt8_##unit##_##level},
  static constexpr Row kRows[] = {COPPICE_INTEGER_ROWS(COPPICE_ROW)};
  const CpuLevel level = cpu_level();
  const IntegerUnit unit = integer_unit();
  const Row* row = std::end(kRows) - 1;
  while (row != kRows && (row->level > level || row->unit > unit || !has_integer_unit(row->level, row->unit))) --row;
  return row->kernels;
}

}  // namespace coppice::kernels
