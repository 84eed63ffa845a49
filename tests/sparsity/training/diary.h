#pragma once
/// A callback that writes down when it is called.

#include <stdexcept>
#include <string>
#include <utility>

#include "coppice/sparsity/training/callback.h"

namespace coppice::test {

class Diary final : public sparsity::Callback {
 public:
  /// @param fails  moments at which it throws, such as "train_end exception"
  Diary(std::string& page, std::string name, std::string fails = "")
      : page_(page), name_(std::move(name)), fails_(std::move(fails)) {}

  void on_fit_start(sparsity::TrainContext&) override { write("fit_start"); }
  void on_train_start(sparsity::TrainContext&) override { write("train_start"); }
  void on_train_epoch_start(sparsity::TrainContext&) override { write("epoch_start"); }
  void on_train_batch_start(sparsity::TrainContext&) override { write("batch_start"); }
  void on_train_batch_end(sparsity::TrainContext&) override { write("batch_end"); }
  void on_train_epoch_end(sparsity::TrainContext&) override { write("epoch_end"); }
  void on_train_end(sparsity::TrainContext&) override { write("train_end"); }
  void on_fit_end(sparsity::TrainContext&) override { write("fit_end"); }
  void on_exception(sparsity::TrainContext&, const std::exception_ptr&) override { write("exception"); }

 private:
  void write(const std::string& moment) {
    page_ += name_ + ":" + moment + " ";
    if (fails_.find(moment) != std::string::npos) throw std::runtime_error(name_ + " at " + moment);
  }

  std::string& page_;
  std::string name_, fails_;
};

}  // namespace coppice::test
