// block16: blocks of sixteen rows of one column.
#include "blocks.h"

namespace coppice::sparse {

extern constinit const PackedFormatRow kBlock16 = row_of_blocks("block16", 16);

}  // namespace coppice::sparse
