// Integer products of one level and unit.
#include "kernels/int8/quantize.h"
#include "kernels/int8/samples.h"
#include "kernels/int8/tile_list.h"
#include "kernels/int8/transpose.h"
#include "kernels/table.h"

namespace coppice::kernels {

#if defined(COPPICE_AMX)
#define COPPICE_DENSE COPPICE_LEVEL::tiled_dense
#define COPPICE_TILES COPPICE_LEVEL::tiles
#else
#define COPPICE_DENSE COPPICE_LEVEL::dense
#define COPPICE_TILES nullptr
#endif

extern const Int8Kernels COPPICE_TABLE(kInt8_);
const Int8Kernels COPPICE_TABLE(kInt8_) = {
    COPPICE_DENSE,
    COPPICE_LEVEL::rows,
    COPPICE_LEVEL::samples,
    COPPICE_TILES,
    COPPICE_LEVEL::quantize,
    COPPICE_LEVEL::dequantize,
    COPPICE_LEVEL::dequantize_wide,
    COPPICE_LEVEL::range,
    COPPICE_LEVEL::transpose_bytes,
    COPPICE_LEVEL::row_sums,
};

}  // namespace coppice::kernels
