#include "coppice/sparsity/training/callbacks/post_training_data_sparsity.h"

#include <utility>

#include "coppice/sparsity/training/callbacks/model_data.h"
#include "made.h"

namespace coppice::sparsity {

PostTrainingDataSparsity::PostTrainingDataSparsity(DataSparsifierFactory data_sparsifier, WeightFilter select,
                                                   std::ostream* log)
    : make_(std::move(data_sparsifier)), select_(std::move(select)), log_(log) {
  if (!make_) throw ValueError("[PostTrainingDataSparsity] needs a function that makes the sparsifier");
}

void PostTrainingDataSparsity::on_fit_end(TrainContext& context) {
  const nn::ModulePtr copy = model_of("PostTrainingDataSparsity", context).clone();
  copy->eval();
  const std::shared_ptr<BaseDataSparsifier> sparsifier = made("PostTrainingDataSparsity", "sparsifier", make_);
  attach_model(*sparsifier, *copy, select_);
  sparsifier->step();
  sparsifier->squash_mask();
  data_sparsifier_ = sparsifier;
  sparsified_ = copy;
  if (log_ != nullptr) log_sparsified_level(*log_, *sparsifier);
}

}  // namespace coppice::sparsity
