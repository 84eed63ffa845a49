#include "io/unknown_module.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {

TensorList UnknownModule::forward(const TensorList&) const {
  throw NotSupported(cat("[", type_, "] cannot be called: nobody registered the type ", quote(type_)));
}

}  // namespace coppice::nn
