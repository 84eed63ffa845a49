#pragma once
/// What multiplies bytes in integer products: beside the vectors of a CpuLevel a processor may have instructions for
/// it.

#include <cstdint>
#include <string_view>

#include "coppice/engine/cpu.h"

namespace coppice {

/// In rising order. All give the same integers.
enum class IntegerUnit : std::uint8_t {
  words,  ///< bytes are widened to 16 bits; any processor
  vnni,   ///< dot products of four bytes: AVX-512 VNNI with level v4, AVX-VNNI with v3
  amx,    ///< tiles of 16 x 64 bytes: AMX-INT8, with level v4
};

/// "words", "vnni", "amx".
[[nodiscard]] std::string_view name_of(IntegerUnit unit);

/// Whether this processor has `unit` for the vectors of `level`, and the system lets this process use it.
[[nodiscard]] bool has_integer_unit(CpuLevel level, IntegerUnit unit);

/// The highest unit that products may use: what the processor has with its best level, or a lower one named by the
/// environment variable COPPICE_INTEGER_UNIT (other words are ignored).
[[nodiscard]] IntegerUnit integer_unit();

/// Selects a lower unit, for tests and benchmarks. A unit that the processor lacks is as if its best one was asked for.
/// Not while another thread computes.
void set_integer_unit(IntegerUnit unit);

}  // namespace coppice
