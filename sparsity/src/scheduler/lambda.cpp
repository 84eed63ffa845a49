#include "coppice/sparsity/scheduler/lambda.h"

namespace coppice::sparsity {

LevelFunction::LevelFunction(NamedFunction function)
    : function_(registered_function<double(std::int64_t)>(function.name)), name_(std::move(function)) {}

void LevelFunction::check() const {
  if (!function_) throw ValueError("[LambdaSL] no function");
}

LambdaSL::LambdaSL(BaseSparsifier& sparsifier, LevelFunction sl_lambda, std::int64_t last_epoch, std::ostream* verbose)
    : LambdaSL(sparsifier, std::vector<LevelFunction>(sparsifier.groups().size(), std::move(sl_lambda)), last_epoch,
               verbose) {}

LambdaSL::LambdaSL(BaseSparsifier& sparsifier, std::vector<LevelFunction> sl_lambda, std::int64_t last_epoch,
                   std::ostream* verbose)
    : BaseScheduler(sparsifier, last_epoch, verbose), functions_(std::move(sl_lambda)) {
  if (functions_.size() != base_sl().size())
    throw ValueError(cat("[LambdaSL] ", functions_.size(), " functions for ", base_sl().size(), " groups"));
  start();
}

std::vector<double> LambdaSL::levels() const {
  std::vector<double> out;
  for (std::size_t i = 0; i < functions_.size(); ++i) out.push_back(base_sl()[i] * functions_[i](last_epoch()));
  return out;
}

void LambdaSL::save(Arguments& state) const {
  Arguments functions;
  for (std::size_t i = 0; i < functions_.size(); ++i)
    functions.set(cat(i), functions_[i].name() ? Argument(*functions_[i].name()) : Argument());
  state.set("sl_lambdas", std::move(functions));
}

void LambdaSL::load(const Arguments& state) {
  const Arguments& saved = state.map("sl_lambdas");
  if (saved.size() != functions_.size())
    throw ValueError(cat("[LambdaSL] a state of ", saved.size(), " functions for ", functions_.size(), " groups"));
  std::vector<LevelFunction> functions = functions_;
  for (std::size_t i = 0; i < functions.size(); ++i)
    if (saved.has(cat(i))) functions[i] = NamedFunction{saved.function_name(cat(i))};
  functions_ = std::move(functions);
}

}  // namespace coppice::sparsity
