// csr: for each row the columns that it keeps, and their values.
#include "blocks.h"

namespace coppice::sparse {

extern constinit const PackedFormatRow kCsr = row_of_blocks("csr", 1);

}  // namespace coppice::sparse
