// block8: blocks of eight rows of one column.
#include "blocks.h"

namespace coppice::sparse {

extern constinit const PackedFormatRow kBlock8 = row_of_blocks("block8", 8);

}  // namespace coppice::sparse
