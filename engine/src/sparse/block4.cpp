// block4: blocks of four rows of one column.
#include "blocks.h"

namespace coppice::sparse {

extern constinit const PackedFormatRow kBlock4 = row_of_blocks("block4", 4);

}  // namespace coppice::sparse
