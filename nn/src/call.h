#pragma once
// Which modules of this thread are being called: names for errors. Private to nn.

#include <string>

#include "coppice/engine/error.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// One call of a module, from before its pre-hooks until after its hooks. Costs a few writes.
class Call {
 public:
  /// @throws StateError  if the module that calls this one had it as a child that was replaced since
  explicit Call(const Module& module) : module_(&module), above_(innermost) {
    if (above_ != nullptr && above_->in_forward_ && !above_->module_->replaced_.empty()) check_current();
    innermost = this;
  }
  ~Call() { innermost = above_; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// While one lives, the innermost call is in its module's forward(): what that calls may be members of the module.
  /// What hooks call is their own affair.
  class Forward {
   public:
    Forward() : call_(innermost) { call_->in_forward_ = true; }
    ~Forward() { call_->in_forward_ = false; }
    Forward(const Forward&) = delete;
    Forward& operator=(const Forward&) = delete;

   private:
    const Call* call_;
  };

  /// Puts "in 'features.3' (Conv2d): " before the message, if the call came from another module's.
  void place(Error& error) const noexcept;

 private:
  friend std::string called_as(const Module& module);
  [[nodiscard]] std::string path() const;
  void check_current() const;

  inline static constinit thread_local const Call* innermost = nullptr;
  const Module* module_;
  const Call* above_;
  mutable bool in_forward_ = false;
};

/// "'features.3' (Conv2d)" for the module that is being called, as seen from the outermost one; "a Conv2d" where there
/// is no path.
[[nodiscard]] std::string called_as(const Module& module);

}  // namespace coppice::nn
